"""What a file is that no reader takes, said by what it holds: for messages."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from muxflow.dataflow.files import ARCHIVE_FAULTS

IMAGES = {
    kind: re.compile(start, re.DOTALL)
    for kind, start in {
        "a PNG image": rb"\x89PNG\r\n",
        "a JPEG image": rb"\xff\xd8\xff",
        "a BMP image": rb"BM.{4}\0{4}",
        "a PPM image": rb"P[1-6]\s+[#\d]",
        "a GIF image": rb"GIF8[79]a",
        "a TIFF image": rb"II[*+]\0|MM\0[*+]",
        "a WebP image": rb"RIFF.{4}WEBP",
        "an AVIF image": rb".{4}ftypavi[fs]",
        "a HEIC image": rb".{4}ftyp(he[ivm][cmsx]|mif1|msf1)",
        "a JPEG 2000 image": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
        "a JPEG XL image": rb"\0\0\0\x0cJXL |\xff\x0a",
        "an ICO image": rb"\0\0\x01\0",
        "a Photoshop image": rb"8BPS",
        "an SVG image": rb"(\xef\xbb\xbf)?\s*(<.*)?<svg\b",
    }.items()
}
"""How images begin."""
STARTS = {
    b"MUXF\x1aIMG": "a picture that `muxflow compress` wrote",
    b"%PDF-": "a PDF document",
    b"\x1f\x8b": "a file compressed by gzip; unpack it first",
    b"\x7fELF": "an executable",
    b"\x80\x02": "a Python pickle, perhaps of PyTorch; export the model as QONNX",
    b"\x80\x04": "a Python pickle; export the model as QONNX",
    b"\x93NUMPY": "a NumPy array (.npy)",
}
HEAD = 4096
"""Bytes that tell text from other data."""


def kind_of(path: Path) -> str:
    """Say what a file is; "" where that cannot be told, and where there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if not head:
            return "an empty file"
        found = next((kind for kind, start in IMAGES.items() if start.match(head)), "")
        found = found or next((kind for start, kind in STARTS.items() if head.startswith(start)), "")
        if found:
            return found
        if head[4:8] == b"TFL3":
            return "a TensorFlow Lite model; give the QKeras, HGQ2 or QONNX model that it was made of"
        return _archive(path) if zipfile.is_zipfile(path) else "a text file" if _is_text(head) else ""
    except ARCHIVE_FAULTS:
        return ""


def _archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file; export the model as QONNX"
    if names and all(name.endswith(".npy") for name in names):
        return "arrays saved by NumPy, no graph saved by Muxflow"
    return "a zip archive"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or len(head) < HEAD:  # a letter may be cut at the end of the head
            return False
        text = head[: error.start].decode()
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)
