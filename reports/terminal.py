"""The terminal: text goes there as it is, never as markup or as orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from muxflow.dataflow.text import printable


class PlainConsole(Console):
    """A console that shows any text: brackets and colons are no markup, and control characters in it become "?".

    Colour is given by style, `rich.text.Text` and the like.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as any console does, but a text as one line: what is copied from it, such as a path, has no line end."""
        if objects and all(isinstance(one, str | Text) for one in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as any console does; what moves the cursor stays only where rich itself says so."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
