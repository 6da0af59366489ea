"""The driver's one error."""

from __future__ import annotations


class AcceleratorError(Exception):
    """What was met, what was expected, what to do; plain text, "?" for each character that a terminal would obey."""

    def __str__(self) -> str:
        return "".join(c if c.isprintable() or c == "\n" else "?" for c in super().__str__())
