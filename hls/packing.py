"""Packing of a graph's outer streams into AXI words, by the driver's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muxflow.board.driver import packing
from muxflow.board.driver.errors import AcceleratorError
from muxflow.board.driver.packing import AxiPort
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.axi import container_bits
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray

if TYPE_CHECKING:
    from muxflow.board.driver.packing import Words


def axi_port(stream: Stream) -> AxiPort:
    """Describe an outer stream as the driver sees it."""
    return AxiPort(stream.shape, stream.lo, stream.hi, stream.step, container_bits(stream))


def words_per_frame(stream: Stream) -> int:
    """Count the AXI words that carry one frame of an outer stream."""
    return axi_port(stream).words


def pack(codes: IntArray, stream: Stream) -> Words:
    """Pack into AXI words, shape (N, words a frame), codes of shape (N, *stream.shape)."""
    return packing.pack(codes, axi_port(stream))


def unpack(words: Words, stream: Stream) -> IntArray:
    """Unpack codes of shape (N, *stream.shape) from AXI words; raises MuxflowError when they are not whole frames."""
    try:
        return packing.unpack(words, axi_port(stream))
    except AcceleratorError as error:
        raise MuxflowError(str(error)) from error
