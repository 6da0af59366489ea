"""ZCU104."""

from __future__ import annotations

from muxflow.board.board import ZYNQ_ULTRASCALE_SHELL, Board
from muxflow.dataflow.fit.device import Device


class Zcu104(Board):
    """ZCU104.

    Part: xczu7ev-ffvc1156-2-e, 230,400 LUT, 460,800 FF, 624 BRAM18, 96 URAM, 1728 DSP (UltraScale+ product tables DS891).
    Reserve for shell and DMA: an estimate.
    Clock: 200 MHz (decision).
    Tools: Vivado HLS 2019.2; Vitis HLS 2020.2 and later. Products: HLS project; bit, hwh, xsa and driver.
    Board files: xilinx.com:zcu104:part0:*; clock into the processing system: 33.3333 MHz.
    """

    name = "zcu104"
    title = "ZCU104"
    device = Device(
        "xczu7ev-ffvc1156-2-e", lut=230400, ff=460800, bram18=624, dsp=1728, uram=96, reserve=ZYNQ_ULTRASCALE_SHELL
    )
    clock_mhz = 200.0
    tools = "Vivado HLS 2019.2; Vitis HLS 2020.2 and later"
    products = "HLS project; bit, hwh, xsa and driver"
    board_parts = ("xilinx.com:zcu104:part0:*",)
    ps_clock_mhz = 33.333333
