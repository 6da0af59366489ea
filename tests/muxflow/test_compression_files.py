"""Compressed files: what they hold, and files that are cut, damaged, of other versions or made to fill the memory."""

import struct
import zlib

import numpy as np
import pytest

from muxflow.compression.container import (
    BITS,
    CHECK,
    HEADER,
    MAGIC,
    MOST_SIDE,
    Compressed,
    code_shape,
    pack,
    plane_sizes,
    unpack,
)
from muxflow.dataflow.errors import MuxflowError, UnsupportedError

RNG = np.random.default_rng(0)
MODEL = bytes(range(8))


def picture(width=40, height=33, planes=1):
    sizes = plane_sizes(width, height, planes)
    return Compressed(width, height, MODEL, tuple(RNG.integers(0, 2, code_shape(*s), np.uint8) for s in sizes))


@pytest.mark.parametrize(("size", "planes"), [((1, 1), 1), ((32, 32), 1), ((33, 65), 3), ((5, 200), 3)])
def test_a_file_holds_the_codes_at_a_constant_rate(size, planes):
    written = picture(*size, planes)
    data = pack(written)
    read = unpack("x", data)
    assert (read.width, read.height, read.fingerprint) == (*size, MODEL)
    assert all(np.array_equal(a, b) for a, b in zip(read.codes, written.codes, strict=True))
    tiles = sum(-(-w // 32) * -(-h // 32) for w, h in plane_sizes(*size, planes))
    assert len(data) == 32 + 32 * tiles


def test_the_layout_is_as_documented():
    codes = np.zeros((2, 2, BITS), np.uint8)
    codes[0, 1, 0] = codes[1, 0, 63] = 1
    data = pack(Compressed(20, 30, MODEL, (codes,)))
    assert data[:12] == b"MUXF\x1aIMG\x01\x01\x00\x00"
    assert struct.unpack("<II", data[12:20]) == (20, 30)
    assert data[20:28] == MODEL
    assert struct.unpack("<I", data[28:32]) == (zlib.crc32(data[:28] + data[32:]),)
    assert data[32:] == bytes(8) + b"\x80" + bytes(7) + bytes(7) + b"\x01" + bytes(8)


def resealed(data):
    """A file whose checksum fits again."""
    header, payload = data[: HEADER.size], data[HEADER.size + CHECK.size :]
    return header + CHECK.pack(zlib.crc32(payload, zlib.crc32(header))) + payload


def header(version=1, planes=1, zero=0, width=40, height=33):
    return HEADER.pack(MAGIC, version, planes, zero, width, height, MODEL)


@pytest.mark.parametrize("length", [0, 7, 8, 31, 32, 100])
def test_truncated_files(length):
    with pytest.raises(MuxflowError, match=r"^photo\.mfx: .*(truncated|does not begin)"):
        unpack("photo.mfx", pack(picture())[:length])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (header(version=2), "version 2"),
        (header(planes=0), "x: 0 planes"),
        (header(planes=1, zero=7), "x: 1 plane and 7 in bytes 10 and 11"),
        (header(planes=2), "2 planes"),
        (header(width=0), "0 x 33 pixels"),
        (header(width=MOST_SIDE + 1), r"MOST_SIDE.*: its header is damaged$"),
        (header(width=MOST_SIDE, height=MOST_SIDE), r"MOST_PIXELS.*: its header is damaged$"),
        (header(width=2**32 - 1, height=2**32 - 1), "MOST_SIDE"),
        (header(height=65), "truncated, or its header is damaged"),
        (header(height=32), "too long, or its header is damaged"),
    ],
)
def test_headers_that_do_not_fit(changed, message):
    data = pack(picture())
    kind = UnsupportedError if "version" in message else MuxflowError
    with pytest.raises(kind, match=message):
        unpack("x", resealed(changed + data[HEADER.size :]))


def test_every_damaged_byte_is_noticed():
    data = pack(picture())
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(MuxflowError):
            unpack("x", bytes(damaged))


def test_codes_of_another_size_are_refused():
    with pytest.raises(MuxflowError, match="codes of shapes"):
        Compressed(40, 33, MODEL, (np.zeros((2, 2, BITS), np.uint8),))
