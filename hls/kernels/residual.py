"""What the kernels of the residual joins share."""

from __future__ import annotations

from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.residual import ResidualJoin
from muxflow.hls.kernels.base import Arguments


def fold_arguments(op: ResidualJoin, ports: Ports, fold: Fold) -> Arguments:
    """Give the template arguments that all residual kernels begin with."""
    x_fold, f_fold = op.channel_folds(ports, fold)
    return (("PIXELS", ports.inputs[0].pixels // fold.pixels), ("X_FOLD", x_fold), ("F_FOLD", f_fold))
