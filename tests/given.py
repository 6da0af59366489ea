"""An execution whose floats were computed before, image by image in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.floats import observed
from muxflow.proof.execution import Tensor


@dataclass
class Given:
    """`outputs`: of the model, one a graph output; `tensors`: by stream, channel first; of all images."""

    name: str
    graph: Graph
    outputs: tuple[npt.NDArray[Any], ...]
    tensors: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    done: int = 0

    @property
    def title(self) -> str:
        return self.name

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        images = slice(self.done, self.done + len(next(iter(codes.values()))))
        self.done = images.stop
        tensors = {name: values[images] for name, values in self.tensors.items()}
        outputs = zip(self.graph.outputs, (values[images] for values in self.outputs), strict=True)
        return observed(self.graph, dict(outputs), tensors)
