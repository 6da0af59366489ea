"""Packing of stream elements into AXI words: one function each way, for simulation, test bench and driver."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.design import AXI_WORD, container_bits
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.stream import Stream

Words = npt.NDArray[np.uint64]


def words_per_frame(stream: Stream) -> int:
    """AXI words that carry one frame of an outer stream."""
    return -(-stream.size * container_bits(stream) // AXI_WORD)


def pack(codes: IntArray, stream: Stream) -> Words:
    """AXI words, shape (N, words a frame), of codes of shape (N, *stream.shape).

    Each element stands sign-extended in a container of 8, 16, 32 or 64 bits, the first one in the lowest bits; the
    last word of a frame is filled with zeros.
    """
    container = container_bits(stream)
    flat = np.ascontiguousarray(codes.reshape(len(codes), stream.size)).astype(f"<i{container // 8}")
    per_frame = words_per_frame(stream) * AXI_WORD // container
    padded = np.zeros((len(flat), per_frame), flat.dtype)
    padded[:, : flat.shape[1]] = flat
    return padded.view("<u8")


def unpack(words: Words, stream: Stream) -> IntArray:
    """Codes of shape (N, *stream.shape) from AXI words; raises MuxflowError when they are not whole frames."""
    per_frame = words_per_frame(stream)
    if words.size % per_frame:
        raise MuxflowError(f"{words.size} AXI words; a frame has {per_frame}, so the transfer was cut short")
    kind = "i" if stream.signed else "u"
    container = container_bits(stream)
    elements = (
        np.ascontiguousarray(words).view(f"<{kind}{container // 8}").reshape(-1, per_frame * AXI_WORD // container)
    )
    return elements[:, : stream.size].reshape(-1, *stream.shape).astype(np.int64)
