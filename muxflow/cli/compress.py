"""The command `muxflow compress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import Json, answer, next_command, out, tasks
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.folders import check_writable
from muxflow.dataflow.quantities import counted, rounded

PROJECT = typer.Option(
    metavar="FOLDER",
    help="An HLS project of the shipped encoder, whose C simulation codes in place of the integer graph.",
)


def compress(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="PNG, JPEG, BMP or PPM; grey, RGB or a palette.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The compressed file.")],
    project: Annotated[Path | None, PROJECT] = None,
    as_json: Json = False,
) -> None:
    """Compress a picture at 0.25 bits a pixel (colours: 0.375) by the shipped encoder."""
    from muxflow.compression.codec import opened_codec
    from muxflow.compression.container import pack
    from muxflow.compression.images import read_image

    check_writable(output, image, project)
    pixels = read_image(image)
    with tasks(as_json) as begin, opened_codec(project) as codec:
        data = pack(codec.compress(pixels, begin("compress, tiles of 32x32 pixels", 0)))
    write_atomically(output, data)
    height, width = pixels.shape[:2]
    rate = 8 * len(data) / (width * height)
    entry = {
        "image": str(image),
        "output": str(output),
        "width": width,
        "height": height,
        "planes": 1 if pixels.ndim == 2 else 3,
        "bytes": len(data),
        "bits_per_pixel": round(rate, 4),
    }

    def show() -> None:
        out.print(f"{output}: {width} x {height} pixels in {counted(len(data), 'byte')}, {rounded(rate)} bits a pixel")
        next_command("decompress", output, "-o", output.with_name(f"{output.stem}_decoded.png"))

    answer(entry, as_json, show, output)
