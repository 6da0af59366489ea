"""The one family of errors that Muxflow raises on bad input, and its warnings."""

from __future__ import annotations

from muxflow.dataflow.text import message


class MuxflowError(Exception):
    """An input or an environment that Muxflow cannot work with.

    The message names the node or file, what was met, what is supported, and what to do; names in it come from files, so
    that characters which a terminal would obey are shown as "?", and long words are cut.
    The command line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 1
    passing = False
    """Whether the same call may succeed another time: the fault is the machine's, not that of what was asked."""

    def __str__(self) -> str:
        return message(super().__str__())


def may_pass(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came of, is a fault of the machine, of which nothing may be kept."""
    while error is not None:
        if isinstance(error, OSError | MemoryError) or (isinstance(error, MuxflowError) and error.passing):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


class UsageError(MuxflowError):
    """An option or an argument is outside what it may be: said before any work."""

    exit_code = 2


class UnsupportedError(MuxflowError):
    """A model holds something that Muxflow does not support."""

    exit_code = 3


class GraphError(MuxflowError):
    """A graph breaks an invariant: shapes, intervals, order or connections."""

    exit_code = 4


class BudgetError(MuxflowError):
    """No folding fits the board; the message carries the nearest feasible answer."""

    exit_code = 5


class ToolError(MuxflowError):
    """A tool (compiler, vendor tool) is absent or failed; the message carries its last lines and its log."""

    exit_code = 6
    passing = True


class MachineFault(MuxflowError):
    """The machine is at fault, as one with no memory left, not what was asked of it: the same call may succeed later."""

    passing = True


class ExecutionError(ToolError):
    """A library that runs a model beside its graph cannot run a node that the graph was imported from."""


class MismatchError(MuxflowError):
    """Two executions that must agree bit for bit differ; names the first node, index and both values.

    `execution`: the name of the one that differs from the graph, "" where that is not known.
    """

    exit_code = 7

    def __init__(self, message: str, execution: str = "") -> None:
        super().__init__(message)
        self.execution = execution


class MuxflowWarning(UserWarning):
    """Something that is done as asked, and may not be what was meant. The command line prints it as one line."""
