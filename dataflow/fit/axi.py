"""The AXI-Stream ports at the ends of a design."""

from __future__ import annotations

from math import gcd

from muxflow.dataflow.graph.stream import Stream

AXI_WORD = 64
"""Bits of the AXI-Stream ports: the width of a Zynq-7000 high-performance port."""


def container_bits(stream: Stream) -> int:
    """Give the bits of the container that an element of an outer stream stands in: 8, 16, 32 or 64."""
    return next(bits for bits in (8, 16, 32, 64) if bits >= stream.bits)


def axi_lanes(stream: Stream) -> int:
    """Give the lanes of an outer stream: the most that divide both an AXI word and a frame."""
    return gcd(AXI_WORD // container_bits(stream), stream.size)
