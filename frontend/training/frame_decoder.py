"""The decoder of compressed frames, which runs on the host in floats: codes of all patches in, a whole frame out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.configuration import from_settings
from muxflow.frontend.training.encoder_config import PATCH
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.state_file import read_state, restored

STRIP = 32
"""Rows of patches that are decoded at once: bounds the memory that a large frame takes."""


@dataclass(frozen=True)
class DecoderConfig:
    """All choices of a frame decoder.

    `code`: bits of a patch; `hidden`, `features`: widths of the two layers that read one patch's bits; `widths`: channels
    at an eighth and at a quarter of the frame's resolution, `blocks`: residual blocks there.
    Raises MuxflowError when a field is out of range.
    Source: a full-frame decoder as of the 1 Mb encoder (arXiv 2501.05097); the topology is a decision.
    """

    code: int = 64
    hidden: int = 256
    features: int = 128
    widths: tuple[int, int] = (96, 48)
    blocks: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        check_fields("frame decoder", self)
        check_range("frame decoder", self, 1, "code", "hidden", "features", "widths")
        check_range("frame decoder", self, 0, "blocks")

    @property
    def reach(self) -> int:
        """How many patches away a bit can matter."""
        eighth, quarter = self.blocks
        return 1 + -(-(4 * eighth + 2 * quarter + 1) // 4)


class ResidualBlock(nn.Module):  # type: ignore[misc]
    """Add to a map what two 3x3 convolutions make of it; begins near the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the sum, in the shape of `x`."""
        y: Tensor = x + self.second(torch.relu(self.first(x)))
        return y


class FrameDecoder(nn.Module):  # type: ignore[misc]
    """Rebuild frames from the codes of their patches: each patch by itself, plus what its neighbours add.

    Input (N, code, rows, columns): bits 0 and 1, any number of patches; output (N, 1, 16 rows, 16 columns): pixels p/256,
    not clipped. `patch` reads the bits of one patch, `pixels` makes 16x16 pixels of its features, and `frame` works on the
    whole map of features, at an eighth, then at a quarter of the frame's resolution, so that it knows no block edges.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = c = config
        eighth, quarter = c.widths
        self.patch = nn.Sequential(nn.Conv2d(c.code, c.hidden, 1), nn.ReLU(), nn.Conv2d(c.hidden, c.features, 1))
        self.pixels = nn.Sequential(nn.Conv2d(c.features, PATCH**2, 1), nn.PixelShuffle(PATCH))
        self.frame = nn.Sequential(
            nn.Conv2d(c.features, c.features, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c.features, 4 * eighth, 1),
            nn.PixelShuffle(2),
            *(ResidualBlock(eighth) for _ in range(c.blocks[0])),
            nn.Conv2d(eighth, 4 * quarter, 1),
            nn.PixelShuffle(2),
            *(ResidualBlock(quarter) for _ in range(c.blocks[1])),
            nn.Conv2d(quarter, PATCH, 3, padding=1),
            nn.PixelShuffle(4),
        )
        with torch.no_grad():
            nn.init.constant_(self.pixels[0].bias, 0.45)
            nn.init.zeros_(self.frame[-2].weight)
            nn.init.zeros_(self.frame[-2].bias)

    def alone(self, codes: Tensor) -> Tensor:
        """Rebuild each patch by itself, same shapes as `forward`."""
        y: Tensor = self.pixels(self.patch(2 * codes - 1))
        return y

    def forward(self, codes: Tensor) -> Tensor:
        """Rebuild frames from codes."""
        features = self.patch(2 * codes - 1)
        y: Tensor = self.pixels(features) + self.frame(features)
        return y

    def decode(self, codes: Tensor, progress: Callable[[int, int], None] | None = None) -> Tensor:
        """Rebuild one frame of codes (code, rows, columns) as 8-bit pixels, uint8 (16 rows, 16 columns).

        Works through strips of STRIP rows of patches with as many more as reach into it, so that there are no seams;
        `progress` is told the rows that are done and all of them.
        """
        with torch.no_grad():
            rows, reach, strips = codes.shape[1], self.config.reach, []
            for start in range(0, rows, STRIP):
                above = min(start, reach)
                strip = self(codes[None, :, start - above : start + STRIP + reach])[0, 0, above * PATCH :]
                strips.append((strip[: STRIP * PATCH] * 256).round().clamp(0, 255).to(torch.uint8))
                if progress is not None:
                    progress(min(start + STRIP, rows), rows)
            return torch.cat(strips)


def fingerprint(*models: nn.Module) -> bytes:
    """Return 8 bytes that stand for the weights of models, whatever file they come from."""
    digest = hashlib.sha256()
    for model in models:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.digest()[:8]


def stored_precision(decoder: FrameDecoder) -> FrameDecoder:
    """Round a decoder's weights in place to half precision, in which they are stored."""
    decoder.load_state_dict({name: tensor.half().float() for name, tensor in decoder.state_dict().items()})
    return decoder


def decoder_bytes(decoder: FrameDecoder) -> bytes:
    """Write a decoder as a file of PyTorch's, weights in half precision."""
    buffer = io.BytesIO()
    state = {name: tensor.half() for name, tensor in decoder.state_dict().items()}
    torch.save({"config": asdict(decoder.config), "state": state}, buffer)
    return buffer.getvalue()


def load_decoder(path: Path) -> FrameDecoder:
    """Load a decoder that `decoder_bytes` wrote, in evaluation mode; raises MuxflowError naming a file that holds none."""
    check_file(path, "`muxflow train` writes it", "frame decoder")
    try:
        stored = read_state(path)
        config = from_settings(DecoderConfig, {k: _plain(v) for k, v in stored["config"].items()})
        decoder: FrameDecoder = restored(lambda: FrameDecoder(config).half(), stored["state"]).float()
        return decoder
    except Exception as error:  # a damaged file raises nearly anything
        raise_machine_fault(error, f"frame decoder {path}")
        raise MuxflowError(f"frame decoder {path}: cannot be read ({reason(error)})") from error


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
