"""Compress the held-out photographs at 0.25 bits a pixel by the shipped models, and by other codes of the same rate.

    make compression-table   or    .venv/bin/python benchmarks/compression.py [--output FOLDER] [--kodak FOLDER]

Grey values (luma). The other codes are fitted to crops of the pictures that the shipped models were trained on: principal
components with optimal bit allocation and Lloyd-Max quantisers, of 16x16 pixels with 64 bits and of 32x32 with 256, and
random measurements of one and two bits with the linear decoder of least squares. JPEG has the highest quality whose file
is no longer than the compressed one; its rate is not constant. The report shows all pictures side by side.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from muxflow.compression.codec import shipped_codec
from muxflow.compression.container import pack, unpack
from muxflow.dataflow.files import write_atomically
from muxflow.frontend.training.compression import training_pictures
from muxflow.frontend.training.crops import Crops
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.datasets.pictures import Picture, load_photographs, load_picture_folder
from muxflow.frontend.training.linear_codes import (
    Floats,
    PatchCode,
    patches_of,
    plane_of,
    train_measurement_code,
    train_transform_code,
)
from muxflow.frontend.training.measures import BLOCK, blockiness, psnr, ssim

CROPS, CROP, SEED = 2000, 64, 0
QUALITIES = range(1, 96)
SHIPPED, WIDE, JPEG = (
    "shipped encoder and full-frame decoder",
    "principal components, 32x32",
    "JPEG, at most as large a file",
)
BLOCKS = {WIDE: 32, JPEG: 8}
"""Pixels of the blocks whose edges are looked at, where they are not 16."""


@dataclass(frozen=True)
class Row:
    """One picture by one code: bytes of its file, and how near the decoded picture is."""

    picture: str
    code: str
    size: int
    bits_per_pixel: float
    psnr: float
    ssim: float
    blockiness: float


Decoded = tuple[Bytes, int]
Code = Callable[[Bytes], Decoded]
"""Gives the decoded picture and the bytes of its file."""


def shipped() -> Code:
    """Return the shipped models as a code."""
    codec = shipped_codec()

    def code(plane: Bytes) -> Decoded:
        data = pack(codec.compress(plane))
        return codec.decompress(unpack("picture", data)), len(data)

    return code


def of_patches(fitted: PatchCode, side: int, bits: int) -> Code:
    """Return a code of patches of `side` pixels with so many bits each."""

    def code(plane: Bytes) -> Decoded:
        patches = patches_of(plane, side)
        return plane_of(fitted(patches), (plane.shape[0], plane.shape[1])), len(patches) * bits // 8

    return code


def linear_codes(pictures: tuple[Picture, ...]) -> dict[str, Code]:
    """Fit the linear codes to crops of pictures."""
    crops = Crops(pictures, CROP).draw(CROPS, torch.Generator().manual_seed(SEED))
    planes = (crops[:, 0] * 256).numpy().astype(np.uint8)

    def patches(side: int) -> Floats:
        return np.concatenate([patches_of(plane, side) for plane in planes])

    return {
        "principal components, 16x16": of_patches(train_transform_code(patches(16), 64), 16, 64),
        WIDE: of_patches(train_transform_code(patches(32), 256), 32, 256),
        "random measurements of 1 bit": of_patches(train_measurement_code(patches(16), 64, 1), 16, 64),
        "random measurements of 2 bits": of_patches(train_measurement_code(patches(16), 64, 2), 16, 64),
    }


def jpeg(plane: Bytes, most: int) -> Decoded:
    """Compress by JPEG with the highest quality that `most` bytes hold, with optimised tables."""
    found: Decoded | None = None
    for quality in QUALITIES:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() > most and found is not None:
            break
        found = np.asarray(Image.open(file)), file.tell()
    assert found is not None
    return found


def measured(picture: Picture, codes: dict[str, Code]) -> list[tuple[Row, Bytes]]:
    """Measure one picture by all codes, and by JPEG at the file size of the first."""
    plane = picture.luma()
    decoded = {name: code(plane) for name, code in codes.items()}
    decoded[JPEG] = jpeg(plane, next(iter(decoded.values()))[1])
    return [
        (
            Row(
                picture.name,
                name,
                size,
                8 * size / plane.size,
                psnr(plane, image),
                ssim(plane, image),
                blockiness(image, plane, BLOCKS.get(name, BLOCK)),
            ),
            image,
        )
        for name, (image, size) in decoded.items()
    ]


def table_of(rows: list[Row]) -> Table:
    """Lay the rows out, and the mean of each code over all pictures."""
    table = Table(
        title="held-out photographs, luma; blockiness: steps of the error across block edges over those inside"
    )
    for name in ("picture", "code", "bytes", "bits a pixel", "PSNR dB", "SSIM", "blockiness"):
        table.add_column(name, justify="left" if name in ("picture", "code") else "right")
    means = [mean_of([row for row in rows if row.code == code]) for code in dict.fromkeys(row.code for row in rows)]
    for row in (*rows, *means):
        figures = (f"{row.size:,}", f"{row.bits_per_pixel:.3f}", f"{row.psnr:.2f}", f"{row.ssim:.3f}")
        table.add_row(row.picture, row.code, *figures, f"{row.blockiness:.2f}")
    return table


def mean_of(rows: list[Row]) -> Row:
    """Return the mean of rows of one code."""

    def mean(name: str) -> float:
        return sum(getattr(row, name) for row in rows) / len(rows)

    names = ("bits_per_pixel", "psnr", "ssim", "blockiness")
    return Row("mean", rows[0].code, round(mean("size")), *(mean(name) for name in names))


def page(found: list[tuple[Row, Bytes]], originals: dict[str, Bytes]) -> str:
    """Write the pictures side by side as one HTML page."""

    def image(plane: Bytes, caption: str) -> str:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode()
        return f'<figure><img src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'

    parts = []
    for name, original in originals.items():
        parts.append(f"<h2>{name}</h2><div>{image(original, 'original, 8 bits a pixel')}")
        for row, plane in found:
            if row.picture == name:
                figures = f"{row.bits_per_pixel:.3f} bits a pixel, {row.psnr:.2f} dB, SSIM {row.ssim:.3f}"
                parts.append(image(plane, f"{row.code}: {figures}, blockiness {row.blockiness:.2f}"))
        parts.append("</div>")
    style = "body{font:14px sans-serif}div{display:flex;flex-wrap:wrap}figure{margin:8px;max-width:640px}img{max-width:100%}"
    return f'<!doctype html><meta charset="utf-8"><title>Compression</title><style>{style}</style>{"".join(parts)}\n'


def main(
    output: Annotated[Path, typer.Option(help="Folder for the page with the pictures.")] = Path("build/compression"),
    kodak: Annotated[
        Path | None, typer.Option(help="Folder of Kodak's pictures, in place of those of packages.")
    ] = None,
    training: Annotated[
        Path | None, typer.Option(help="Folder of photographs to fit the linear codes to, besides those of packages.")
    ] = None,
) -> None:
    """Print the table and write the page."""
    torch.set_num_threads(1)
    pictures = load_photographs("test") if kodak is None else load_picture_folder("kodak", kodak, "test")
    codes = {SHIPPED: shipped(), **linear_codes(training_pictures(training))}
    found = [one for picture in pictures for one in measured(picture, codes)]
    console = Console(width=130)
    console.print(table_of([row for row, _ in found]))
    target = output / "compression.html"
    write_atomically(target, page(found, {picture.name: picture.luma() for picture in pictures}).encode())
    console.print(f"pictures side by side: {target}")


if __name__ == "__main__":
    typer.run(main)
