"""What a tool says while it runs: followed to its end, its activities, its errors."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from muxflow.dataflow.processes import running

LONGEST_LINE = 4096
"""Bytes of a line that are looked at: no activity takes more (decision)."""
LAST_WORDS_SECONDS = 1.0
"""How long what a tool has said is read once it has ended, where something else goes on writing (decision)."""


def follow(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    deadline: float,
    write: Callable[[bytes], None],
    tell: Callable[[str], None],
    holds: tuple[int, ...] = (),
) -> int:
    """Run a command in its own process group, hand on what it prints, and return its exit code.

    `holds`: descriptors that it inherits. Whatever goes wrong here (interruption, time-out, full disk), the whole group is
    ended first.
    """
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
    lines, silent_at = _Lines(), deadline
    with running(command, group=True, cwd=folder, env=dict(environment), pass_fds=holds, **pipes) as process:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (now := time.monotonic()) < silent_at:
                if process.poll() is not None:
                    # A child that outlives the tool may hold the pipe open, and may go on writing.
                    silent_at = min(silent_at, now + LAST_WORDS_SECONDS)
                if not selector.select(0.2):
                    if process.poll() is not None:
                        break
                    continue
                data = process.stdout.read(65536)
                if not data:
                    break
                write(data)
                for found in filter(None, map(activity_of, lines.add(data))):
                    tell(found)
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.05)
    return process.returncode


class _Lines:
    """The lines of what comes in pieces, of each LONGEST_LINE bytes; a bar that is drawn anew is a line each time."""

    def __init__(self) -> None:
        self._begun = b""

    def add(self, piece: bytes) -> list[str]:
        """Give the lines that a piece ends."""
        *ended, begun = re.split(rb"[\r\n]", self._begun + piece)
        self._begun = begun[:LONGEST_LINE]
        return [line[:LONGEST_LINE].decode(errors="replace") for line in ended]


ACTIVITIES = re.compile(
    "|".join(
        (
            r"INFO: \[HLS 200-10\] (?:-- )?((?:Starting|Running|Synthesizing|Analyzing|Checking)[^']*(?:'[^']*')?)",
            r"INFO: \[(?:HLS|SCHED|BIND|RTGEN|RTMG|SIM|COSIM|IMPL) [\d-]+\] \*+ ([^*]+?) \*+",
            r"INFO: \[HLS 200-42\] -- (Implementing module '[^']+')",
            r"(Starting .+ Task)$",
            r"Phase ([\d.]+ [^|]+)",
            r"(Start [^:]+)",
            r"Command: ((?:synth|opt|place|phys_opt|route)_design\b)",
            r"\[[^]]+\] ((?:Launched|Waiting for) [\w, .]+?)(?: to finish.*|\.\.\.)?$",
        )
    )
)
"""Lines by which the vendor's tools say what they do; the time that one takes grows with its length."""


def activity_of(line: str) -> str | None:
    """Find the activity that a line of a tool's output announces, None for any other line."""
    match = ACTIVITIES.match(line.rstrip())
    return match[match.lastindex].strip() if match and match.lastindex else None


HINTS = (
    (
        r"is an invalid argument\. Please specify an integer value",
        "tools up to 2021.2 cannot export IP on dates after 2021 without the vendor's patch (answer record 76960)",
    ),
    (r"(?i)no space left on device|disk quota exceeded", "the disk is full"),
    (
        r"(?i)valid license was not found|failed to get a license|licen[cs]e checkout failed",
        "the tool found no licence",
    ),
    (
        r"(?i)out of memory|cannot allocate memory|std::bad_alloc",
        "the machine ran out of memory; try --jobs 1",
    ),
)
"""Errors of the vendor's tools that do not say what to do."""


def error_lines(text: str, count: int = 5) -> list[str]:
    """Pick the last error lines of a log, its last lines when none is marked as an error."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\s*(?:ERROR\b|CRITICAL ERROR|FATAL|error:|FAIL:|\S+: error:)", line)]
    return errors[-count:] or lines[-10:]


def shown_errors(log: Path) -> str:
    """Give the last error lines of a log, each on a line of its own, and what to do about those that do not say it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1_000_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = error_lines(text)
    lines += [f"hint: {hint}" for pattern, hint in HINTS if re.search(pattern, text)]
    return "".join(f"\n  {line}" for line in lines)
