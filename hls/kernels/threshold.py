"""Thresholds in HLS."""

from __future__ import annotations

from functools import lru_cache

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels.base import Kernel, Unit
from muxflow.hls.kernels.threshold_forms import Form, forms


@lru_cache(maxsize=1 << 14)
def cheapest(op: Threshold, ports: Ports, fold: Fold) -> Form:
    """Choose the form with the smallest score, the first among equals (decision)."""
    return min(forms(op, ports, fold), key=lambda form: form.score)


class ThresholdKernel(Kernel[Threshold], op=Threshold):
    """All steps of a lane compared at once, searched, or computed: whichever takes the smallest share of a device."""

    def cost(self, op: Threshold, ports: Ports, fold: Fold) -> Cost:
        """Count the form that is chosen."""
        return cheapest(op, ports, fold).cost

    def unit(self, op: Threshold, ports: Ports, fold: Fold) -> Unit:
        form = cheapest(op, ports, fold)
        return self.call(form.function, form.arguments, *form.tables)
