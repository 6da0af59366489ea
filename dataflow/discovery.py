"""Parts that are found, not listed: modules of a folder's name, entry points of other packages, what a process adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import reason

Part = TypeVar("Part")
Rule = Callable[[Any], str | None]


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
                f"({reason(error)}); mend or uninstall the package"
            ) from error
    return found


class Registry(Generic[Part]):
    """The parts of one kind: those of this process first, then other packages', then Muxflow's own by folder."""

    def __init__(
        self, package: str, folder: Path, module: str, group: str, protocol: type, rule: Rule = lambda _: None
    ) -> None:
        """Find modules called `module` below `package`, whose folder is `folder`, and entry points of `group`.

        Each module holds its part under the module's name in capitals; an entry point names a part. `protocol`: whose
        attributes and methods a part has; `rule`: says what else is wrong with a part, None where nothing is.
        """
        self._package, self._folder, self._module, self._group = package, folder, module, group
        self._members = (*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_")))
        self._rule = rule
        self._registered: list[Part] = []

    def register(self, part: Part) -> None:
        """Add a part for this process, before all others; raises MuxflowError saying what it lacks."""
        self._registered.insert(0, self._checked(part))

    def _checked(self, part: Part) -> Part:
        lacking = [name for name in self._members if not hasattr(part, name)]
        if isinstance(part, type):
            wrong: str | None = "it is a class; give an instance of it"
        else:
            wrong = f"it lacks {', '.join(lacking)}" if lacking else self._rule(part)
        if wrong is None:
            return part
        kind = part if isinstance(part, type) else type(part)
        raise MuxflowError(f"{kind.__module__}.{kind.__qualname__} is no {self._module} of Muxflow: {wrong}")

    @cached_property
    def _found(self) -> tuple[Part, ...]:
        own = sorted(file.relative_to(self._folder).parent for file in self._folder.rglob(f"{self._module}.py"))
        modules = [import_module(".".join((self._package, *folder.parts, self._module))) for folder in own]
        others = (self._checked(part) for part in plugins(self._group))
        return (*others, *(getattr(module, self._module.upper()) for module in modules))

    def __iter__(self) -> Iterator[Part]:
        return iter((*self._registered, *self._found))
