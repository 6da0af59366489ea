"""Compression of photographs: an encoder's codes fitted to them, and the training of the decoder that rebuilds frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training.code_layers import comparisons, write_decoder, write_encoder
from muxflow.frontend.training.crops import Crops
from muxflow.frontend.training.datasets.dataset import Bytes
from muxflow.frontend.training.datasets.pictures import Picture, check_apart, load_photographs, load_picture_folder
from muxflow.frontend.training.encoder_config import PATCH
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.frame_decoder import DecoderConfig, FrameDecoder, fingerprint, stored_precision
from muxflow.frontend.training.linear_codes import MOST_BITS, Floats, patches_of, train_transform_code
from muxflow.frontend.training.measures import psnr
from muxflow.frontend.training.progress import training_bars
from muxflow.frontend.training.result import MOST_SEED
from muxflow.frontend.training.stages import Stage, read_checkpoint, run_stages
from muxflow.frontend.training.zoo_encoder import Encoder

CHECKPOINT = "compression.pt"
MOST_STEPS = 10**9
"""Steps of a training, at most (decision)."""
LEAST_CROPS = 500
"""Crops to whose patches the code of a short training is fitted (decision): many more patches than pixels of one."""


@dataclass(frozen=True)
class CompressionConfig:
    """How an encoder's codes are fitted and their decoder is trained.

    `crops`: of `size` pixels, to whose patches the code is fitted; `most`: bits of one coefficient. `steps`: of Adam on
    `frames` crops of `wide` pixels each, `rate`: its peak rate, `slow`: factor on it for what reads single patches, which
    begins as the code's inverse; `average`: decay of the average of the decoder's weights.
    Raises UsageError when a field is out of range. Source: decisions.
    """

    crops: int = 4_000
    size: int = 64
    most: int = 6
    steps: int = 6_000
    frames: int = 6
    wide: int = 112
    rate: float = 2e-3
    slow: float = 0.2
    average: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields("compression", self)
        check_range("compression", self, 1, "crops", "size", "frames", "wide")
        check_range("compression", self, 1, "most", most=MOST_BITS)
        check_range("compression", self, 0, "slow", "average", most=1)
        check_range("compression", self, 0, "seed", most=MOST_SEED)
        if not self.rate > 0:
            raise UsageError(f"compression: rate = {self.rate}; use a positive learning rate")
        check_range("compression", self, 1, "steps", most=MOST_STEPS)
        for name in ("size", "wide"):
            if getattr(self, name) % PATCH:
                raise UsageError(f"compression: {name} = {getattr(self, name)}; use a multiple of {PATCH}")

    def scaled(self, share: float) -> CompressionConfig:
        """Return the same recipe with a share of its steps, one at least, and below 1 of its crops, LEAST_CROPS at least."""
        crops = round(min(share, 1) * self.crops)
        return replace(self, steps=max(1, round(self.steps * share)), crops=max(crops, min(LEAST_CROPS, self.crops)))


class Compression(nn.Module):  # type: ignore[misc]
    """The codes of an encoder, fitted to photographs, and their decoder, which learns to rebuild whole frames.

    The encoder's own layers of the code (`EncoderConfig.measured`) are written, not trained: they give the bits of principal
    components of patches; its classifier is not touched. The decoder begins as the inverse of that code, patch by patch,
    and learns what neighbours and the bits together say. Source: decisions.
    """

    def __init__(
        self,
        encoder: Encoder,
        pictures: tuple[Picture, ...],
        config: CompressionConfig,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        if encoder.code is None or not encoder.config.measured:
            raise MuxflowError("compression: the encoder has no code with layers of its own; set `measured`")
        self.config, self.code = config, encoder.code
        self.wide = Crops(pictures, config.wide)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.decoder = FrameDecoder(DecoderConfig(encoder.config.code))
        patches = crop_patches(pictures, config)
        self.transform = train_transform_code(
            patches, encoder.config.code, config.most, encoder.config.measured[0], progress
        )
        write_encoder(encoder.code, comparisons(self.transform, patches))
        write_decoder(self.decoder, self.transform)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.average)
        )

    def stages(self) -> tuple[Stage, ...]:
        """List the stages in order."""
        c, decoder = self.config, self.decoder
        modules, factors = (decoder.patch, decoder.pixels, decoder.frame), (c.slow, c.slow, 1.0)
        return (Stage("whole frames", c.steps, c.rate, modules, self._frame, after=self._averaged, factors=factors),)

    def _averaged(self) -> None:
        self.average.update_parameters(self.decoder)

    def finished(self) -> FrameDecoder:
        """Return the decoder with the average of its last weights, in evaluation mode."""
        decoder: FrameDecoder = self.decoder
        decoder.load_state_dict(self.average.module.state_dict())
        decoder.eval()
        return decoder

    def _frame(self, generator: torch.Generator, progress: float) -> Tensor:
        self.code.eval()
        frames = self.wide.draw(self.config.frames, generator)
        with torch.no_grad():
            codes = self.code(frames)
        return nn.functional.mse_loss(self.decoder(codes), frames)


def crop_patches(pictures: tuple[Picture, ...], config: CompressionConfig) -> Floats:
    """Cut the patches that codes are fitted to, (N, 256), pixels of 8 bits."""
    crops = Crops(pictures, config.size).draw(config.crops, torch.Generator().manual_seed(config.seed))
    planes = (crops[:, 0] * 256).numpy().astype(np.uint8)
    return np.concatenate([patches_of(plane, PATCH) for plane in planes])


def training_pictures(folder: str | Path | None) -> tuple[Picture, ...]:
    """List the photographs to train on: those that packages ship, and those of a folder where one is given.

    Raises MuxflowError when a picture is absent, or looks like one that is held out.
    """
    packaged = load_photographs("train")
    if folder is None:
        return packaged
    more = load_picture_folder("photographs", folder, "train")
    check_apart(more, (*load_photographs("validation"), *load_photographs("test")))
    return (*packaged, *more)


def train_compression(
    encoder: Encoder,
    photographs: tuple[Picture, ...],
    folder: Path,
    config: CompressionConfig,
    *,
    resume: bool = True,
    progress: bool = True,
    validate: bool = False,
) -> tuple[FrameDecoder, dict[str, Any]]:
    """Fit an encoder's codes in place and train their decoder on photographs; returns the decoder and what to report.

    `folder`: for the checkpoint; `validate`: measure on the validation pictures, not on those of the test.
    Raises MuxflowError as `run_stages` does, and where a picture is absent.
    """
    pictures = {picture.name: picture.digest() for picture in photographs}
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, recipe = folder / CHECKPOINT, f"{config}; {encoder.config}; {pictures}"
    if resume and checkpoint.is_file():
        read_checkpoint(checkpoint, recipe)  # one of another recipe is refused before the codes are fitted
    with training_bars(progress) as begin:
        fitted = begin("fit the code to photographs, quantisers", 2 * encoder.config.code, 0)
        task = Compression(encoder, photographs, config, lambda done: fitted(done, None))
        stages = {}

        def told(name: str, step: int, steps: int, loss: float) -> None:
            if name not in stages:
                stages[name] = begin(f"train the decoder on {name}, steps", steps, step - 1)
            stages[name](step, loss)

        run_stages(
            task,
            task.stages(),
            checkpoint,
            recipe,
            config.seed,
            resume=resume,
            told=told,
        )
    decoder = stored_precision(task.finished())
    encoder.eval()
    split = "validation" if validate else "test"
    return decoder, {
        "pictures": pictures,
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
