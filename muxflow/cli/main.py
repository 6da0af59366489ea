"""The entry point of the command line: errors become one message and an exit code."""

from __future__ import annotations

from rich.text import Text

from muxflow.cli.console import err
from muxflow.dataflow.errors import MuxflowError


def main() -> None:
    """Run a command: an error is one message on standard error and a non-zero exit code, never a traceback."""
    try:
        from muxflow.cli.app import (
            app,  # here, because it loads the ops, kernels, readers and targets of other packages
        )

        app()
    except MuxflowError as error:
        err.print(Text.assemble(("error:", "bold red"), f" {error}"), soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        said = f" the package {error.name} is not installed; `muxflow doctor` says how to get it"
        err.print(Text.assemble(("error:", "bold red"), said))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        err.print("interrupted")
        raise SystemExit(130) from None
