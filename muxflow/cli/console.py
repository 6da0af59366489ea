"""What all commands share: the two consoles, options, progress, answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from muxflow.cli.signals import heed_lost
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import command_line, json_text, message
from muxflow.reports.terminal import PlainConsole

T = TypeVar("T")


class _StandardError(PlainConsole):
    """Where standard error takes nothing, on a full disk, a command goes on without its remarks: the answer counts."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            with suppress(OSError, ValueError):
                _drop_unwritten(self.file)


def _drop_unwritten(stream: IO[str]) -> None:
    """Drop what a stream holds and its file has not taken: whoever flushes it next, as Python before a process, would fail."""
    number = stream.fileno()
    former, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        stream.flush()
    finally:
        os.dup2(former, number)
        os.close(former)
        os.close(nowhere)


# A file or a pipe has no width of its own: wide enough for the tables.
out = PlainConsole(width=None if sys.stdout.isatty() else 120)
err = _StandardError(stderr=True)
LIVE = sys.stderr.isatty() and not err.is_dumb_terminal
"""Whether lines of progress may be drawn over: never in a log, whatever FORCE_COLOR and the like say of colours."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print everything: all layers with their nodes, memories, buffers, limits."),
]
BoardOption = Annotated[
    str, typer.Option("--board", "-b", help="A board's name (`muxflow boards`), or your own file: path/to/my_board.py.")
]
MODEL = typer.Argument(
    metavar="MODEL",
    help="A QONNX, QDQ or FINN-ONNX file (.onnx), a Keras one (.h5, .hdf5, .keras), a graph saved by Muxflow (.npz).",
)
MOST_JOBS = 1024
"""Processes that a command may be asked to start (decision)."""
ModelArgument = Annotated[Path, MODEL]
ProjectArgument = Annotated[Path, typer.Argument(metavar="PROJECT", help="A folder that `muxflow build` wrote.")]


@contextmanager
def tasks(quiet: bool) -> Iterator[Callable[[str, int], Callable[[int, int], None]]]:
    """Show progress bars on standard error, one line a task; where it is no terminal their titles; nothing with `quiet`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not LIVE) as progress:

        def begin(title: str, total: int) -> Callable[[int, int], None]:
            title = message(title).replace("\n", "?")
            if not quiet and not LIVE:
                err.print(f"{title} ...")
            task = progress.add_task(title, total=total or 1)
            return lambda done, count: progress.update(task, completed=done, total=count)

        yield begin


def stage(begin: Callable[[str, int], Callable[[int, int], None]], title: str, work: Callable[[], T]) -> T:
    """Do one piece of work as a task of `tasks`, and give what it gives."""
    done = begin(title, 1)
    result = work()
    done(1, 1)
    return result


def warn(text: str) -> None:
    """Tell on standard error what a command goes on without."""
    err.print(Text.assemble(("warning:", "bold yellow"), f" {text}"))


def next_command(*words: str | Path) -> None:
    """Print what a user would do next."""
    out.print(f"next: {command_line(*words)}")


def answer(entry: dict[str, Any], as_json: bool, show: Callable[[], None], written: Path | None = None) -> None:
    """Print the result of a command: one JSON object, or what `show` prints; raises MuxflowError where the disk refuses.

    `written`: the file that the command wrote; where that is standard output itself the result goes to standard error.
    After a signal that somebody has caught there is no result: it is raised again.
    """
    heed_lost()
    out.stderr = written is not None and _is_standard_output(written)
    stream = sys.stderr if out.stderr else sys.stdout
    try:
        if as_json:
            stream.write(json_text(entry))
        else:
            show()
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MuxflowError(f"standard output: cannot be written ({error.strerror or error})") from error


def _is_standard_output(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False
