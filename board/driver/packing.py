"""Packing of codes into AXI words and back: the one implementation, for board, emulator, C simulation and test bench."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import AcceleratorError

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]
    Codes = npt.NDArray[np.int64]

CONTAINERS = (8, 16, 32, 64)
WORD_BITS = 64
"""Bits of an AXI-Stream word."""


@dataclass(frozen=True)
class AxiPort:
    """The AXI port of an input or an output of an accelerator.

    `shape`: of one frame, channel last. `lowest`, `highest`, `step`: every code is one of lowest, lowest + step, ...,
    highest. `container`: bits that an element takes in a word, one of CONTAINERS.
    """

    shape: tuple[int, ...]
    lowest: int
    highest: int
    step: int
    container: int

    @property
    def size(self) -> int:
        """Elements of a frame."""
        return math.prod(self.shape)

    @property
    def signed(self) -> bool:
        """Whether a code can be negative."""
        return self.lowest < 0

    @property
    def words(self) -> int:
        """AXI words of a frame."""
        return -(-self.size * self.container // WORD_BITS)

    def check(self, codes: Any) -> Codes:
        """Check codes and give them as int64, shape (N, *shape).

        Raises AcceleratorError on a wrong shape, a wrong type, an empty batch or a code that the port does not hold.
        """
        try:
            array = np.asarray(codes)
        except Exception as error:  # arrays of other libraries raise whatever they meet
            raise AcceleratorError(f"not an array of codes ({error})") from None
        if isinstance(codes, np.ma.MaskedArray):
            raise AcceleratorError("a masked array, and no image is left out; give it filled")
        wanted = "(N, {})".format(", ".join(map(str, self.shape)))
        if array.ndim != len(self.shape) + 1 or array.shape[1:] != self.shape:
            raise AcceleratorError(f"images of shape {array.shape}; expected {wanted}")
        if array.dtype.kind not in "iu":
            raise AcceleratorError(
                f"images of type {array.dtype}; expected integers in [{self.lowest}, {self.highest}], the codes of the "
                "input quantizer"
            )
        if not len(array):
            raise AcceleratorError("a batch of no images; give at least one")
        low, high = int(array.min()), int(array.max())
        if low < self.lowest or high > self.highest:
            raise AcceleratorError(f"image codes in [{low}, {high}]; the input holds [{self.lowest}, {self.highest}]")
        checked = array.astype(np.int64)
        if ((checked - self.lowest) % self.step).any():
            raise AcceleratorError(
                f"an image code other than {self.lowest} and {self.highest}; the input holds no others"
            )
        return checked


def pack(codes: Codes, port: AxiPort) -> Words:
    """Pack codes of shape (N, *port.shape) into AXI words, shape (N, words a frame).

    Each element stands sign-extended in its container, the first one in the lowest bits; the last word of a frame is
    filled with zeros.
    """
    flat = np.ascontiguousarray(codes.reshape(len(codes), port.size)).astype(f"<i{port.container // 8}")
    padded = np.zeros((len(flat), port.words * WORD_BITS // port.container), flat.dtype)
    padded[:, : port.size] = flat
    return padded.view("<u8")


def unpack(words: Words, port: AxiPort) -> Codes:
    """Unpack codes of shape (N, *port.shape) from AXI words; raises AcceleratorError when they are not whole frames."""
    if words.size % port.words:
        raise AcceleratorError(f"{words.size} AXI words; a frame has {port.words}, so the transfer was cut short")
    kind = "i" if port.signed else "u"
    elements = np.ascontiguousarray(words).view(f"<{kind}{port.container // 8}")
    rows = elements.reshape(-1, port.words * WORD_BITS // port.container)
    return rows[:, : port.size].reshape(-1, *port.shape).astype(np.int64)
