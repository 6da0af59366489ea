"""Files of weights that are loaded at run time, and the checksum that the accelerator gives back."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np

from .errors import AcceleratorError

if TYPE_CHECKING:
    from .packing import Words

MAGIC = b"muxflow weights 1\n"
"""First line of a weight file, with the version of the format."""

LONGEST_HEADER = 1 << 20
"""Bytes of the second line, at most."""

LONGEST_TEXT = 1000
"""Characters of a name in it, at most."""

MOST_WORDS = 1 << 32
"""Words of a memory, at most: more than any device has."""

SHOWN, LONGEST_REASON = 60, 240
"""Characters of what does not fit that a message repeats, and of what is wrong with a file, at most."""

WEIGHTS_FILE = "weights.bin"
"""The built network's own weights, in its project and in the deploy folder."""


def told(error: BaseException) -> str:
    """Return what an error says, cut where it is long: of a file what the system says, of a key that it is missing."""
    said = (
        f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or str(error)
    )
    if said.startswith("Exceeds the limit ("):  # of digits; Python tells to change a setting of its own
        said = "it has a number of too many digits"
    return said[:LONGEST_REASON]


@dataclass(frozen=True)
class LoadedNode:
    """One memory that is loaded: the node, its fold in words, and how many words of 64 bits it takes."""

    node: str
    fold: str
    words: int


@dataclass(frozen=True)
class WeightMemories:
    """All memories of an accelerator that are loaded, in the order in which their words come.

    `network`: the graph's name. `fingerprint`: of all else that the design consists of: topology, folds, thresholds.
    """

    network: str
    fingerprint: str
    nodes: tuple[LoadedNode, ...]

    @property
    def words(self) -> int:
        """Words of a load; one of zeros follows, which comes back as the checksum."""
        return sum(node.words for node in self.nodes)

    def entry(self) -> dict[str, Any]:
        """Give the form in which a file and `interface.json` hold it."""
        nodes = [{"node": one.node, "fold": one.fold, "words": one.words} for one in self.nodes]
        return {"network": self.network, "fingerprint": self.fingerprint, "nodes": nodes}


def parse_memories(entry: Mapping[str, Any]) -> WeightMemories:
    """Read what `WeightMemories.entry` gave; raises KeyError, TypeError or ValueError where it is not whole."""
    nodes = tuple(
        LoadedNode(text(one["node"]), text(one["fold"]), whole(one["words"], 1, MOST_WORDS)) for one in entry["nodes"]
    )
    if not nodes:
        raise ValueError("no memories")
    return WeightMemories(text(entry["network"]), text(entry["fingerprint"]), nodes)


def text(value: Any) -> str:
    """Give a text of a file, at most LONGEST_TEXT characters that all show; raises TypeError for anything else."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise TypeError(f"{value!r:.{SHOWN}} where a text of at most {LONGEST_TEXT} characters that show belongs")
    return value


def whole(value: Any, lowest: int, highest: int) -> int:
    """Give a whole number of a file; raises TypeError for anything else, and for one out of its range."""
    if type(value) is not int or not lowest <= value <= highest:
        raise TypeError(f"{value!r:.{SHOWN}} where a whole number from {lowest} to {highest} belongs")
    return value


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & 0xFFFFFFFFFFFFFFFF if bits else value


def checksum(words: Words) -> int:
    """Turn by a bit and exclusive-or with the next word, for all words from 0: what the accelerator gives back for a load."""
    # Words 64 apart are turned alike.
    padded = np.zeros(-(-len(words) // 64) * 64, np.uint64)
    padded[len(padded) - len(words) :] = words
    total = 0
    for place, value in enumerate(np.bitwise_xor.reduce(padded.reshape(-1, 64), axis=0).tolist()):
        total ^= _turned(value, 63 - place)
    return total


def weight_file(memories: WeightMemories, words: Words) -> bytes:
    """Compose a weight file: MAGIC, a line of JSON, the words in little-endian order."""
    data = np.ascontiguousarray(words, "<u8").tobytes()
    header = json.dumps({**memories.entry(), "crc32": zlib.crc32(data)}, sort_keys=True)
    return MAGIC + header.encode() + b"\n" + data


def read_weights(path: str | Path, memories: WeightMemories) -> Words:
    """Read the words of a weight file.

    Raises AcceleratorError when it is missing, no weight file, cut short, damaged, or of another design, naming what
    differs.
    """
    file = Path(path)
    longest = len(MAGIC) + LONGEST_HEADER + 8 * memories.words
    if file.exists() and not file.is_file():
        raise AcceleratorError(
            f"{file}: cannot be read (it is a folder, a pipe or a device); `muxflow weights` writes one"
        )
    try:
        with file.open("rb") as opened:
            data = opened.read(longest + 1)
    except OSError as error:
        raise AcceleratorError(f"{file}: cannot be read ({error.strerror or error})") from None
    if not data.startswith(MAGIC):
        raise AcceleratorError(
            f"{file}: no weight file of this version; `muxflow weights MODEL --project PROJECT` writes one"
        )
    line, newline, body = data[len(MAGIC) :].partition(b"\n")
    try:
        if not newline or len(line) > LONGEST_HEADER:
            raise ValueError("no end of the second line")
        header = json.loads(line)
        found, crc = parse_memories(header), header["crc32"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise AcceleratorError(f"{file}: its second line is not whole ({told(error)}); write the file again") from None
    _check_same(file, found, memories)
    if len(body) != 8 * memories.words:
        many = "more than" if len(body) > 8 * memories.words else f"{len(body)} of"
        raise AcceleratorError(
            f"{file}: {many} {8 * memories.words} bytes of weights; the file is cut short or damaged"
        )
    if zlib.crc32(body) != crc:
        raise AcceleratorError(f"{file}: its CRC does not match its weights; the file is damaged, copy it again")
    return np.frombuffer(body, "<u8")


def _check_same(file: Path, found: WeightMemories, memories: WeightMemories) -> None:
    """Raise AcceleratorError naming the first memory in which a file and an accelerator differ."""
    remedy = "`muxflow weights MODEL --project PROJECT` writes one for this design"
    for theirs, ours in zip(found.nodes, memories.nodes):
        if theirs != ours:
            raise AcceleratorError(
                f"{file}: weights of another design (network {found.network!r}): {theirs.node!r} with {theirs.fold!r} and "
                f"{theirs.words} words, where this one has {ours.node} with {ours.fold} and {ours.words}; {remedy}"
            )
    if found != memories:
        raise AcceleratorError(
            f"{file}: weights of another design (network {found.network!r}, {len(found.nodes)} memories): its topology, "
            f"thresholds or scales are not those of {memories.network}; {remedy}"
        )
