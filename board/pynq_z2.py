"""PYNQ-Z2."""

from __future__ import annotations

from muxflow.board.board import ZYNQ_7000_SHELL, Board
from muxflow.dataflow.fit.device import Device


class PynqZ2(Board):
    """PYNQ-Z2.

    Part: xc7z020clg400-1, 53,200 LUT, 106,400 FF, 280 BRAM18, 220 DSP (Zynq-7000 data sheet DS190).
    Reserve for shell and DMA: measured on this part with FINN's shell.
    Clock: 100 MHz (decision).
    Tools: Vivado HLS 2019.2; Vitis HLS 2020.2 and later. Products: HLS project; bit, hwh, xsa and driver.
    Board files: tul.com.tw:pynq-z2:part0:*; clock into the processing system: 50 MHz.
    """

    name = "pynq-z2"
    title = "PYNQ-Z2"
    device = Device("xc7z020clg400-1", lut=53200, ff=106400, bram18=280, dsp=220, reserve=ZYNQ_7000_SHELL)
    clock_mhz = 100.0
    tools = "Vivado HLS 2019.2; Vitis HLS 2020.2 and later"
    products = "HLS project; bit, hwh, xsa and driver"
    board_parts = ("tul.com.tw:pynq-z2:part0:*",)
    ps_clock_mhz = 50.0
