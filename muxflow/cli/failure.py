"""How a command that fails says so: one message, a code, and a log where the fault is Muxflow's own."""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from muxflow.cli.signals import Ended, signal_behind
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.space import FULL, if_full
from muxflow.dataflow.text import message, plainly, reason
from muxflow.frontend.faults import MEMORY_REMEDY, is_of_memory

GENERAL, USAGE, INTERNAL, INTERRUPTED, PIPE_CLOSED = 1, 2, 8, 130, 141
"""Exit codes beside those of `MuxflowError` and its kinds; a signal that ends a process gives 128 and its number."""


@dataclass(frozen=True)
class Failure:
    """What a user is told: the message, "" for none, and the exit code. `error`: whether it is one, or a wish."""

    message: str
    code: int
    error: bool = True


def tell(error: BaseException, arguments: Sequence[str]) -> int:
    """Print why a command ended, and give its exit code; what cannot be printed is lost."""
    failure = failure_of(error, arguments)
    _print(failure, "--json" in arguments)
    # What is left to write when Python ends goes nowhere: it would fail again, with a message of Python's.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
    return failure.code


def failure_of(error: BaseException, arguments: Sequence[str]) -> Failure:
    """Say what an error means to a user; a log is written where it is a mistake of Muxflow."""
    left = error.__context__ if isinstance(error, SystemExit) else error  # rich ends the process where a reader leaves
    if isinstance(left, BrokenPipeError):
        return Failure("", PIPE_CLOSED)  # as of `muxflow boards | head -1`: the reader has what it wants
    if (signal := signal_behind(error)) is not None:
        if isinstance(signal, Ended):
            return Failure(f"ended by the signal {signal.number}", 128 + signal.number, error=False)
        return Failure("interrupted", INTERRUPTED, error=False)
    if isinstance(error, SystemExit):
        return Failure("", error.code if isinstance(error.code, int) else GENERAL)
    if isinstance(error, MuxflowError):
        return Failure(str(error), error.exit_code)
    if hasattr(error, "format_message"):  # the command line's parser: its class is private to typer
        return _wrong_use(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "muxflow").startswith("muxflow"):
        return Failure(f"the package {error.name} is not installed; `muxflow doctor` says how to get it", GENERAL)
    if isinstance(error, ImportError) and ".so" in str(error):  # the system's loader says it
        remedy = MEMORY_REMEDY if is_of_memory(error) else "`muxflow doctor` says how its package is installed"
        return Failure(message(f"a library cannot be loaded ({plainly(error)}); {remedy}"), GENERAL)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return Failure(message(f"{os.fsdecode(error.filename)}: {error.strerror}{_hint(error)}"), GENERAL)
    if isinstance(error, OSError) and error.errno in (*FULL, errno.EIO):
        what = "the output cannot be written" if error.errno in FULL else "a file cannot be read or written"
        return Failure(message(f"{what} ({error.strerror}){_hint(error)}"), GENERAL)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return Failure("too many files are open; raise the limit (ulimit -n), or use fewer --jobs", GENERAL)
    if _at_limit(error):
        return Failure(
            "no more processes or threads can be started; raise the limit (ulimit -u), or use fewer --jobs", GENERAL
        )
    if isinstance(error, EOFError | ValueError) and (compiled := _compiled_file(error)) is not None:
        why = "as by a disk that was full when Python wrote it; remove it and run this again"
        return Failure(message(f"{compiled} is damaged, {why}"), GENERAL)
    if (refusal := _temporary_refused()) is not None:
        return Failure(message(f"{refusal}; free space there, or name a folder in TMPDIR"), GENERAL)
    log = write_log(error, arguments)
    if is_of_memory(error):
        return Failure(f"not enough memory; use fewer images or a smaller model ({log})", GENERAL)
    return Failure(message(f"Muxflow itself failed, please report it ({log}): {reason(error)}"), INTERNAL)


def _at_limit(error: BaseException) -> bool:
    """Tell whether an error is that the user has as many processes and threads as the system allows."""
    if isinstance(error, OSError):
        return error.errno == errno.EAGAIN and error.strerror == os.strerror(
            errno.EAGAIN
        )  # a pipe's text is another one
    return isinstance(error, RuntimeError) and str(error) == "can't start new thread"


def _compiled_file(error: BaseException) -> str | None:
    """Name the compiled source of a module that Python was reading when the error came; None where it was at none.

    Python puts a file that it could not write whole in its place all the same, and never looks at its length.
    """
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-2:]
    found = (frame.f_locals.get("bytecode_path") for frame in last if "importlib" in frame.f_code.co_filename)
    return next((one for one in found if isinstance(one, str)), None)


def _hint(error: OSError) -> str:
    """Say what to do where the disk of temporary files is full; "" for another file, or another fault."""
    if error.errno not in FULL:
        return ""
    if error.filename is None:
        return if_full(before="; ")
    below = os.path.abspath(os.fsdecode(error.filename)).startswith(os.path.join(tempfile.gettempdir(), ""))
    return if_full(os.strerror(error.errno), "; ") if below else ""


def _temporary_refused() -> str | None:
    """Say why there is no folder for temporary files, without which libraries fail in ways of their own; None: there is one."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        return error.strerror
    return None


def _wrong_use(error: BaseException) -> Failure:
    """Say what the parser found wrong, and where the options are listed; without any argument the help itself."""
    text = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        return Failure(text, USAGE, error=False)
    context = getattr(error, "ctx", None)
    where = f"; see `{context.command_path} --help`" if context is not None else ""
    return Failure(message(text.rstrip(".") + where), USAGE)


def write_log(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the traceback to a new file of the temporary folder and say where it is."""
    try:
        handle, name = tempfile.mkstemp(prefix="muxflow-", suffix=".log")
        with os.fdopen(handle, "w", errors="replace") as file:
            file.write(f"muxflow {' '.join(arguments)}\nPython {sys.version}\n{platform.platform()}\n\n")
            file.writelines(traceback.format_exception(error))
    except OSError as refused:
        return f"no log could be written: {refused.strerror}"
    except MemoryError:
        return "no log could be written: no memory is left"
    return f"log: {name}"


def _print(failure: Failure, as_json: bool) -> None:
    if not failure.message:
        return
    with suppress(OSError, ValueError):
        head = ("\x1b[1;31merror:\x1b[0m " if _in_colour() else "error: ") if failure.error else ""
        sys.stderr.write(f"{head}{failure.message}\n")
    if as_json:
        with suppress(OSError, ValueError):
            sys.stdout.write(json.dumps({"error": failure.message, "exit_code": failure.code}, indent=2) + "\n")


def _in_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
