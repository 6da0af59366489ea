"""What stands in the padding around a map: the code for a value."""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.float_chain import Evaluator
from muxflow.frontend.importer.grids import LARGEST_CODE
from muxflow.frontend.importer.values import Tensor


def code_of(label: str, tensor: Tensor, value: float, opset: int) -> int:
    """Find the code of a tensor's stream that stands for a value in every channel, by the model's own float arithmetic.

    Raises UnsupportedError naming the node `label` where there is none.
    """
    meaning, rows = tensor.meaning(), tensor.rows
    likely = 0.0
    if meaning is not None and meaning[0].all():
        likely = float(np.rint((value - meaning[1]) / meaning[0]).flat[0])
    if abs(likely) < LARGEST_CODE:
        codes = likely * np.tile(tensor.scale, rows // tensor.scale.size)
        met = Evaluator(tensor.steps, rows, opset)(codes[None].astype(np.float32))
        if (met == np.float32(value)).all():
            return int(likely)
    raise UnsupportedError(
        f"{label}: pads with {value:g}, which is no code of every channel of its input; quantize the input first, or pad "
        "with a value that the quantizer has"
    )
