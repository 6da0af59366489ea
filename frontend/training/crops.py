"""Crops of photographs to train compression on: turned, mirrored, scaled, in other colours and contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.datasets.pictures import LUMA, Picture, open_picture

SCALES = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Sizes at which a picture is cut: scaled down, a photograph has the statistics of another one."""
MOST_SIDE = 1024
"""Pixels of a picture's longer side: a larger one is first scaled down to it, as crops of it would be smooth (decision)."""
RARE = {
    **dict.fromkeys(("brick", "hubble_deep_field", "moon"), 0.2),
    **dict.fromkeys(("cell", "grass", "gravel", "page", "text"), 0.15),
    **dict.fromkeys(("clock_motion", "coins", "ihc", "retina"), 0.35),
}
"""How often a crop is of a texture, a text or a picture of an instrument, against 1 of a photograph of a scene (decision)."""


@dataclass(frozen=True)
class Crops:
    """Random crops of `size` pixels, 0.5 of them in grey values by ITU-R BT.601, the others in random mixtures of colours.

    Raises MuxflowError where no picture is large enough.
    """

    pictures: tuple[Picture, ...]
    size: int

    @cached_property
    def _pool(self) -> tuple[list[Bytes], Tensor]:
        """All pictures at all scales, and how likely a crop comes from each."""
        from PIL import Image

        images: list[Bytes] = []
        weights: list[float] = []
        for picture in self.pictures:
            image = open_picture(picture.path).convert("RGB")
            image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
            for scale in SCALES:
                size = tuple(round(side * scale) for side in image.size)
                if min(size) >= self.size:
                    scaled = image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)
                    images.append(np.asarray(scaled))
                    weights.append(RARE.get(picture.name, 1.0) * scale**0.5)
        if not images:
            raise MuxflowError(f"training: no picture of {self.size}x{self.size} pixels or more to cut crops from")
        return images, torch.tensor(weights)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw crops (count, 1, size, size), pixels p/256; what is drawn depends on the generator only."""
        images, weights = self._pool
        chosen = torch.multinomial(weights, count, replacement=True, generator=generator).tolist()
        draws = torch.rand(count, 9, generator=generator, dtype=torch.float64).numpy()
        shifts = torch.randn(count, generator=generator).tolist()
        crops = [self._crop(images[c], d, s) for c, d, s in zip(chosen, draws, shifts, strict=True)]
        return torch.from_numpy(np.stack(crops)[:, None].astype(np.float32) / np.float32(256))

    def _crop(self, image: Bytes, draws: Sequence[float], shift: float) -> Bytes:
        """Cut one crop; `draws`: place, mixture of colours, contrast, turn, each from 0 to 1, and a normal `shift`."""
        top, left = (int(d * (side - self.size + 1)) for d, side in zip(draws, image.shape[:2], strict=False))
        mixture = np.array(LUMA)
        if draws[2] < 0.5:
            mixture = -np.log1p(-np.array(draws[3:6]))
            mixture /= mixture.sum()
        grey = image[top : top + self.size, left : left + self.size] @ mixture
        if draws[6] < 0.6:
            mean = grey.mean()
            grey = (grey - mean) * (0.6 + 0.7 * draws[6] / 0.6) + mean + 20 * shift
        turned = np.rot90(grey, int(4 * draws[7]))
        if draws[8] < 0.5:
            turned = turned[:, ::-1]
        pixels: Bytes = np.rint(turned).clip(0, 255).astype(np.uint8)
        return pixels
