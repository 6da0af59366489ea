"""Registers that the driver uses: the stream monitor's own map, and those of the AXI DMA."""

from __future__ import annotations

from dataclasses import dataclass

MONITOR_IDENTIFICATION = 0x4D58464D
"""What the first register holds: "MXFM" in ASCII."""

MONITOR_VERSION = 1
CLEAR = 1
"""Bit of the control register: all counters, frames in flight and the latency start anew."""

NO_LATENCY = 0xFFFFFFFF
"""The latency register before a frame has passed, and after more than 16 frames were in flight at once."""


@dataclass(frozen=True)
class Register:
    """One register of the stream monitor.

    `offset`: in bytes; `bits`: 32, or 64 for a low word with the high word after it, to be read in that order;
    `access`: "read", "write" or "read, write".
    """

    name: str
    offset: int
    bits: int
    access: str
    meaning: str


MONITOR: tuple[Register, ...] = (
    Register("identification", 0x00, 32, "read", f"0x{MONITOR_IDENTIFICATION:08x}"),
    Register("version", 0x04, 32, "read", "of this register map"),
    Register("control", 0x08, 32, "write", "bit 0: clear counters, latency and frames in flight"),
    Register("input_words", 0x0C, 32, "read, write", "words in an input frame; 0: a frame ends at TLAST (reset value)"),
    Register(
        "frames_per_transfer", 0x10, 32, "read, write", "TLAST reaches the DMA on every n-th frame (reset value 1)"
    ),
    Register(
        "latency", 0x14, 32, "read", "cycles of the last frame, first input word to last output word, both counted"
    ),
    Register("cycles", 0x18, 64, "read", "clock cycles since clear"),
    Register("input_frames", 0x20, 64, "read", "frames that the accelerator took"),
    Register("input_beats", 0x28, 64, "read", "words that the accelerator took"),
    Register(
        "input_stalls", 0x30, 64, "read", "cycles in which the DMA had a word and the accelerator did not take it"
    ),
    Register("input_idle", 0x38, 64, "read", "cycles in which the accelerator could take a word and the DMA had none"),
    Register("output_frames", 0x40, 64, "read", "frames that the accelerator gave"),
    Register("output_beats", 0x48, 64, "read", "words that the accelerator gave"),
    Register(
        "output_stalls", 0x50, 64, "read", "cycles in which the accelerator had a word and the DMA did not take it"
    ),
    Register("output_idle", 0x58, 64, "read", "cycles in which the DMA could take a word and the accelerator had none"),
)
"""The stream monitor's map: `board/bitstream/ip/stream_monitor.v` implements it, docs/guide/driver.md prints it."""

OFFSETS = {register.name: register.offset for register in MONITOR}

# AXI DMA in direct register mode (PG021): each channel has its registers at a base.
DMA_SEND = 0x00
"""Memory to stream (MM2S)."""

DMA_RECEIVE = 0x30
"""Stream to memory (S2MM)."""

DMA_CONTROL = 0x00
DMA_STATUS = 0x04
DMA_ADDRESS = 0x18
DMA_ADDRESS_HIGH = 0x1C
DMA_LENGTH = 0x28
DMA_LONGEST_TRANSFER = (1 << 26) - 1
"""Bytes; the block design gives the length register 26 bits."""

DMA_RUN = 1 << 0
DMA_RESET = 1 << 2
DMA_HALTED = 1 << 0
DMA_IDLE = 1 << 1
DMA_ERRORS = {
    1 << 4: "DMAIntErr (internal error: a transfer of no bytes, or more words came than the buffer holds)",
    1 << 5: "DMASlvErr (the memory answered with a slave error)",
    1 << 6: "DMADecErr (the address is not mapped: no memory answers there)",
}
"""Error bits of a status register, with what they mean."""

ACCELERATOR_CONTROL = 0x00
ACCELERATOR_START = 0x81
"""ap_start with auto-restart, for an accelerator that is started over AXI-Lite (UG1399)."""


def describe_status(name: str, status: int) -> str:
    """Put a DMA channel's status register into words."""
    found = [text for bit, text in DMA_ERRORS.items() if status & bit]
    if status & DMA_HALTED:
        found.append("halted")
    elif status & DMA_IDLE:
        found.append("idle (transfer done)")
    else:
        found.append("still running")
    return f"{name} status 0x{status:08x}: {', '.join(found)}"
