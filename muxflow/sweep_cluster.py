"""Where a sweep fits its points on a Dask cluster."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from typing import TypeVar

from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.text import shown

Work = TypeVar("Work")
Result = TypeVar("Result")

CONNECT_SECONDS = 10
"""What a scheduler has to answer."""
ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s/:\[\]@?#]+):(?P<port>[0-9]{1,5})", re.ASCII)


def check_address(scheduler: str) -> None:
    """Raise UsageError unless an address is `tcp://host:port`, or `tls://host:port`."""
    form = ADDRESS.fullmatch(scheduler) if isinstance(scheduler, str) else None
    if form is None or not 0 < int(form["port"]) < 1 << 16:
        raise UsageError(
            f"--scheduler {shown(scheduler)} is no address of a Dask scheduler; use tcp://host:port (8786 where `dask "
            "scheduler` was not told another), or tls://host:port with the certificates in Dask's own configuration"
        )


def on_cluster(
    fit: Callable[[Work], Result],
    works: Sequence[Work],
    scheduler: str,
    record: Callable[[Work, Result | str], object],
) -> None:
    """Call `fit` with each work on a cluster; `record` gets what it gives, or a text that says what it or the cluster raised.

    Raises UsageError for what is no address, ToolError when no scheduler answers there.
    """
    check_address(scheduler)
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ToolError(
            f"the package distributed is not installed; --scheduler needs it: {install_extra('sweep')}"
        ) from None
    _check_scheduler(scheduler)
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _no_scheduler(scheduler) from error
    with client, client.get_executor() as executor:
        try:
            futures: dict[Future[Result], Work] = {executor.submit(fit, work): work for work in works}
            for future in as_completed(futures):
                said: Result | str
                try:
                    said = future.result()
                except Exception as error:  # whatever a worker or the cluster raises concerns this point only
                    said = f"{type(error).__name__}: {error}"
                record(futures[future], said)
        except BaseException:
            executor.shutdown(wait=False)  # Dask cancels what runs, too
            raise


def _check_scheduler(scheduler: str) -> None:
    """Raise ToolError unless a Dask scheduler answers: the client itself waits without end for others, and ends with noise."""
    found: Future[str] = Future()

    def ask() -> None:
        try:
            found.set_result(asyncio.run(asyncio.wait_for(_kind(scheduler), CONNECT_SECONDS)))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()  # in a notebook this thread has a loop already
    try:
        kind = found.result(2 * CONNECT_SECONDS)  # a name that no server knows may take longer than the loop is told
    except ToolError:
        raise
    except Exception as error:
        raise _no_scheduler(scheduler) from error
    if not kind.endswith("Scheduler"):
        raise ToolError(
            f"what answers at {scheduler} is a Dask {kind}, no scheduler; give the address that `dask scheduler` shows"
        )


async def _kind(scheduler: str) -> str:
    """Ask what answers at an address for what it is."""
    from distributed.core import rpc
    from distributed.security import Security

    options = Security().get_connection_args("client")
    if scheduler.startswith("tls:") and options.get("ssl_context") is None:
        raise ToolError(
            f"{scheduler}: Dask's configuration names no certificates; it does in distributed.comm.tls: ca-file, client.cert "
            "and client.key"
        )
    async with rpc(scheduler, timeout=0.9 * CONNECT_SECONDS, connection_args=options) as there:
        return str((await there.identity())["type"])


def _no_scheduler(scheduler: str) -> ToolError:
    """Say what is met where no scheduler answers; Dask's own errors say that time is over, whatever came before."""
    host, _, port = scheduler.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 1).close()
        met = "something does, but says nothing that Dask says"
    except OSError as error:
        met = error.strerror or f"nothing does within {CONNECT_SECONDS} s"
    return ToolError(
        f"no Dask scheduler answers at {scheduler} ({met}); start one with `dask scheduler`, whose port is 8786 (8787 is its "
        "dashboard's), and workers with `dask worker`, in an environment that has Muxflow"
    )
