"""What stands in the padding around a map: the code for a value."""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.float_chain import Evaluator, Floats
from muxflow.frontend.importer.grids import LARGEST_CODE
from muxflow.frontend.importer.values import Tensor


def code_of(label: str, tensor: Tensor, value: Floats, opset: int) -> int:
    """Find the code of a tensor's stream that stands for a value, by the model's own float arithmetic.

    `value`: one number, or one for each channel. Raises UnsupportedError naming the node `label` where there is no such code.
    """
    meaning, rows, wanted = tensor.meaning(), tensor.rows, value.reshape(-1)
    likely = 0.0
    if meaning is not None and meaning[0].all():
        likely = float(np.rint((wanted[0] - meaning[1]) / meaning[0]).flat[0])
    if abs(likely) < LARGEST_CODE and rows <= max(wanted.size, tensor.index.shape[0]):
        codes = likely * np.tile(tensor.scale, rows // tensor.scale.size)
        met = Evaluator(tensor.steps, rows, opset)(codes[None].astype(np.float32))
        if (met[0] == wanted).all():
            return int(likely)
    raise UnsupportedError(
        f"{label}: pads with {', '.join(f'{one:g}' for one in np.unique(wanted)[:4])}, which is no code of every channel of "
        "its input; quantize the input first, or pad with a value that the quantizer has"
    )
