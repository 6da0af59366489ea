"""Write what docstrings say into the reference: the ops into semantics.md, the Python API into api.md.

    .venv/bin/python tools/reference.py

All else on these pages is written by hand and stays; `make docs-reference` runs this. `make lint` runs it with
`--check`, which writes nothing and names the pages that it would change.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import muxflow
from muxflow.board.driver.results import Counters, Measurement, StreamCounters
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops import OPS
from muxflow.frontend.model import NodeStatus
from muxflow.hls.vitis.csim import CsimResult
from muxflow.hls.vitis.project import ProjectOptions

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
BEGIN = "<!-- From docstrings: `make docs-reference` writes what stands here. -->\n"
END = "<!-- End of what is from docstrings. -->\n"
WIDTH = 100
JOINED = "\N{NO-BREAK SPACE}"

FUNCTIONS = (
    muxflow.load,
    muxflow.check,
    muxflow.fit,
    muxflow.write,
    muxflow.open_project,
    muxflow.save,
    muxflow.prepare_for_hls4ml,
)
CLASSES = (muxflow.Project, muxflow.Accelerator, muxflow.Graph, muxflow.Design)
"""In the order in which a user meets them."""
PARTS = (NodeStatus, Utilisation, ProjectOptions, CsimResult, Measurement, Counters, StreamCounters)
"""What functions and methods take and give beside them."""


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


def op_section(op: type[Op]) -> str:
    """Render one op: its name, its kernel's header and its docstring."""
    header = Path(inspect.getfile(op)).with_suffix(".hpp").name
    return f"### {op.__name__} — `{header}`\n\n{wrapped(inspect.getdoc(op) or '')}\n"


def ops() -> Iterator[str]:
    """Render all ops of Muxflow's own."""
    return (op_section(op) for op in OPS.values() if op.__module__.startswith("muxflow."))


def listed(thing: object) -> str:
    """Render a docstring; sentences on parameters and errors, which begin a line, become items of a list."""
    return wrapped(re.sub(r"(?<=[.\n])\n(?=`\w+`(, `\w+`)*:|Raises )", "\n- ", inspect.getdoc(thing) or ""))


def code(text: str) -> str:
    """Set text as a block of Python."""
    return f"```python\n{text}\n```\n"


def split(text: str) -> list[str]:
    """Cut parameters at the commas between them, not at those within brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def signature(function: Callable[..., Any]) -> str:
    """Render how a function is called, from its source: defaults and types as they are written there.

    In one line, or where that is too long with a line for each parameter, as ruff formats it.
    """
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    if tree.args.args and tree.args.args[0].arg in ("self", "cls"):
        tree.args.args.pop(0)
    given = re.sub(r"(?<=\S)=(?=\S)", " = ", ast.unparse(tree.args)).replace("'", '"')
    result = "" if tree.returns is None or tree.name == "__init__" else f" -> {ast.unparse(tree.returns)}"
    line = f"def {tree.name}({given}){result}: ..."
    if len(line) <= WIDTH - 4:
        return line
    return "\n".join([f"def {tree.name}(", *(f"    {part}," for part in split(given)), f"){result}: ..."])


def function_section(function: Callable[..., Any], title: str, level: str = "###") -> str:
    """Render a function or a method: its name, how it is called, its docstring."""
    return f"{level} {title}\n\n{code(signature(function))}\n{listed(function)}\n"


def head(kind: type) -> str:
    """Render the fields of a dataclass, or how another class is made; nothing for a class that has neither."""
    if dataclasses.is_dataclass(kind):
        body = "\n".join(f"{field.name}: {field.type}" for field in dataclasses.fields(kind))
    elif "__init__" in vars(kind):
        body = signature(vars(kind)["__init__"])
    else:
        return ""
    return code(f"class {kind.__name__}:\n{textwrap.indent(body, '    ')}") + "\n"


def class_section(kind: type) -> Iterator[str]:
    """Render a class: its fields, what it is, its properties, and each of its methods."""
    members = {name: member for name, member in vars(kind).items() if not name.startswith("_")}
    yield f"### {kind.__name__}\n\n{head(kind)}{listed(kind)}\n"
    properties = [
        wrapped(f"- `{name}`: {' '.join((inspect.getdoc(member) or '').split())}")
        for name, member in members.items()
        if isinstance(member, property | cached_property)
    ]
    if properties:
        yield "\n".join(["Properties:", "", *properties, ""])
    for name, member in members.items():
        function = member.__func__ if isinstance(member, classmethod) else member
        if inspect.isfunction(function):
            yield function_section(function, f"{kind.__name__}.{name}", "####")


def api() -> Iterator[str]:
    """Render the package's public names, and what they take and give."""
    yield "## Functions\n"
    yield from (function_section(function, f"muxflow.{function.__name__}") for function in FUNCTIONS)
    yield "## Classes\n"
    for kind in CLASSES:
        yield from class_section(kind)
    yield "## What they take and give\n"
    for kind in PARTS:
        yield from class_section(kind)
    yield "## Errors\n"
    for kind in (found for name in muxflow.__all__ if isinstance(found := getattr(muxflow, name), type)):
        if issubclass(kind, Exception):
            yield from class_section(kind)


PAGES: Mapping[Path, Callable[[], Iterator[str]]] = {FOLDER / "semantics.md": ops, FOLDER / "api.md": api}


def assembled(page: Path) -> str:
    """Replace what is from docstrings in a page's text; ValueError when a mark is missing."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    sections = "\n".join(PAGES[page]())
    return f"{before}{BEGIN}\n{sections}\n{END}{after}"


def main(arguments: list[str]) -> str | None:
    """Write the pages; with `--check` write none, and name those that are not what the docstrings say."""
    stale = [page for page in PAGES if page.read_text(encoding="utf-8") != assembled(page)]
    if arguments == ["--check"]:
        names = ", ".join(str(page.relative_to(FOLDER.parents[1])) for page in stale)
        return (
            f"{names}: not what the docstrings say; run make docs-reference, and look at the change" if stale else None
        )
    for page in stale:
        page.write_text(assembled(page), encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
