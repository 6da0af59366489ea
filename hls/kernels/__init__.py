"""The ops in HLS: one file each with its header beside it, named like the op's file in `dataflow/ops`.

A kernel is known as soon as its file stands here. Another package adds kernels by importing them in a module named by
an entry point of the group `muxflow.kernels`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from muxflow.dataflow.discovery import plugins
from muxflow.hls.kernels.base import Kernel, Kernels, Table, Unit

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
plugins("muxflow.kernels")

KERNELS = Kernels()

__all__ = ["KERNELS", "Kernel", "Kernels", "Table", "Unit"]
