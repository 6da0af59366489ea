"""Compression of photographs as a further task of an encoder: what its codes are trained for, and its decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.crops import Crops
from muxflow.frontend.training.datasets.pictures import Picture
from muxflow.frontend.training.encoder_config import PATCH
from muxflow.frontend.training.frame_decoder import DecoderConfig, FrameDecoder
from muxflow.frontend.training.linear_codes import TransformCode, train_transform_code
from muxflow.frontend.training.tasks import Objective
from muxflow.frontend.training.zoo_encoder import Encoder

TILE = 32


@dataclass(frozen=True)
class CompressionConfig:
    """How codes are trained.

    `crops` of `size` pixels in each step, `size` a multiple of 32; `imitate`: share of the steps in which the codes are
    taught; `steps`: all steps; `most`: bits of one coefficient of the transform code that teaches; `taught`: patches that
    it is fitted to; `warm`: steps in which the decoder first learns to read that code; `logit`: slope of the bits'
    probabilities; `taught_weight`, `rebuild_weight`: of the two losses, beside the classes'; `rate`: peak rate of Adam where
    only the decoder is trained; `finish`: steps of that after the encoder's training, on crops of `wide` pixels; `average`:
    of the decoder's weights over the last steps.
    Raises MuxflowError when a field is out of range. Source: decisions.
    """

    crops: int = 8
    size: int = 64
    steps: int = 10_000
    imitate: float = 0.6
    most: int = 5
    taught: int = 20_000
    warm: int = 2_000
    logit: float = 4.0
    taught_weight: float = 20.0
    rebuild_weight: float = 400.0
    rate: float = 2e-3
    finish: int = 3_000
    wide: int = 96
    average: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.crops, self.size, self.steps, self.most, self.taught, self.warm, self.finish, self.wide)
        if min(numbers) < 1 or self.size % TILE or self.wide % TILE:
            raise MuxflowError(f"compression: {self} holds a number below 1, or crops that are no whole tiles of {TILE}")


def tiles_of(frames: Tensor) -> Tensor:
    """Cut frames (N, 1, H, W) into tiles (M, 1, TILE, TILE), frame by frame and row by row."""
    count, _, height, width = frames.shape
    tiles = frames.reshape(count, height // TILE, TILE, width // TILE, TILE).transpose(2, 3)
    return tiles.reshape(-1, 1, TILE, TILE)


def frames_of(tiles: Tensor, size: int) -> Tensor:
    """Put what belongs to tiles, (M, C, h, w), together to square frames of `size` pixels, as `tiles_of` cut them."""
    side = size // TILE
    channels, height, width = tiles.shape[1:]
    grid = tiles.reshape(-1, side, side, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(-1, channels, side * height, side * width)


class Compression(Objective):
    """Codes of photographs that a frame decoder can rebuild.

    In its first steps the codes are taught: each bit is to be that of the Gray code of principal components, the best
    linear code of the same rate. From there on the error of the decoded picture counts: of the whole decoder, which
    removes block edges, trained together with the encoder.
    Source: decision; a code that is learned from the error alone hardly gets beyond one bit for each measurement.
    """

    def __init__(self, model: Encoder, pictures: tuple[Picture, ...], config: CompressionConfig) -> None:
        super().__init__()
        if model.code is None:
            raise MuxflowError("compression: the encoder has no code; give it one")
        self.config = config
        self.description = f"compression of {', '.join(one.name for one in pictures)}: {config}"
        self.crops = Crops(pictures, config.size)
        generator = torch.Generator().manual_seed(config.seed)
        frames = self.crops.draw(config.taught * PATCH**2 // config.size**2, generator)
        self.teacher = teacher_of(frames, config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.decoder = FrameDecoder(DecoderConfig())
        taught = learn_to_read(self.decoder, self.teacher, frames, config, generator)
        self.register_buffer("importance", taught)
        self.register_buffer("step", torch.tensor(0))
        self._sums: list[Tensor] = []
        model.code[1].register_forward_hook(lambda module, inputs, output: self._sums.append(output))

    def images(self, generator: torch.Generator) -> Tensor:
        """Draw crops and cut them into tiles."""
        self._sums.clear()
        return tiles_of(self.crops.draw(self.config.crops, generator))

    def loss(self, answer: tuple[Tensor, Tensor], images: Tensor) -> Tensor:
        """Return the loss of codes: against those that are taught, or of the decoded picture."""
        c, codes = self.config, answer[1]
        self.step += 1
        if int(self.step) <= c.imitate * c.steps:
            sums = self._sums.pop()[-len(images) :]
            return c.taught_weight * self._taught(sums, images)
        frames, codes = frames_of(images, c.size), frames_of(codes, c.size)
        return c.rebuild_weight * nn.functional.mse_loss(self.decoder(codes), frames)

    def _taught(self, sums: Tensor, tiles: Tensor) -> Tensor:
        """Return the mean cross entropy of the code layer's sums, each bit as important as it is for the picture."""
        wanted = teacher_bits(self.teacher, tiles)
        error = nn.functional.binary_cross_entropy_with_logits(
            self.config.logit * (sums - 1), wanted, reduction="none"
        )
        return (error.mean((0, 2, 3)) * self.importance).mean()


def teacher_of(frames: Tensor, config: CompressionConfig) -> TransformCode:
    """Fit the code that teaches to the patches of frames (N, 1, H, W)."""
    return train_transform_code(patches_of(frames), DecoderConfig().code, config.most)


def patches_of(frames: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Cut frames (N, 1, H, W) into patches (M, pixels) of 8-bit pixels, frame by frame and row by row."""
    count, _, height, width = frames.shape
    patches = frames.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).transpose(2, 3)
    return (patches.reshape(-1, PATCH**2).numpy() * 256).astype(np.float64)


def teacher_bits(teacher: TransformCode, frames: Tensor) -> Tensor:
    """Code frames (N, 1, H, W) as the teacher does: bits 0 and 1, (N, bits, H / 16, W / 16)."""
    count, _, height, width = frames.shape
    bits = torch.from_numpy(teacher.bits(patches_of(frames))).float()
    return bits.reshape(count, height // PATCH, width // PATCH, -1).permute(0, 3, 1, 2)


def learn_to_read(
    decoder: FrameDecoder, teacher: TransformCode, frames: Tensor, config: CompressionConfig, generator: torch.Generator
) -> Tensor:
    """Train the decoder's part that rebuilds patches by themselves on the teacher's codes of frames, in place.

    Returns the importance of each bit, mean 1: the square root of the error that its inversion makes.
    """
    codes = teacher_bits(teacher, frames).permute(0, 2, 3, 1).reshape(-1, decoder.config.code, 1, 1)
    patches = torch.from_numpy(patches_of(frames) / 256).float().reshape(-1, 1, PATCH, PATCH)
    layers = (decoder.patch, decoder.pixels)
    optimizer = torch.optim.Adam([p for layer in layers for p in layer.parameters()], betas=(0.9, 0.99))
    for step in range(config.warm):
        chosen = torch.randint(len(codes), (512,), generator=generator)
        loss = nn.functional.mse_loss(decoder.alone(codes[chosen]), patches[chosen])
        descend(optimizer, loss, cosine(1.5 * config.rate, step / config.warm))
    with torch.no_grad():
        some = codes[:2000]
        read = decoder.alone(some)
        error = []
        for bit in range(codes.shape[1]):
            other = some.clone()
            other[:, bit] = 1 - other[:, bit]
            error.append((decoder.alone(other) - read).square().mean().sqrt())
    found = torch.stack(error)
    return found / found.mean()


def cosine(peak: float, progress: float, warmup: float = 0.02) -> float:
    """Return the learning rate at a progress from 0 to 1: it rises, then falls as half a cosine."""
    return peak * min(1.0, (progress + 1e-4) / warmup) * 0.5 * (1 + float(np.cos(np.pi * progress)))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """Do one step of an optimizer down the gradient of a loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def finish(
    task: Compression, model: Encoder, progress: Callable[[int, float], None] | None = None
) -> FrameDecoder:
    """Train the decoder on the codes of the finished encoder, on larger crops; returns the average of its last weights.

    `progress(step, loss)` is called after each step.
    """
    c, decoder = task.config, task.decoder
    wide = Crops(task.crops.pictures, c.wide)
    generator = torch.Generator().manual_seed(c.seed + 1)
    optimizer = torch.optim.Adam(decoder.parameters(), betas=(0.9, 0.99))
    average = torch.optim.swa_utils.AveragedModel(
        decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(c.average)
    )
    model.eval()
    for step in range(c.finish):
        frames = wide.draw(c.crops, generator)
        with torch.no_grad():
            codes = frames_of(model(tiles_of(frames))[1], c.wide)
        loss = nn.functional.mse_loss(decoder(codes), frames)
        descend(optimizer, loss, cosine(c.rate, step / c.finish))
        average.update_parameters(decoder)
        if progress is not None:
            progress(step, float(loss.detach()))
    decoder.load_state_dict(average.module.state_dict())
    return decoder.eval()
