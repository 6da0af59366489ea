"""What Muxflow's own Keras layers become; runs in the process that holds TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from muxflow.frontend.keras.layers import Call, LayerHandler, by_channel
from muxflow.frontend.keras.steps import REACH, find_steps
from muxflow.frontend.keras.writer import Writer
from muxflow.frontend.model import QUANTIZED
from muxflow.frontend.training.keras.encoder import constants
from muxflow.frontend.training.scales import PIXEL_SCALE


def generated_convolution(writer: Writer, call: Call) -> str:
    """Write CellularAutomatonConv2D: the recipe of the weights, not their values."""
    layer = call.layer
    automaton = layer.automaton
    weights = writer.node(
        "AutomatonWeights",
        call.inputs[0],
        domain="muxflow",
        rule=automaton.rule,
        ring=automaton.ring,
        seed=automaton.seed,
        burn_in=automaton.burn_in,
        rows=layer.filters,
        columns=layer.columns,
        alphabet=automaton.alphabet,
        scale=layer.scale,
    )
    return writer.node("Conv", call.inputs[0], weights)


def mux_join(writer: Writer, call: Call) -> str:
    """Write MuxJoin, with the integers that its thresholds stand for."""
    layer = call.layer
    thresholds = layer.integer_thresholds()
    limits = [writer.constant(np.array(thresholds, np.float32))] if thresholds else []
    options = {name: getattr(layer, name) for name in ("select", "mix", "scale", "bits")}
    return writer.node("MuxJoin", *call.inputs, *limits, domain="muxflow", **options)


def or_join(writer: Writer, call: Call) -> str:
    """Write an OrJoin."""
    return writer.node("OrJoin", *call.inputs, domain="muxflow", scale=call.layer.scale, bits=call.layer.bits)


def thermometer_encoder(writer: Writer, call: Call) -> str:
    """Write ThermometerEncoder."""
    op = call.layer.op
    numbers = {"codes": op.codes, "bits": op.bits, "input_scale": PIXEL_SCALE, "scale": call.layer.scale}
    return writer.node("ThermometerEncode", call.inputs[0], domain="muxflow", **numbers)


def half_wave(writer: Writer, call: Call) -> str:
    """Write HalfWave, by its jumps."""
    return writer.steps(call.inputs[0], [find_steps(lambda values: np.asarray(call.layer(values)), REACH)])


def most_significant_bits(writer: Writer, call: Call) -> str:
    """Write MostSignificantBits, as a quantizer that rounds down."""
    layer = call.layer
    numbers = (writer.constant(np.float32(number)) for number in (layer.step, 0, layer.bits))
    return writer.node(
        "Quant", call.inputs[0], *numbers, domain=QUANTIZED[0], signed=0, narrow=0, rounding_mode="FLOOR"
    )


def bit_shift_normalization(writer: Writer, call: Call) -> str:
    """Write BitShiftNormalization: an addition and a product by a power of two."""
    added, factor = constants(call.layer)
    x = by_channel(writer, call, "Add", call.inputs[0], added)
    return writer.node("Mul", x, writer.constant(factor.reshape(1)))


HANDLERS: Mapping[str, LayerHandler] = {
    "CellularAutomatonConv2D": generated_convolution,
    "MuxJoin": mux_join,
    "OrJoin": or_join,
    "ThermometerEncoder": thermometer_encoder,
    "HalfWave": half_wave,
    "MostSignificantBits": most_significant_bits,
    "BitShiftNormalization": bit_shift_normalization,
}
