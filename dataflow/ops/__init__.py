"""The ops of the integer graph, one file each; an op is known as soon as its file stands here.

Another package adds ops by importing them in a module named by an entry point of the group `muxflow.ops`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

from muxflow.dataflow.discovery import plugins
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.op import Op, concrete_ops

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
plugins("muxflow.ops")


class _Ops(Mapping[str, type[Op]]):
    """Every op by kind, those that were defined since included."""

    def __getitem__(self, kind: str) -> type[Op]:
        found = [op for op in concrete_ops() if op.__name__ == kind]
        if len(found) > 1:
            modules = " and ".join(sorted(op.__module__ for op in found))
            raise MuxflowError(f"op {kind}: it is defined in {modules}; uninstall a package or rename one")
        if not found:
            raise KeyError(kind)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({op.__name__ for op in concrete_ops()}))

    def __len__(self) -> int:
        return len({op.__name__ for op in concrete_ops()})


OPS: Mapping[str, type[Op]] = _Ops()
for _kind in OPS:
    OPS[_kind]  # raises where two packages define one op
