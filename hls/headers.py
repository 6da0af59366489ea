"""The C++ headers of generated projects: what all kernels share, and the kernels."""

from __future__ import annotations

from pathlib import Path

from muxflow.hls.kernels import KERNELS

SHARED = Path(__file__).parent / "include" / "muxflow"
"""Types, streams, simulation; folders for other people's tools below."""


def headers() -> dict[str, Path]:
    """Map every header's place below the folder `muxflow` to its source file."""
    shared = sorted(file for file in SHARED.rglob("*") if file.suffix in (".h", ".hpp"))
    beside = {file for header in KERNELS.headers() for file in header.parent.glob("*.hpp")}
    return {file.relative_to(SHARED).as_posix(): file for file in shared} | {file.name: file for file in sorted(beside)}


def copy_headers(folder: Path, *, relative: bool = False) -> None:
    """Copy the headers into `folder`, which is called `muxflow` to those that include them.

    `relative`: their includes of each other become relative, for tools that give the compiler no folder of headers.
    """
    for place, source in headers().items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text()
        if relative:
            up = "../" * place.count("/")
            text = text.replace('#include "muxflow/', f'#include "{up}')
        target.write_text(text)
