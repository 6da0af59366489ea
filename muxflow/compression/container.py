"""The file of a compressed picture: 32 bytes of header, then 8 bytes for each patch of 16x16 pixels.

All numbers are little endian.

| bytes | field |
|---|---|
| 0-7 | `MUXF`, 0x1A, `IMG`: no text file begins so |
| 8 | version of the format, 1 |
| 9 | planes: 1 (grey) or 3 (luma, then the two chroma planes of half its width and height, rounded up) |
| 10-11 | zero |
| 12-15, 16-19 | width and height in pixels |
| 20-27 | fingerprint of the encoder and decoder |
| 28-31 | CRC-32 of the bytes 0-27 and of all that follow the header |
| 32- | the patches of each plane in turn, row by row: 64 bits each, the first in the highest bit of the first byte |

Each plane is as large as the next multiples of 32 pixels, which is what the encoder takes at once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.datasets.dataset import Bytes

MAGIC = b"MUXF\x1aIMG"
VERSION = 1
HEADER = struct.Struct("<8sBBHII8s")
CHECK = struct.Struct("<I")
TILE, PATCH, BITS = 32, 16, 64
"""Pixels that a tile and a patch are wide and high, and bits of a patch."""
MOST_PIXELS, MOST_SIDE = 1 << 26, 1 << 14
"""Pixels of a picture, and of its longer side (decision): what a decoder holds in memory at once grows with them."""


@dataclass(frozen=True)
class Compressed:
    """A compressed picture: size in pixels, fingerprint of the model, and the codes of each plane.

    `codes`: uint8 of 0 and 1, (rows, columns, BITS) of patches, one array a plane.
    Raises MuxflowError when size and codes do not fit together.
    """

    width: int
    height: int
    fingerprint: bytes
    codes: tuple[Bytes, ...]

    def __post_init__(self) -> None:
        check_size("picture", self.width, self.height)
        expected = [code_shape(*size) for size in plane_sizes(self.width, self.height, len(self.codes))]
        if [plane.shape for plane in self.codes] != expected:
            raise MuxflowError(f"codes of shapes {[plane.shape for plane in self.codes]}; expected {expected}")


def check_size(what: str, width: int, height: int, remedy: str = "cut or scale it") -> None:
    """Raise MuxflowError naming `what` where it has no pixel, or more than MOST_SIDE or MOST_PIXELS allow."""
    if min(width, height) < 1 or max(width, height) > MOST_SIDE or width * height > MOST_PIXELS:
        raise MuxflowError(
            f"{what}: {width} x {height} pixels; supported are 1 to {MOST_SIDE:,} (MOST_SIDE) in a row or column and "
            f"{MOST_PIXELS:,} in all (MOST_PIXELS): {remedy}"
        )


def plane_sizes(width: int, height: int, planes: int) -> tuple[tuple[int, int], ...]:
    """List (width, height) of each plane: chroma is half as wide and high as luma, rounded up."""
    return ((width, height), *(((width + 1) // 2, (height + 1) // 2),) * (planes - 1))


def code_shape(width: int, height: int) -> tuple[int, int, int]:
    """Give the shape of the codes of a plane: rows and columns of patches in whole tiles, and bits."""
    rows, columns = (-(-size // TILE) * (TILE // PATCH) for size in (height, width))
    return rows, columns, BITS


def pack(picture: Compressed) -> bytes:
    """Write the file of a compressed picture."""
    header = HEADER.pack(MAGIC, VERSION, len(picture.codes), 0, picture.width, picture.height, picture.fingerprint)
    payload = b"".join(np.packbits(plane, axis=-1).tobytes() for plane in picture.codes)
    return header + CHECK.pack(zlib.crc32(payload, zlib.crc32(header))) + payload


def unpack(name: str, data: bytes) -> Compressed:
    """Read the file of a compressed picture; `name` stands in messages.

    Raises UnsupportedError for a file of a newer version, MuxflowError where it is no compressed picture, is truncated or
    damaged, or asks for more than the limits.
    """
    start = HEADER.size + CHECK.size
    if data[: len(MAGIC)] != MAGIC:
        raise MuxflowError(f"{name}: no picture that `muxflow compress` wrote: it does not begin with its mark")
    if len(data) < start:
        raise MuxflowError(f"{name}: {counted(len(data), 'byte')}; a header has {start}, so the file is truncated")
    _, version, planes, zero, width, height, fingerprint = HEADER.unpack_from(data)
    if version != VERSION:
        raise UnsupportedError(
            f"{name}: version {version} of the format; this Muxflow reads version {VERSION}, so use a newer one"
        )
    if planes not in (1, 3) or zero:
        raise MuxflowError(
            f"{name}: {counted(planes, 'plane')} and {zero} in bytes 10 and 11; expected 1 or 3, and 0: it is damaged"
        )
    check_size(name, width, height, "its header is damaged")
    shapes = [code_shape(*size) for size in plane_sizes(width, height, planes)]
    length = sum(prod(shape) // 8 for shape in shapes)
    if len(data) - start != length:
        raise MuxflowError(
            f"{name}: {counted(len(data) - start, 'byte')} of codes; {width} x {height} pixels in {counted(planes, 'plane')} "
            f"take {length:,}: it is {'truncated' if len(data) - start < length else 'too long'}, or its header is damaged"
        )
    (check,) = CHECK.unpack_from(data, HEADER.size)
    if zlib.crc32(data[start:], zlib.crc32(data[: HEADER.size])) != check:
        raise MuxflowError(f"{name}: the checksum does not fit; the file is damaged")
    return Compressed(width, height, fingerprint, tuple(_planes(data[start:], shapes)))


def _planes(payload: bytes, shapes: list[tuple[int, int, int]]) -> Iterator[Bytes]:
    packed = np.frombuffer(payload, np.uint8)
    for shape in shapes:
        size = prod(shape) // 8
        yield np.unpackbits(packed[:size].reshape(*shape[:2], -1), axis=-1)
        packed = packed[size:]
