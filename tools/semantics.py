"""Write the sections of the ops into docs/reference/semantics.md, from the docstrings of their classes.

    .venv/bin/python tools/semantics.py

All else on that page is written by hand and stays; `make docs-semantics` runs this, a test says when it was forgotten.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

from muxflow.dataflow.op import Op
from muxflow.dataflow.ops import OPS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "semantics.md"
BEGIN = "<!-- The ops, from their docstrings: `make docs-semantics` writes what stands here. -->\n"
END = "<!-- End of the ops. -->\n"
WIDTH = 100
JOINED = "\N{NO-BREAK SPACE}"


def wrapped(docstring: str) -> str:
    """Wrap paragraphs and list items to the page's width; formulas in backticks stay in one piece."""
    blocks = re.split(r"\n(?=- |\n)", docstring)
    lines = []
    for block in blocks:
        text = re.sub(r"`[^`]+`", lambda span: span[0].replace(" ", JOINED), " ".join(block.split()))
        indent = "  " if text.startswith("- ") else ""
        filled = textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines.append(("\n" if block.startswith("\n") else "") + filled.replace(JOINED, " "))
    return "\n".join(lines)


def section(op: type[Op]) -> str:
    """Render one op: its name, its kernel's header and its docstring."""
    header = Path(inspect.getfile(op)).with_suffix(".hpp").name
    return f"### {op.__name__} — `{header}`\n\n{wrapped(inspect.getdoc(op) or '')}\n"


def assembled(page: str) -> str:
    """Replace the sections of the ops in the page's text; ValueError when a mark is missing."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    sections = "\n".join(section(op) for op in OPS.values() if op.__module__.startswith("muxflow."))
    return f"{before}{BEGIN}\n{sections}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(assembled(PAGE.read_text()))
