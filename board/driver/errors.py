"""The driver's one error."""

from __future__ import annotations


class AcceleratorError(Exception):
    """What was met, what was expected, what to do; plain text."""
