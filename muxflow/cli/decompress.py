"""The command `muxflow decompress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import Json, answer, out, tasks
from muxflow.dataflow.folders import check_writable


def decompress(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `muxflow compress` wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="IMAGE", help="The picture: .png, .bmp, .ppm, or .pgm for grey.")
    ],
    as_json: Json = False,
) -> None:
    """Rebuild a picture from a compressed file by the shipped full-frame decoder."""
    from muxflow.compression.codec import read_compressed, shipped_codec
    from muxflow.compression.images import check_image_name, write_image

    check_image_name(output)
    check_writable(output, file)
    picture = read_compressed(file)
    check_image_name(output, len(picture.codes) > 1)
    with tasks(as_json) as begin:
        pixels = shipped_codec().decompress(picture, begin("decompress, rows of patches", 0), str(file))
    write_image(output, pixels)
    entry = {
        "file": str(file),
        "output": str(output),
        "width": picture.width,
        "height": picture.height,
        "planes": len(picture.codes),
    }
    answer(entry, as_json, lambda: out.print(f"{output}: {picture.width} x {picture.height} pixels"), output)
