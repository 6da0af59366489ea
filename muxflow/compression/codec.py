"""Pictures through the accelerator and back: tiles to codes, codes to frames, with the models that ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import muxflow
from muxflow.compression.container import BITS, PATCH, TILE, Compressed, check_size, plane_sizes
from muxflow.compression.images import joined, luma_and_chroma
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.proof.compare import Progress

if TYPE_CHECKING:
    from muxflow.frontend.training.frame_decoder import FrameDecoder

NETWORK = "encoder_digits"
"""The shipped network whose code compresses pictures."""
PRETRAINED = Path(muxflow.frontend.__file__).parent / "training" / "pretrained"
BATCH = 64
"""Tiles that go through the encoder at once."""

Encode = Callable[[Bytes], npt.NDArray[Any]]
"""Tiles (N, TILE, TILE, 1) of 8-bit grey values to codes (N, 2, 2, BITS) of 0 and 1: a graph, a simulation, a board."""


@dataclass(frozen=True)
class Codec:
    """An encoder and the decoder that was trained with it; `fingerprint`: 8 bytes that stand for both."""

    encode: Encode
    decoder_file: Path
    fingerprint: bytes

    @cached_property
    def decoder(self) -> FrameDecoder:
        """The decoder, loaded when it is first used: it needs PyTorch, and an encoder does not."""
        from muxflow.frontend.training.frame_decoder import load_decoder

        return load_decoder(self.decoder_file)

    def compress(self, pixels: Bytes, progress: Progress | None = None) -> Compressed:
        """Compress grey values (H, W) or colours (H, W, 3) of 8 bits; `progress` is told the tiles done and all of them.

        Raises MuxflowError when the picture has no pixel or too many.
        """
        height, width = pixels.shape[:2]
        check_size("picture", width, height)
        planes = [tiles_of(plane) for plane in luma_and_chroma(pixels)]
        total, done, codes = sum(len(tiles) for tiles, _ in planes), 0, []
        for tiles, shape in planes:
            parts = []
            for start in range(0, len(tiles), BATCH):
                parts.append(self.encode(tiles[start : start + BATCH]))
                done += len(parts[-1])
                if progress is not None:
                    progress(done, total)
            codes.append(codes_of(np.concatenate(parts), shape))
        return Compressed(width, height, self.fingerprint, tuple(codes))

    def decompress(self, picture: Compressed, progress: Progress | None = None) -> Bytes:
        """Rebuild a picture, (H, W) or (H, W, 3) of 8 bits; `progress` is told rows of patches.

        Raises MuxflowError when other models compressed it.
        """
        if picture.fingerprint != self.fingerprint:
            raise MuxflowError(
                f"the picture was compressed by the model {picture.fingerprint.hex()}; this is {self.fingerprint.hex()}: use the "
                "version of Muxflow that compressed it"
            )
        import torch

        sizes = plane_sizes(picture.width, picture.height, len(picture.codes))
        rows = [len(codes) for codes in picture.codes]
        planes = []
        for place, (codes, (width, height)) in enumerate(zip(picture.codes, sizes, strict=True)):

            def told(done: int, _: int, before: int = sum(rows[:place])) -> None:
                if progress is not None:
                    progress(before + done, sum(rows))

            bits = torch.from_numpy(codes.transpose(2, 0, 1).astype(np.float32))
            planes.append(self.decoder.decode(bits, told).numpy()[:height, :width])
        return joined(tuple(planes))


def tiles_of(plane: Bytes) -> tuple[Bytes, tuple[int, int]]:
    """Cut a plane (H, W) into tiles (N, TILE, TILE, 1), row by row; its last row and column are repeated to whole tiles.

    Returns the rows and columns of tiles too.
    """
    padded = np.pad(plane, [(0, -size % TILE) for size in plane.shape], mode="edge")
    rows, columns = (size // TILE for size in padded.shape)
    tiles = padded.reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    return np.ascontiguousarray(tiles).reshape(-1, TILE, TILE, 1), (rows, columns)


def codes_of(codes: npt.NDArray[Any], shape: tuple[int, int]) -> Bytes:
    """Put the codes of tiles, (N, 2, 2, BITS), to their places in a plane: (rows, columns, BITS) of patches."""
    rows, columns = shape
    side = TILE // PATCH
    placed = codes.reshape(rows, columns, side, side, BITS).swapaxes(1, 2)
    return placed.reshape(rows * side, columns * side, BITS).astype(np.uint8)
