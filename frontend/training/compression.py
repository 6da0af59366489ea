"""Compression of photographs: the training of an encoder's codes and of the decoder that rebuilds frames from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import TaskID
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d, freeze_bit_shifts
from muxflow.frontend.training.crops import Crops
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.datasets.pictures import Picture, load_photographs
from muxflow.frontend.training.encoder_config import PATCH
from muxflow.frontend.training.frame_decoder import DecoderConfig, FrameDecoder, fingerprint, stored_precision
from muxflow.frontend.training.linear_codes import TransformCode, train_transform_code
from muxflow.frontend.training.measures import psnr
from muxflow.frontend.training.progress import epochs_bar
from muxflow.frontend.training.quantizers import HEQTensorQuant, freeze_heq, heq_step
from muxflow.frontend.training.stages import Stage, run_stages
from muxflow.frontend.training.zoo_encoder import Encoder

CHECKPOINT = "compression.pt"
WEIGHTS = 1 / 16
"""How far weights reach at first: HEQ knows their order only, so it sets how fast their codes change at a learning rate."""

SETTLED, MOMENTUM = 0.15, 0.02
"""Share of imitation after which shifts and means are frozen, and how fast they follow a batch before."""

STEPS = ("read", "imitate", "tune", "frame")
"""The stages by the fields that hold their steps."""


@dataclass(frozen=True)
class CompressionConfig:
    """How an encoder's codes and their decoder are trained.

    `crops`: of `size` pixels, from which the patches come; `batch`: patches of a step. `read` to `frame`:
    steps of the stages (see `Compression`); `read_rate` to `frame_rate`: their peak rates of Adam. `most`: bits of one
    coefficient of the code that is imitated; `spread`: of the thresholds of one channel at first, in standard deviations;
    `slope`: of a bit's logit in its sum; `weight`: of the loss while the codes are tuned;
    `frames`, `wide`: crops of a step and their size, where the decoder learns whole frames; `average`: decay of the average
    of the decoder's weights.
    Raises UsageError when a field is out of range. Source: decisions.
    """

    crops: int = 8_000
    size: int = 64
    batch: int = 128
    read: int = 1_500
    imitate: int = 7_000
    tune: int = 4_000
    frame: int = 3_000
    read_rate: float = 3e-3
    imitate_rate: float = 3e-3
    tune_rate: float = 2e-3
    frame_rate: float = 2e-3
    most: int = 5
    spread: float = 1.8
    slope: float = 4.0
    weight: float = 20.0
    frames: int = 8
    wide: int = 96
    average: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*STEPS, "crops", "size", "batch", "most", "frames", "wide"):
            if getattr(self, name) < 1:
                raise UsageError(f"compression: {name} = {getattr(self, name)}; use 1 or more")
        for name in ("size", "wide"):
            if getattr(self, name) % PATCH:
                raise UsageError(f"compression: {name} = {getattr(self, name)}; use a multiple of {PATCH}")

    def scaled(self, share: float) -> CompressionConfig:
        """Return the same recipe with a share of its steps, one at least."""
        steps = {name: max(1, round(getattr(self, name) * share)) for name in STEPS}
        return replace(self, **steps)


class Compression(nn.Module):  # type: ignore[misc]
    """The codes of an encoder and their decoder, trained on photographs in four stages.

    `read`: the decoder learns to rebuild single patches from the best linear code of the same rate: Gray codes of principal
    components. `imitate`: the encoder learns to give that code's bits. `tune`: both learn together: the decoder to rebuild
    patches, the encoder to give those bits with which the decoder comes nearest, each as important as the error that its
    inversion makes. `frame`: the decoder learns to rebuild whole frames from these codes,
    without block edges.
    The encoder's own layers of the code are trained (`EncoderConfig.measured`); its classifier is not touched.
    Source: decision; codes that learn from the error of the picture alone stay near one bit for each linear measurement.
    """

    def __init__(self, encoder: Encoder, pictures: tuple[Picture, ...], config: CompressionConfig) -> None:
        super().__init__()
        if encoder.code is None or not encoder.config.measured:
            raise MuxflowError("compression: the encoder has no code with layers of its own; set `measured`")
        self.config, self.code = config, encoder.code
        for layer in self.code:
            layer.norm.momentum = MOMENTUM
        self.wide = Crops(pictures, config.wide)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.decoder = FrameDecoder(DecoderConfig(encoder.config.code))
        generator = torch.Generator().manual_seed(config.seed)
        self.patches = patches_of(Crops(pictures, config.size).draw(config.crops, generator))
        pixels = flattened(self.patches)
        self.teacher = train_transform_code(pixels[:: max(1, len(pixels) // 20_000)], encoder.config.code, config.most)
        self.bits = torch.from_numpy(self.teacher.bits(pixels)).float()
        self.register_buffer("importance", torch.ones(encoder.config.code))
        self.average = torch.optim.swa_utils.AveragedModel(
            self.decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.average)
        )

    def stages(self) -> tuple[Stage, ...]:
        """List the stages in order."""
        c = self.config
        alone = (self.decoder.patch, self.decoder.pixels)
        return (
            Stage("learn to read", c.read, c.read_rate, alone, self._read),
            Stage("imitate", c.imitate, c.imitate_rate, (self.code,), self._imitate, begin=self._prepare),
            Stage("tune", c.tune, c.tune_rate, (self.code, *alone), self._tune),
            Stage(
                "whole frames",
                c.frame,
                c.frame_rate,
                (self.decoder,),
                self._frame,
                after=self._averaged,
            ),
        )

    def _averaged(self) -> None:
        self.average.update_parameters(self.decoder)

    def finished(self) -> FrameDecoder:
        """Return the decoder with the average of its last weights, in evaluation mode."""
        decoder: FrameDecoder = self.decoder
        decoder.load_state_dict(self.average.module.state_dict())
        decoder.eval()
        return decoder

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw patches (N, 1, 16, 16) and the bits that the teacher gives them, (N, bits)."""
        chosen = torch.randint(len(self.patches), (self.config.batch,), generator=generator)
        return self.patches[chosen], self.bits[chosen]

    def _read(self, generator: torch.Generator, progress: float) -> Tensor:
        patches, bits = self._draw(generator)
        return nn.functional.mse_loss(self.decoder.alone(bits[..., None, None]), patches)

    def _prepare(self) -> None:
        """Measure what each bit means to the picture, and start from measurements of principal components."""
        with torch.no_grad():
            bits = self.bits[:2000, :, None, None]
            read = self.decoder.alone(bits)
            for bit in range(bits.shape[1]):
                other = bits.clone()
                other[:, bit] = 1 - other[:, bit]
                self.importance[bit] = (self.decoder.alone(other) - read).square().mean().sqrt()
            self.importance /= self.importance.mean()
            generator = torch.Generator().manual_seed(self.config.seed + 1)
            freeze_bit_shifts(self.code, frozen=False)
            for layer in self.code:
                layer.conv.weight.mul_(WEIGHTS)
            measure_components(self.code[0].conv.weight, self.teacher, generator)
            spread_thresholds(self.code, self.patches[:4000], self.config.spread, generator)

    def _imitate(self, generator: torch.Generator, progress: float) -> Tensor:
        self.code.train()
        freeze_bit_shifts(self.code, frozen=progress > SETTLED)
        freeze_heq(
            self.code, frozen=progress > 0.9 or round(progress * self.config.imitate) % 8 != 0
        )  # it sorts weights
        patches, bits = self._draw(generator)
        return self._taught(self._sums(patches), bits)

    def _sums(self, patches: Tensor) -> Tensor:
        """Compute what the last activation of the code makes bits of, (N, bits)."""
        *first, last = self.code
        for layer in first:
            patches = layer(patches)
        sums: Tensor = last.norm(last.conv(patches))
        return sums[..., 0, 0]

    def _taught(self, sums: Tensor, bits: Tensor) -> Tensor:
        missed = nn.functional.binary_cross_entropy_with_logits(self._logits(sums), bits, reduction="none")
        return (missed * self.importance).mean()

    def _logits(self, sums: Tensor) -> Tensor:
        """Take the sums for logits of the bits: a bit is set from 1 on."""
        return self.config.slope * (sums - 1)

    def _tune(self, generator: torch.Generator, progress: float) -> Tensor:
        patches, _ = self._draw(generator)
        sums, codes = self._coded(patches)
        error = nn.functional.mse_loss(self.decoder.alone(codes[..., None, None]), patches)
        return self.config.weight * (error + self._missed(sums, codes, patches))

    def _coded(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Compute sums and bits of patches, (N, bits) each, as the finished encoder does; the sums have gradients."""
        self.code.train()
        freeze_bit_shifts(self.code)
        freeze_heq(self.code)
        sums = self._sums(patches)
        return sums, self.code[-1].act(sums[..., None, None])[..., 0, 0].detach()

    def _missed(self, sums: Tensor, codes: Tensor, patches: Tensor) -> Tensor:
        """Return the mean cross entropy against the bits with which the decoder comes nearer to patches, by their worth."""
        costs = flip_costs(self.decoder, codes, patches)
        wanted = torch.where(costs < 0, 1 - codes, codes)
        missed = nn.functional.binary_cross_entropy_with_logits(self._logits(sums), wanted, reduction="none")
        return (missed * costs.abs()).sum(1).mean()

    def _frame(self, generator: torch.Generator, progress: float) -> Tensor:
        self.code.eval()
        frames = self.wide.draw(self.config.frames, generator)
        with torch.no_grad():
            codes = self.code(frames)
        return nn.functional.mse_loss(self.decoder(codes), frames)


def train_compression(
    encoder: Encoder,
    folder: Path,
    config: CompressionConfig,
    *,
    resume: bool = True,
    progress: bool = True,
    validate: bool = False,
) -> tuple[FrameDecoder, dict[str, Any]]:
    """Train an encoder's codes in place on the photographs that packages ship; returns the decoder and what to report.

    `folder`: for the checkpoint; `validate`: measure on the validation pictures, not on those of the test.
    Raises MuxflowError as `run_stages` does, and where a picture is absent.
    """
    pictures = load_photographs("train")
    task = Compression(encoder, pictures, config)
    names = [picture.name for picture in pictures]
    folder.mkdir(parents=True, exist_ok=True)
    with epochs_bar(progress) as bar:
        lines: dict[str, TaskID] = {}

        def told(name: str, step: int, steps: int, loss: float) -> None:
            if name not in lines:
                lines[name] = bar.add_task(name, total=steps)
            bar.update(lines[name], completed=step, description=f"{name}: loss {loss:.4f}")

        run_stages(
            task,
            task.stages(),
            folder / CHECKPOINT,
            f"{config}; {encoder.config}; {names}",
            config.seed,
            resume=resume,
            told=told,
        )
    decoder = stored_precision(task.finished())
    encoder.eval()
    split = "validation" if validate else "test"
    return decoder, {
        "pictures": names,
        "split": split,
        "psnr": {
            one.name: round(psnr(one.luma(), rebuilt(encoder, decoder, one.luma())), 3)
            for one in load_photographs(split)
        },
        "fingerprint": fingerprint(encoder, decoder).hex(),
        "decoder": asdict(decoder.config),
        "recipe": asdict(config),
    }


def rebuilt(encoder: Encoder, decoder: FrameDecoder, plane: Bytes) -> Bytes:
    """Encode grey values (H, W) and rebuild them; the last row and column are repeated to whole patches."""
    with torch.no_grad():
        padded = np.pad(plane, [(0, -size % PATCH) for size in plane.shape], mode="edge").astype(np.float32)
        assert encoder.code is not None
        codes = encoder.code(torch.from_numpy(padded[None, None] / np.float32(256)))
        whole: Bytes = decoder.decode(codes[0]).numpy()
        return whole[: plane.shape[0], : plane.shape[1]]


def patches_of(frames: Tensor) -> Tensor:
    """Cut frames (N, 1, H, W) into patches (M, 1, 16, 16), frame by frame and row by row."""
    count, _, height, width = frames.shape
    patches = frames.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).transpose(2, 3)
    return patches.reshape(-1, 1, PATCH, PATCH)


def flattened(patches: Tensor) -> npt.NDArray[np.float64]:
    """Return patches (N, 1, 16, 16), pixels p/256, as 8-bit pixels (N, 256)."""
    pixels: npt.NDArray[np.float64] = patches.reshape(len(patches), -1).double().numpy() * 256
    return pixels


def flip_costs(decoder: FrameDecoder, codes: Tensor, patches: Tensor) -> Tensor:
    """Return by how much the mean squared error of each patch grows when a bit is inverted, (N, bits).

    `codes` (N, bits) of 0 and 1, `patches` (N, 1, 16, 16): the decoder's part for single patches is asked.
    """
    with torch.no_grad():
        first, _, second = decoder.patch
        weight = first.weight[..., 0, 0]
        hidden = nn.functional.linear(2 * codes - 1, weight, first.bias)
        last, offset = decoder.pixels[0], patches.flatten(1)
        linear = last.weight[..., 0, 0] @ second.weight[..., 0, 0]
        offset = last.weight[..., 0, 0] @ second.bias + last.bias - offset

        def error(inner: Tensor, others: Tensor) -> Tensor:
            return nn.functional.linear(torch.relu(inner), linear).add_(others).square_().mean(-1)

        flipped = hidden[:, None] - 2 * (2 * codes - 1)[..., None] * weight.T
        return error(flipped, offset[:, None]) - error(hidden, offset)[:, None]


def measure_components(weight: Tensor, teacher: TransformCode, generator: torch.Generator) -> None:
    """Set the weights of a convolution of whole patches to principal components, in place, and some noise.

    `weight` (channels, 1, 16, 16). A component has channels in proportion to the levels that it is quantised to.
    """
    shares = torch.tensor([float(len(levels)) for levels in teacher.quantiser.levels])
    chosen = torch.multinomial(shares, len(weight), replacement=True, generator=generator)
    rows = torch.from_numpy(teacher.basis.T.copy()).float()[chosen]
    signs = torch.randint(2, (len(weight), 1), generator=generator) * 2.0 - 1
    rows = rows / rows.std(1, keepdim=True) * signs + 0.3 * torch.randn(rows.shape, generator=generator)
    weight.copy_((rows * WEIGHTS / 2).reshape(weight.shape))


def spread_thresholds(code: nn.Sequential, patches: Tensor, spread: float, generator: torch.Generator) -> None:
    """Spread the norms' means over what their sums reach on patches, layer by layer, in place.

    With one shift for all channels a channel of large sums sees but a part of their range: many such channels with other
    means see all of it. `spread`: in standard deviations of a channel's sums.
    """
    for layer in code:
        layer.train()
        norm: BitShiftNorm2d = layer.norm
        momentum, norm.momentum = norm.momentum, None
        norm.reset_running_stats()
        quantizer: HEQTensorQuant = layer.conv.weight_quant.tensor_quant
        quantizer.step.copy_(heq_step(layer.conv.weight, quantizer.levels))
        norm(layer.conv(patches))
        norm.momentum = momentum
        if layer is not code[-1]:
            reached = norm.running_var.sqrt() * torch.exp2(-norm.shift.float()) * norm.step / norm.unit
            norm.bias.add_((torch.rand(len(reached), generator=generator) * 2 - 1) * spread * reached)
        patches = layer(patches)
