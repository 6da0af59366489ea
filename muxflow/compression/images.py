"""Image files of a user: into grey values or colours of 8 bits, and back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.compression.container import check_size
from muxflow.dataflow.errors import MuxflowError, UnsupportedError, UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.datasets.pictures import open_picture

FORMATS = ("PNG", "JPEG", "BMP", "PPM")
"""What is read, whatever the file's name: other decoders are never run."""
WRITTEN = {".png": "PNG", ".bmp": "BMP", ".ppm": "PPM", ".pgm": "PPM"}
"""What is written, without further loss, by the suffix."""
GREY, COLOUR, DEEP = ("1", "L"), ("RGB",), ("I;16", "I;16B", "I;16L", "I")
"""Modes of Pillow's: grey values, colours, grey values of 16 bits."""
ORIENTATION = 0x0112
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's tag of the orientation, and the number of Pillow's `Transpose` that undoes each of its values but 1, upright."""
TOP_16 = (1 << 16) - 1


def read_image(path: Path) -> Bytes:
    """Read an image: uint8, grey values (H, W) or colours (H, W, 3), turned as its EXIF data say.

    Values of 16 bits keep their upper 8; of a palette or an opaque alpha channel the colours are taken.
    Raises UnsupportedError for transparent pixels, several frames and other colour spaces, MuxflowError where the file is no
    image or too large.
    """
    image = open_picture(path, FORMATS)
    check_size(str(path), *image.size)
    image = _without_alpha(path, _turned(path, image))
    if image.mode in DEEP:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > TOP_16:
            raise UnsupportedError(f"{path}: grey values of more than 16 bits; save it with 8 or 16")
        return (values >> 8).astype(np.uint8)
    if image.mode not in (*GREY, *COLOUR):
        raise UnsupportedError(
            f"{path}: an image of mode {image.mode}; supported are grey values of 1, 8 or 16 bits, RGB, RGBA and palettes: "
            "convert it to RGB"
        )
    return np.asarray(image.convert("L" if image.mode in GREY else "RGB"))


def _turned(path: Path, image: Any) -> Any:
    """Turn an image as its EXIF data say; raises MuxflowError where they cannot be read.

    Pillow's own function writes the data anew, and fails over those of other tags than this one.
    """
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception as error:  # damaged data raise nearly anything
        raise_machine_fault(error, str(path))
        raise MuxflowError(
            f"{path}: which way up it is cannot be read from its EXIF data ({reason(error)}); save it without them"
        ) from error
    method = TURNS.get(orientation)
    return image if method is None else image.transpose(method)


def _without_alpha(path: Path, image: Any) -> Any:
    """Take the colours of a palette, and drop an alpha channel that says nothing, as a colour does that stands for none."""
    key = image.info.get("transparency")
    if image.mode in ("P", "PA"):
        image = image.convert("RGB" if image.mode == "P" and key is None else "RGBA")
    if image.mode in ("LA", "RGBA"):
        clear, image = image.getchannel("A").getextrema()[0] < 255, image.convert(image.mode[:-1])
    else:
        pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
        clear = key is not None and bool((pixels == key).reshape(*pixels.shape[:2], -1).all(axis=2).any())
    if clear:
        raise UnsupportedError(f"{path}: it has transparent pixels, which are not kept; lay it on a background first")
    return image


def check_image_name(path: Path, colours: bool = False) -> str:
    """Return Pillow's format for a file to write; raises UsageError for an unknown suffix, or colours in a .pgm file."""
    if path.suffix.lower() not in WRITTEN:
        raise UsageError(f"{path}: an image is written as {', '.join(WRITTEN)}; give a name with one of these suffixes")
    if path.suffix.lower() == ".pgm" and colours:
        raise UsageError(f"{path}: a .pgm file holds grey values, and this picture has colours; write a .ppm or .png")
    return WRITTEN[path.suffix.lower()]


def write_image(path: Path, pixels: Bytes) -> None:
    """Write grey values (H, W) or colours (H, W, 3) of 8 bits, whole or not at all.

    Raises UsageError for an unknown suffix or colours in a .pgm file, MuxflowError where the disk refuses.
    """
    from PIL import Image

    kind = check_image_name(path, pixels.ndim == 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    write_atomically(path, file.getvalue())


def check_pixels(pixels: object) -> None:
    """Raise MuxflowError unless these are grey values (H, W) or colours (H, W, 3) of 8 bits."""
    met = type(pixels).__name__
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8 and pixels.ndim > 1 and pixels.shape[2:] in ((), (3,)):
            return
        met = f"{pixels.dtype} of shape {pixels.shape}"
    raise MuxflowError(f"picture: {met}; give an array of uint8, (H, W) grey values or (H, W, 3) colours")


def luma_and_chroma(pixels: Bytes) -> tuple[Bytes, ...]:
    """Part a picture into planes (H, W): its grey values, or luma and two chroma planes at half the width and height.

    ITU-R BT.601, as JPEG files have it; chroma is the mean of 2x2 pixels.
    """
    if pixels.ndim == 2:
        return (pixels,)
    from PIL import Image

    luma, *chroma = Image.fromarray(pixels).convert("YCbCr").split()
    return tuple(np.asarray(plane) for plane in (luma, *(plane.reduce(2) for plane in chroma)))


def joined(planes: tuple[Bytes, ...]) -> Bytes:
    """Join planes to a picture, as `luma_and_chroma` parts it."""
    if len(planes) == 1:
        return planes[0]
    from PIL import Image

    luma, *chroma = (Image.fromarray(plane) for plane in planes)
    size = luma.size
    wide = (2 * chroma[0].width, 2 * chroma[0].height)
    scaled = [plane.resize(wide, Image.Resampling.BICUBIC).crop((0, 0, *size)) for plane in chroma]
    return np.asarray(Image.merge("YCbCr", (luma, *scaled)).convert("RGB"))
