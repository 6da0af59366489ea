"""The C++ headers of generated projects: what all kernels share, and the kernels."""

from __future__ import annotations

from pathlib import Path

from muxflow.hls.emit import Tool
from muxflow.hls.kernels import KERNELS

SHARED = Path(__file__).parent / "include" / "muxflow"
"""Types, streams, simulation; folders for other people's tools below."""
VIVADO = {
    # Vivado HLS 2019.2 knows no styles, and flushes only the pipelines of functions (UG902).
    " style=flp": "",
    "bind_storage variable=data type=ram_s2p impl=lutram": "RESOURCE variable=data core=RAM_2P_LUTRAM",
    "bind_storage variable=data type=ram_s2p impl=bram": "RESOURCE variable=data core=RAM_2P_BRAM",
    "bind_op variable=product op=mul impl=fabric": "RESOURCE variable=product core=Mul_LUT",
    "bind_op variable=product op=mul impl=dsp": "RESOURCE variable=product core=DSP48",
}
"""What the headers say in the syntax of Vitis HLS, and what Vivado HLS 2019.2 reads instead."""


def headers() -> dict[str, Path]:
    """Map every header's place below the folder `muxflow` to its source file."""
    shared = sorted(file for file in SHARED.rglob("*") if file.suffix in (".h", ".hpp"))
    beside = {file for header in KERNELS.headers() for file in header.parent.glob("*.hpp")}
    return {file.relative_to(SHARED).as_posix(): file for file in shared} | {file.name: file for file in sorted(beside)}


def copy_headers(folder: Path, *, tool: Tool = "vitis_hls", relative: bool = False) -> None:
    """Copy the headers, in the tool's syntax, into `folder`, which is called `muxflow` to those that include them.

    `relative`: their includes of each other become relative, for tools that give the compiler no folder of headers.
    """
    for place, source in headers().items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text()
        if relative:
            up = "../" * place.count("/")
            text = text.replace('#include "muxflow/', f'#include "{up}')
        if tool == "vivado_hls":
            for vitis, vivado in VIVADO.items():
                text = text.replace(vitis, vivado)
        target.write_text(text)
