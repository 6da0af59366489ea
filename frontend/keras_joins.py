"""What Muxflow's own Keras layers become; runs in the process that holds TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from muxflow.frontend.keras_writer import Writer


def generated_convolution(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """CellularAutomatonConv2D: the recipe of the weights, not their values."""
    automaton = layer.automaton
    weights = writer.node(
        "CellularAutomatonWeights",
        inputs[0],
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
    return writer.node("Conv", inputs[0], weights)


def mux_shift(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """MuxShift, with the integers that its thresholds stand for."""
    thresholds = layer.integer_thresholds()
    limits = [writer.constant(np.array(thresholds, np.float32))] if thresholds else []
    return writer.node(
        "MuxShift", *inputs, *limits, domain="muxflow", select=layer.select, scale=layer.scale, bits=layer.bits
    )


def or_join(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """OrJoin."""
    return writer.node("OrJoin", *inputs, domain="muxflow", scale=layer.scale, bits=layer.bits)


HANDLERS: Mapping[str, Callable[[Writer, Any, list[str]], str]] = {
    "CellularAutomatonConv2D": generated_convolution,
    "MuxShift": mux_shift,
    "OrJoin": or_join,
}
