"""Image files of a user: every kind that is read, those that are refused by name, planes and back."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from muxflow.compression.container import MOST_SIDE
from muxflow.compression.images import joined, luma_and_chroma, read_image, write_image
from muxflow.dataflow.errors import MuxflowError, UnsupportedError, UsageError
from muxflow.frontend.training.datasets.pictures import load_photographs

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)


def saved(folder, image, name="x.png", **options):
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.ppm", "named.anyhow"])
def test_grey_values_and_colours(tmp_path, name):
    options = {"format": "PNG"} if name == "named.anyhow" else {}
    for pixels in (COLOURS, GREY):
        if name == "x.ppm" and pixels.ndim == 2:
            continue
        assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(pixels), name, **options)), pixels)


def test_opaque_alpha_palettes_and_bits(tmp_path):
    opaque = np.dstack([COLOURS, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(opaque, "RGBA"))), COLOURS)
    grey = np.dstack([GREY, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(grey, "LA"))), GREY)
    palette = Image.fromarray(COLOURS).convert("P")
    assert np.array_equal(read_image(saved(tmp_path, palette)), np.asarray(palette.convert("RGB")))
    bits = Image.fromarray(GREY).convert("1")
    assert np.array_equal(read_image(saved(tmp_path, bits)), np.asarray(bits) * np.uint8(255))


def test_a_transparent_colour_that_no_pixel_has(tmp_path):
    for pixels, key in ((GREY // 2 * 2, 1), (COLOURS // 2 * 2, (2, 4, 1)), (GREY.astype(np.uint16) << 8, 3)):
        read = read_image(saved(tmp_path, Image.fromarray(pixels), transparency=key))
        assert np.array_equal(read, pixels >> 8 if pixels.dtype == np.uint16 else pixels)


def test_sixteen_bits_keep_their_upper_half(tmp_path):
    deep = RNG.integers(0, 2**16, (5, 7), np.uint16)
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(deep))), (deep >> 8).astype(np.uint8))


def test_pictures_are_turned_as_they_say(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(GREY), exif=turned)), np.rot90(GREY, -1))
    for orientation in range(10):
        turned[0x0112] = orientation
        read = read_image(saved(tmp_path, Image.fromarray(COLOURS), exif=turned))
        assert np.array_equal(read, np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.png"))))


def test_what_is_wrong_in_exif_data(tmp_path):
    """A field of another kind than it should be stops nobody; data that cannot be read say nothing of the orientation."""
    entries = struct.pack("<H", 2) + b"".join(
        (struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), struct.pack("<HHII", 0x011A, 2, 3, 0))
    )
    odd = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + bytes(4)
    for name in ("x.png", "x.jpeg"):
        image = saved(tmp_path, Image.fromarray(GREY), name, exif=odd)
        assert read_image(image).shape == GREY.T.shape
        refused(
            tmp_path,
            Image.fromarray(GREY),
            MuxflowError,
            "cannot be read from its EXIF data",
            name,
            exif=b"Exif\0\0mine",
        )


def refused(tmp_path, image, kind, message, name="x.png", **options):
    with pytest.raises(kind, match=message):
        read_image(saved(tmp_path, image, name, **options))


def test_what_is_refused_by_name(tmp_path):
    clear = np.dstack([COLOURS, GREY])
    refused(tmp_path, Image.fromarray(clear, "RGBA"), UnsupportedError, "transparent pixels")
    palette = Image.fromarray(COLOURS).convert("P")
    refused(tmp_path, palette, UnsupportedError, "transparent pixels", transparency=int(np.asarray(palette)[0, 0]))
    key = {GREY.ndim: int(GREY[0, 0]), COLOURS.ndim: tuple(map(int, COLOURS[2, 3]))}
    deep, bits = GREY.astype(np.uint16) << 8, Image.fromarray(GREY).convert("1")
    for pixels in (GREY, COLOURS, deep):
        clear = key[pixels.ndim] if pixels is not deep else key[GREY.ndim] << 8
        refused(tmp_path, Image.fromarray(pixels), UnsupportedError, "transparent pixels", transparency=clear)
    refused(tmp_path, bits, UnsupportedError, "transparent pixels", transparency=0)
    refused(tmp_path, bits, UnsupportedError, "transparent pixels", transparency=255)
    refused(tmp_path, Image.fromarray(COLOURS).convert("CMYK"), UnsupportedError, "mode CMYK", "x.jpg")
    frames = [Image.fromarray(GREY), Image.fromarray(GREY.T.copy().reshape(5, 7))]
    refused(tmp_path, frames[0], UnsupportedError, "2 frames", "x.png", save_all=True, append_images=frames[1:])
    refused(tmp_path, Image.new("L", (MOST_SIDE + 1, 1)), MuxflowError, "MOST_SIDE")
    (tmp_path / "vast.ppm").write_bytes(b"P6\n20000 20000\n255\n")
    with pytest.raises(MuxflowError, match=r"vast\.ppm: too many pixels; cut or scale it \(Decompression"):
        read_image(tmp_path / "vast.ppm")
    (tmp_path / "cut.png").write_bytes((tmp_path / "x.png").read_bytes()[:20])
    with pytest.raises(MuxflowError, match=r"cut\.png: not a readable image"):
        read_image(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(
            ("x.webp", "a WebP"),
            ("x.tiff", "a TIFF"),
            ("x.gif", "a GIF"),
            ("x.ico", "an ICO"),
            ("x.jp2", "a JPEG 2000"),
        ),
        *(("x.avif", "an AVIF"), ("named.png", "a WebP")),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path, name, kind):
    options = {"format": "WEBP"} if name == "named.png" else {}
    file = tmp_path / name
    wanted = f"{file}: {kind} image; supported: PNG, JPEG, BMP, PPM; convert it, .* magick {file} converted.png$"
    refused(tmp_path, Image.fromarray(COLOURS), UnsupportedError, wanted, name, **options)


@pytest.mark.parametrize(
    ("data", "kind", "remedy"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC image", "convert it"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg width='3'/>", "an SVG image", "convert it"),
        (b"\0\0\x02\0" + bytes(40), "a file of unknown format", "convert it"),
        (b"%PDF-1.7" + bytes(40), "a PDF document", "give an image"),
        (b"MUXF\x1aIMG" + bytes(40), "a picture that `muxflow compress` wrote", "give an image"),
        (b"\x80\x04\x95" + bytes(40), "a Python pickle", "give an image"),
        (b"", "an empty file", "give an image"),
    ],
)
def test_other_files_are_named(tmp_path, data, kind, remedy):
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(UnsupportedError, match=rf"x\.png: {kind}; supported: PNG, JPEG, BMP, PPM; {remedy}"):
        read_image(tmp_path / "x.png")


def test_what_is_no_file_is_named(tmp_path):
    for path, what in (
        (tmp_path / "absent.png", "no such file"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(MuxflowError, match=f"^{path}: {what}.*; give an image"):
            read_image(path)


def palette_png(colours, clear):
    """A PNG file of the pixels 0 to 3 of a palette; of no colours it has none."""
    header, pixels = struct.pack(">2I5B", 4, 1, 8, 3, 0, 0, 0), zlib.compress(bytes([0, 0, 1, 2, 3]))
    chunks = [(b"IHDR", header), (b"PLTE", bytes(3 * colours)), (b"tRNS", clear), (b"IDAT", pixels)]
    parts = [(kind, data) for kind, data in chunks if data] + [(b"IEND", b"")]
    whole = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def test_a_palette_that_lacks_colours(tmp_path):
    file = tmp_path / "x.png"
    file.write_bytes(palette_png(4, b"\xff" * 4))
    assert read_image(file).shape == (1, 4, 3)
    for colours, clear, said in (
        (0, b"", "0 colours, and it uses number 3"),
        (1, b"", "1 colour, and it uses number 3"),
        (3, b"\xff", "3 colours, and it uses number 3"),
        (4, b"\xff" * 9, "4 colours, and it uses number 8"),
    ):
        file.write_bytes(palette_png(colours, clear))
        with pytest.raises(MuxflowError, match=rf"x\.png: a palette of {said}, counted from 0: it is damaged; save it"):
            read_image(file)


def test_written_images_are_the_pixels(tmp_path):
    for name, pixels in (("a.png", COLOURS), ("a.bmp", GREY), ("a.PPM", COLOURS), ("a.pgm", GREY)):
        write_image(tmp_path / name, pixels)
        assert np.array_equal(read_image(tmp_path / name), pixels)
    with pytest.raises(UsageError, match=r"written as \.png"):
        write_image(tmp_path / "a.jpg", GREY)
    with pytest.raises(UsageError, match="holds grey values"):
        write_image(tmp_path / "b.pgm", COLOURS)
    assert not (tmp_path / "b.pgm").exists()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (8, 8)])
def test_planes_of_every_size(size):
    pixels = RNG.integers(0, 256, (*size, 3), np.uint8)
    luma, *chroma = luma_and_chroma(pixels)
    assert luma.shape == size
    assert {plane.shape for plane in chroma} == {((size[0] + 1) // 2, (size[1] + 1) // 2)}
    assert joined((luma, *chroma)).shape == pixels.shape
    assert joined(luma_and_chroma(luma)) is luma


def test_smooth_colours_survive_their_planes():
    coffee = load_photographs("test")[2].pixels()
    rebuilt = joined(luma_and_chroma(coffee))
    assert np.abs(rebuilt.astype(int) - coffee).mean() < 3
