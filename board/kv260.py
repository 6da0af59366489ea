"""Kria KV260."""

from __future__ import annotations

from muxflow.board.board import ZYNQ_ULTRASCALE_SHELL, Board
from muxflow.dataflow.fit.device import Device


class Kv260(Board):
    """Kria KV260.

    Part: xck26-sfvc784-2LV-c, 117,120 LUT, 234,240 FF, 288 BRAM18, 64 URAM, 1248 DSP (Kria K26 data sheet DS987).
    Reserve for shell and DMA: an estimate.
    Clock: 200 MHz (decision).
    Tools: Vitis HLS 2020.2.2 and later (the update 2020.2.2, or 2021.1, brought the part).
    Products: HLS project; bit, hwh, xsa and driver.
    Board files: xilinx.com:kv260_som:part0:*; clock into the processing system: 33.3333 MHz.
    """

    name = "kv260"
    title = "Kria KV260"
    device = Device(
        "xck26-sfvc784-2LV-c", lut=117120, ff=234240, bram18=288, dsp=1248, uram=64, reserve=ZYNQ_ULTRASCALE_SHELL
    )
    clock_mhz = 200.0
    tools = "Vitis HLS 2020.2.2 and later"
    products = "HLS project; bit, hwh, xsa and driver"
    board_parts = ("xilinx.com:kv260_som:part0:*",)
    ps_clock_mhz = 33.333333
