"""What a file is that no reader takes, said by what it holds: for messages."""

from __future__ import annotations

import zipfile
from pathlib import Path

from muxflow.dataflow.files import ARCHIVE_FAULTS

STARTS = {
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
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
    """Say what a file is; "" where that cannot be told, where it is empty and where there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        found = next((kind for start, kind in STARTS.items() if head.startswith(start)), "")
        if found or not head:
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
