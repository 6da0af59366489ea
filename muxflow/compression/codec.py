"""Pictures through the accelerator and back: tiles to codes, codes to frames, with the models that ship."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import muxflow
from muxflow.compression.container import BITS, MOST_PIXELS, PATCH, TILE, Compressed, check_size, plane_sizes, unpack
from muxflow.compression.images import check_pixels, joined, luma_and_chroma
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import check_file, naming
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.file import encode_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.result import PRETRAINED
from muxflow.proof.compare import Progress

if TYPE_CHECKING:
    from muxflow.frontend.training.frame_decoder import FrameDecoder

NETWORK = "encoder_digits"
"""The shipped network whose code compresses pictures."""
BATCH = 64
"""Tiles that go through the encoder at once."""

Encode = Callable[[Bytes], npt.NDArray[Any]]
"""Tiles (N, TILE, TILE, 1) of 8-bit grey values to codes (N, 2, 2, BITS) of 0 and 1: a graph, a simulation, a board."""


@dataclass(frozen=True)
class Codec:
    """An encoder and the decoder that was trained with it; `fingerprint`: 8 bytes that stand for both."""

    encode: Encode
    decoder_file: Path
    fingerprint: bytes

    @cached_property
    def decoder(self) -> FrameDecoder:
        """The decoder, loaded when it is first used: it needs PyTorch, and an encoder does not."""
        from muxflow.frontend.training.frame_decoder import load_decoder

        return load_decoder(self.decoder_file)

    def compress(self, pixels: Bytes, progress: Progress | None = None) -> Compressed:
        """Compress grey values (H, W) or colours (H, W, 3) of 8 bits; `progress` is told the tiles done and all of them.

        Raises MuxflowError when these are no such pixels, none, or too many.
        """
        check_pixels(pixels)
        height, width = pixels.shape[:2]
        check_size("picture", width, height)
        planes = [tiles_of(plane) for plane in luma_and_chroma(pixels)]
        total, done, codes = sum(len(tiles) for tiles, _ in planes), 0, []
        for tiles, shape in planes:
            parts = []
            for start in range(0, len(tiles), BATCH):
                parts.append(self.encode(tiles[start : start + BATCH]))
                done += len(parts[-1])
                if progress is not None:
                    progress(done, total)
            codes.append(codes_of(np.concatenate(parts), shape))
        return Compressed(width, height, self.fingerprint, tuple(codes))

    def decompress(self, picture: Compressed, progress: Progress | None = None, name: str = "picture") -> Bytes:
        """Rebuild a picture, (H, W) or (H, W, 3) of 8 bits; `progress` is told rows of patches.

        Raises MuxflowError, in which `name` stands for the picture, when other models compressed it.
        """
        if picture.fingerprint != self.fingerprint:
            raise MuxflowError(
                f"{name}: compressed by the models {picture.fingerprint.hex()}; these are {self.fingerprint.hex()}: use the "
                "version of Muxflow that compressed it"
            )
        import torch

        sizes = plane_sizes(picture.width, picture.height, len(picture.codes))
        rows = [len(codes) for codes in picture.codes]
        planes = []
        for place, (codes, (width, height)) in enumerate(zip(picture.codes, sizes, strict=True)):

            def told(done: int, _: int, before: int = sum(rows[:place])) -> None:
                if progress is not None:
                    progress(before + done, sum(rows))

            bits = torch.from_numpy(codes.transpose(2, 0, 1).astype(np.float32))
            planes.append(self.decoder.decode(bits, told).numpy()[:height, :width])
        return joined(tuple(planes))


def shipped_graph() -> Graph:
    """Load the integer graph of the shipped encoder."""
    return muxflow.load(PRETRAINED / f"{NETWORK}.onnx")


def graph_encode(graph: Graph) -> Encode:
    """Return what codes tiles by the integer graph of an encoder; raises MuxflowError for a graph that has no such output."""
    output = code_output(graph)
    return lambda tiles: graph.run(tiles, keep=(output,))[output]


def code_output(graph: Graph) -> str:
    """Find the output of a graph that is the code of a tile; raises MuxflowError where the graph is no such encoder."""
    side = TILE // PATCH
    inputs = [graph.streams[name].shape for name in graph.inputs]
    found = [name for name in graph.outputs if graph.streams[name].shape == (side, side, BITS)]
    if inputs != [(TILE, TILE, 1)] or len(found) != 1:
        raise MuxflowError(
            f"{graph.name}: no encoder of pictures: inputs of shapes {inputs}, {counted(len(found), 'output')} of shape "
            f"{(side, side, BITS)}; expected one input {(TILE, TILE, 1)} and one such output, as {NETWORK} has them"
        )
    return found[0]


@cache
def _shipped_encode() -> Encode:
    return graph_encode(shipped_graph())


def shipped_codec(encode: Encode | None = None) -> Codec:
    """Return the codec of the shipped models; `encode`: what codes in place of the integer graph, see `Encode`.

    The graph is loaded when it is first used: a decoder does not need it.
    """
    facts = json.loads((PRETRAINED / f"{NETWORK}.json").read_text(encoding="utf-8"))
    return Codec(
        encode or (lambda tiles: _shipped_encode()(tiles)),
        PRETRAINED / f"{NETWORK}.decoder",
        bytes.fromhex(facts["compression"]["fingerprint"]),
    )


@contextmanager
def opened_codec(project: Path | None = None) -> Iterator[Codec]:
    """Open the codec of the shipped models; the C simulation of `project` codes where one is given, for as long as it lasts.

    Raises MuxflowError when the project is not of the shipped encoder, or its sources were edited, ToolError without a C++
    compiler.
    """
    if project is None:
        yield shipped_codec()
        return
    opened = muxflow.open_project(project)
    shipped, met = insert_forks(shipped_graph()), unfolded(opened.design.graph)
    if encode_graph(met) != encode_graph(shipped):
        raise MuxflowError(
            f"{project}: a project of another network than the shipped {NETWORK}: its codes would mean nothing to the decoder; "
            f"build {PRETRAINED / NETWORK}.onnx"
        )
    if opened.hls.edited:
        raise MuxflowError(
            f"{project}: sources edited since they were written ({opened.hls.edited}): their codes may mean nothing to the "
            "decoder; build the project again"
        )
    with opened.emulate() as accelerator:
        yield shipped_codec(lambda tiles: np.asarray(accelerator.encode(tiles)))


def read_compressed(path: Path) -> Compressed:
    """Read the file of a compressed picture; raises MuxflowError naming it where it is none, or too large."""
    longest = MOST_PIXELS // PATCH**2 * BITS // 8 * 4
    check_file(path, "give one that `muxflow compress` wrote")
    if (size := path.stat().st_size) > longest:
        raise MuxflowError(
            f"{path}: {counted(size, 'byte')}, and no picture that `muxflow compress` writes has more than {longest:,}; it is "
            "something else, or damaged"
        )
    with naming(path):
        return unpack(str(path), path.read_bytes())


def tiles_of(plane: Bytes) -> tuple[Bytes, tuple[int, int]]:
    """Cut a plane (H, W) into tiles (N, TILE, TILE, 1), row by row; its last row and column are repeated to whole tiles.

    Returns the rows and columns of tiles too.
    """
    padded = np.pad(plane, [(0, -size % TILE) for size in plane.shape], mode="edge")
    rows, columns = (size // TILE for size in padded.shape)
    tiles = padded.reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    return np.ascontiguousarray(tiles).reshape(-1, TILE, TILE, 1), (rows, columns)


def codes_of(codes: npt.NDArray[Any], shape: tuple[int, int]) -> Bytes:
    """Put the codes of tiles, (N, 2, 2, BITS), to their places in a plane: (rows, columns, BITS) of patches."""
    rows, columns = shape
    side = TILE // PATCH
    placed = codes.reshape(rows, columns, side, side, BITS).swapaxes(1, 2)
    return placed.reshape(rows * side, columns * side, BITS).astype(np.uint8)
