"""The check that layers of hls4ml's own between Muxflow's neither round nor overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.hls.hls4ml.plan import Port

CARRIERS = ("Clone", "Transpose", "Repack", "Pooling2D", "Reshape")
"""Layers of hls4ml's that pass values on unchanged, or the largest of several."""


def check_inputs(node: Any) -> None:
    """Raise UnsupportedError where hls4ml's types change what an input of a Muxflow layer holds.

    Where the input cannot hold every value that the integer graph has there, or a convolution before it rounds; the error
    names the layer, the type and the one to configure.
    """
    for name, array in zip(node.inputs, node.layer.inputs, strict=True):
        port = node.layer.ports[array]
        chain = [node.get_input_node(name)]
        while chain[-1].class_name in CARRIERS:
            chain.append(chain[-1].get_input_node())
        source = chain[-1]
        if source.get_attr("accum_t") is not None:
            _check_weights(source)
            _check(source.get_attr("accum_t").precision, port, source, "accum")
        for producer in reversed(chain):
            _check(producer.get_output_variable().type.precision, port, producer, "result")


def _check(precision: Any, port: Port, producer: Any, what: str) -> None:
    if not _holds(precision, port.stream.lo, port.stream.hi, port.fraction):
        bits = port.bits + (not port.stream.signed)
        name = _configured(producer)
        raise UnsupportedError(
            f"layer {name}: its {what} type {precision} does not hold [{port.stream.lo}, {port.stream.hi}] / "
            f"2^{port.fraction}, what the trained network has there; set hls_config['LayerName']['{name}']"
            f"['Precision']['{what}'] to 'fixed<{bits},{bits - port.fraction}>' or wider, or to 'auto'"
        )


def _holds(precision: Any, lo: int, hi: int, fraction: int) -> bool:
    """Tell whether a type of hls4ml's holds every code of [lo, hi] / 2^fraction."""
    after = precision.width - precision.integer
    top = precision.width - bool(precision.signed)
    spare = after - fraction
    low = -(1 << top) if precision.signed else 0
    return bool(spare >= 0 and low <= lo << spare and hi << spare < 1 << top)


def _check_weights(producer: Any) -> None:
    weights = producer.get_weights("weight")
    precision = weights.type.precision
    codes = np.asarray(weights.data_unquantized, np.float64) * 2.0 ** (precision.width - precision.integer)
    top = 2.0 ** (precision.width - bool(precision.signed))
    low = -top if precision.signed else 0.0
    if (codes != np.rint(codes)).any() or codes.min() < low or codes.max() >= top:
        name = _configured(producer)
        raise UnsupportedError(
            f"layer {name}: its weight type {precision} does not hold the trained weights; leave "
            f"hls_config['LayerName']['{name}']['Precision']['weight'] at 'auto', or make it wider"
        )


def _configured(producer: Any) -> str:
    """Return the name under which users configure a layer; the ONNX front end puts the kind of a convolution before it."""
    return str(producer.name.removeprefix(f"{producer.class_name}_").removeprefix("Conv2D_"))
