"""Import, fit, write and compile ResNet-18 of ImageNet's size, W1A2 or W2A2 (random weights): CPU seconds and memory.

make benchmark-resnet18   or    .venv/bin/python benchmarks/resnet18.py [--weight-bits N] [--board NAME]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import brevitas.nn as qnn
import torch
import typer
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from rich.console import Console
from steps import Steps
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import muxflow
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.zoo_bnn import signed_quantizer
from muxflow.hls.vitis.csim import compile_csim

WIDTHS = (64, 128, 256, 512)
LIMITS = {"fit": "<= 60 s", "import + fit + write": "<= 60 s"}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, bits: int) -> nn.Module:
    weights = signed_quantizer(WeightQuantSolver, bits, 1.0)
    padding = kernel // 2
    return nn.Sequential(
        qnn.QuantConv2d(inputs, outputs, kernel, stride, padding, bias=False, weight_quant=weights),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):  # type: ignore[misc]
    """A basic block: two 3x3 convolutions, and the input, through a 1x1 convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, bits: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride, bits)
        self.middle = qnn.QuantReLU(bit_width=2)
        self.second = _convolution(outputs, outputs, 3, 1, bits)
        self.past = nn.Identity() if inputs == outputs else _convolution(inputs, outputs, 1, stride, bits)
        # One quantizer for both operands of the sum.
        self.shared = qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, 3, 0.5, narrow=False))
        self.end = qnn.QuantReLU(bit_width=2)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block."""
        inner = self.second(self.middle(self.first(x)))
        output: Tensor = self.end(self.shared(inner) + self.shared(self.past(x)))
        return output


class ResNet18(nn.Module):  # type: ignore[misc]
    """ResNet-18 (He et al. 2016) with 2-bit activations; input (N, 3, 224, 224), output (N, 1000)."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.input = qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, 8, 1 / 128, narrow=False))
        self.stem = _convolution(3, WIDTHS[0], 7, 2, bits)
        self.act = qnn.QuantReLU(bit_width=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        blocks, before = [], WIDTHS[0]
        for width in WIDTHS:
            blocks += [Block(before, width, 1 if width == before else 2, bits), Block(width, width, 1, bits)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.dense = qnn.QuantLinear(
            before, 1000, bias=False, weight_quant=signed_quantizer(WeightQuantSolver, bits, 0.125)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits."""
        maps = self.blocks(self.pool(self.act(self.stem(self.input(x)))))
        logits: Tensor = self.dense(self.mean(maps).flatten(1))
        return logits


def random_network(bits: int) -> ResNet18:
    """Build it with random weights and the batch norm of random images."""
    torch.manual_seed(0)
    model = ResNet18(bits)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
                nn.init.uniform_(module.weight, -1.0, 1.0)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
                module.momentum = 1.0
        model(torch.randint(-128, 128, (2, 3, 224, 224)) / 128)
    return model.eval()


def main(
    weight_bits: Annotated[int, typer.Option(min=1, max=2, help="Bits of a weight.")] = 1,
    board: Annotated[str, typer.Option(help="Board.")] = "zcu104",
) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = export(random_network(weight_bits), folder / "resnet18.onnx", (1, 3, 224, 224))
        steps = Steps(f"ResNet-18 W{weight_bits}A2, 224x224x3, {board}", LIMITS)
        graph = muxflow.load(path)
        steps.done("import")
        design = muxflow.fit(graph, board)
        steps.done("fit")
        project = muxflow.write(design, folder / "project")
        steps.done("write")
        steps.total("import + fit + write")
        compile_csim(project.hls, "native")
        steps.done("compile (native)")
    console = Console(width=110)
    console.print(steps.table)
    console.print(f"interval {design.interval:,} cycles, {design.frames_per_second:,.0f} frames/s; {design.resources}")


if __name__ == "__main__":
    typer.run(main)
