"""The choices of an Efficiera Residual Network, and those of the ready-made ones; no training library is needed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.scales import ScaleMode

BOTTLENECK_EXPANSION = 4
"""How many times its inside's channels a bottleneck gives."""


@dataclass(frozen=True)
class ErnConfig:
    """All choices of an ERN.

    `widths`: channels of the stages (of a bottleneck's inside); each but the first halves the map; `blocks`: residual
    blocks of each stage; `bottleneck`: 1x1, 3x3, 1x1 with four times as many channels, else two 3x3; `stem`: strides of the
    3x3 convolutions before the blocks, a 1x1 follows; `stem_width`: their channels; `codes`, `code_bits`: of the
    thermometer; `bits`: of activations; `classes`; `input_shape`: (C, H, W), divisible by all strides; `scale`: activation
    scale.
    Raises MuxflowError when a field is out of range.
    Source: ERN (arXiv 2410.11553), whose ImageNet networks the presets are; `ern_mnist` is a decision.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    stem: tuple[int, ...] = (2, 1, 2)
    stem_width: int = 64
    codes: int = 10
    code_bits: int = 2
    bits: int = 2
    classes: int = 1000
    input_shape: tuple[int, int, int] = (3, 256, 256)
    scale: ScaleMode = "power_of_two"

    def __post_init__(self) -> None:
        check_fields("ern", self)
        if not self.widths or len(self.widths) != len(self.blocks) or not self.stem:
            raise MuxflowError(
                f"ern: {counted(len(self.widths), 'width')}, {counted(len(self.blocks), 'number')} of blocks and "
                f"{counted(len(self.stem), 'stride')} of the stem; give "
                "one width and one number of blocks a stage, and one stride or more"
            )
        check_range("ern", self, 1, "widths", "blocks", "stem", "stem_width", "classes", "input_shape")
        check_range("ern", self, 1, "codes", "code_bits", "bits")
        down = prod(self.stem) * 2 ** (len(self.widths) - 1)
        if any(size % down for size in self.input_shape[1:]):
            raise MuxflowError(
                f"ern: input shape {self.input_shape}; give (C, H, W) with H and W divisible by "
                f"{down}, the product of all strides"
            )


PRESETS: dict[str, ErnConfig] = {
    "ern18_075": ErnConfig(widths=(64, 128, 256, 384)),
    "ern18": ErnConfig(),
    "ern34": ErnConfig(blocks=(3, 4, 6, 3)),
    "ern50": ErnConfig(blocks=(3, 4, 6, 3), bottleneck=True),
    "ern101": ErnConfig(blocks=(3, 4, 23, 3), bottleneck=True),
    "ern_mnist": ErnConfig(
        widths=(32, 64), blocks=(1, 1), stem=(2,), stem_width=32, classes=10, input_shape=(1, 28, 28)
    ),
}
"""The ImageNet networks of arXiv 2410.11553, and two stages for 28x28 digits."""
