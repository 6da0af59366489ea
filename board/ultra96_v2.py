"""Ultra96-V2."""

from __future__ import annotations

from muxflow.board.board import ZYNQ_ULTRASCALE_SHELL, Board
from muxflow.dataflow.fit.device import Device


class Ultra96V2(Board):
    """Ultra96-V2.

    Part: xczu3eg-sbva484-1-i, 70,560 LUT, 141,120 FF, 432 BRAM18, 360 DSP (UltraScale+ product tables DS891).
    Reserve for shell and DMA: an estimate.
    Clock: 200 MHz (decision).
    Tools: Vivado HLS 2019.2; Vitis HLS 2020.2 and later. Products: HLS project; bit, hwh, xsa and driver.
    Board files: *:ultra96v2:part0:*; clock into the processing system: 33.3333 MHz.
    """

    name = "ultra96-v2"
    title = "Ultra96-V2"
    device = Device("xczu3eg-sbva484-1-i", lut=70560, ff=141120, bram18=432, dsp=360, reserve=ZYNQ_ULTRASCALE_SHELL)
    clock_mhz = 200.0
    tools = "Vivado HLS 2019.2; Vitis HLS 2020.2 and later"
    products = "HLS project; bit, hwh, xsa and driver"
    board_parts = ("*:ultra96v2:part0:*",)
    ps_clock_mhz = 33.333333
