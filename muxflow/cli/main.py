"""The entry point of the command line: whatever happens is one message and an exit code, never a traceback.

Nothing heavy is imported before the `try` of `main`: Ctrl-C in the first second is an interruption too.
"""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from muxflow.cli.signals import heed_signals, leave_signals
from muxflow.dataflow.errors import MuxflowError, MuxflowWarning, UsageError

VERBOSE = frozenset(("--verbose", "-v"))


def main() -> None:
    """Run a command: an error is one message on standard error, with `--json` one object on standard output, and a code."""
    try:
        _open_streams()
        heed_signals()
        if not VERBOSE.intersection(sys.argv[1:]):
            _quieten()
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        leave_signals()
    except BaseException as error:
        from muxflow.cli.failure import tell

        code = tell(error, sys.argv[1:])
        leave_signals()
    _let_go()
    raise SystemExit(code)


def _run(arguments: Sequence[str]) -> int:
    """Run the command of these arguments and give its exit code; every error comes out as it is."""
    _check_current_folder()
    from typer import Exit
    from typer.main import get_command

    from muxflow.cli.app import app  # here, because it loads the ops, kernels, readers and targets of other packages

    command = get_command(app)
    _check_values(command, arguments)
    try:
        with command.make_context("muxflow", list(arguments)) as context:
            command.invoke(context)
    except Exit as done:
        return done.exit_code
    return 0


def _check_values(command: Any, arguments: Sequence[str]) -> None:
    """Raise UsageError where an option stands in the place of another one's value: `-o --json` names no folder `--json`."""
    named = next((command.commands[word] for word in arguments if word in command.commands), None)
    options = [one for one in named.params if one.param_type_name == "option"] if named else []
    known = {name for one in options for name in (*one.opts, *one.secondary_opts)}
    taking = {name for one in options if not (one.is_flag or one.count) for name in one.opts}
    for word, value in itertools.pairwise(arguments):
        if word in taking and value in known:
            raise UsageError(f"{word} takes a value; met the option {value} in its place")


def _check_current_folder() -> None:
    """Raise MuxflowError where the current folder has been removed: libraries fail there, each in its own way."""
    try:
        os.getcwd()
    except OSError as error:
        raise MuxflowError(f"the current folder is gone ({error.strerror}); change into one that is there") from error


def _let_go() -> None:
    """Drop what standard error does not take, as a disk that is full: Python would try again, and end with another code."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _quieten() -> None:
    """Keep the logs and warnings of other packages from the terminal; Muxflow's own warnings are one line each."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", MuxflowWarning)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


def _open_streams() -> None:
    """Open what the caller has closed, so that no file takes its number; show "?" for what the encoding does not have."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
