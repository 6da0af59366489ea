"""Parts that are found, not listed: modules of a folder's name, entry points of other packages, what a process adds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from muxflow.dataflow.errors import MuxflowError

Part = TypeVar("Part")


def plugins(group: str) -> list[Any]:
    """Load what other packages name as entry points of a group; raises MuxflowError naming the one that cannot be loaded."""
    found = []
    for entry in entry_points(group=group):
        try:
            found.append(entry.load())
        except Exception as error:
            package = entry.dist.name if entry.dist else "a package"
            raise MuxflowError(
                f"{package}: its entry point {entry.name} = {entry.value} of {group} cannot be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall the package"
            ) from error
    return found


class Registry(Generic[Part]):
    """The parts of one kind: those of this process first, then other packages', then Muxflow's own by folder."""

    def __init__(self, package: str, folder: Path, module: str, group: str) -> None:
        """Find modules called `module` below `package`, whose folder is `folder`, and entry points of `group`.

        Each module holds its part under the module's name in capitals; an entry point names a part.
        """
        self._package, self._folder, self._module, self._group = package, folder, module, group
        self._registered: list[Part] = []

    def register(self, part: Part) -> None:
        """Add a part for this process, before all others."""
        self._registered.insert(0, part)

    @cached_property
    def _found(self) -> tuple[Part, ...]:
        own = sorted(file.relative_to(self._folder).parent for file in self._folder.rglob(f"{self._module}.py"))
        modules = [import_module(".".join((self._package, *folder.parts, self._module))) for folder in own]
        return (*plugins(self._group), *(getattr(module, self._module.upper()) for module in modules))

    def __iter__(self) -> Iterator[Part]:
        return iter((*self._registered, *self._found))
