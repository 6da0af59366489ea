"""Prose in code and docs: a function's docstring begins with a verb, a word means one thing (docs/reference/glossary.md)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("benchmarks", "board", "dataflow", "frontend", "hls", "muxflow", "proof", "reports", "tools")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
HEADERS = sorted(path for suffix in ("*.hpp", "*.h") for path in (ROOT / "hls").rglob(suffix))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What ruff's D401 lets pass are words that are no verbs at all; a new verb is added here.
VERBS = frozenset(
    """
    add answer append apply ascend ask await bound bring broadcast build call chain check choose classify climb collect
    compare compile compose compress compute concatenate convert convolve copy count cut declare decode derive describe divide do
    draw drop emit encode end estimate explain export fill find fit fold follow format freeze generate give group handle hash hold
    import include infer insert interrupt join keep lay leave let list load locate look make map mark measure move multiply
    name normalise note open pack pair part pass pick place plan play print put quantize raise rank read rebuild record
    reduce refuse register remove render replace reset reshape return round run say see select send set shift show simulate
    solve spell spread start stop sum tabulate take tell train turn unfold unpack use visit wait wrap write yield
    """.split()
)

# Each has a plainer word, and "behind" two meanings: after, and in the place of.
UNWANTED = re.compile(r"\b(of ours|what goes|behind)\b", re.IGNORECASE)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(tree: ast.Module) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def is_property(node: Documented) -> bool:
    return "property" in "".join(ast.unparse(name) for name in getattr(node, "decorator_list", ()))


def prose(path: Path) -> Iterator[str]:
    """Comments and docstrings of a module, comments of a header, the text of a page."""
    text = path.read_text()
    if path.suffix == ".py":
        yield from (docstring for _, docstring in docstrings(ast.parse(text)))
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
    elif path.suffix == ".md":
        yield text
    else:
        yield from re.findall(r"//.*", text)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_the_docstring_of_a_function_begins_with_a_verb(module: Path) -> None:
    for node, text in docstrings(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node):
            first = text.split()[0].rstrip(",:;.").lower()
            assert first in VERBS, f"{name_of(module)}:{node.lineno}: {node.name}: {text.splitlines()[0]}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_command_in_a_message_is_written_for_a_shell(module: Path) -> None:
    """By `text.command_line`: a path with a blank, put between backquotes as it is, makes another command."""
    assert not re.findall(r"`muxflow [^`\n]*(?<!\{)\{(?!\{)[^`\n]*`", module.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", [*MODULES, *HEADERS, *PAGES], ids=name_of)
def test_prose_has_no_unwanted_word(file: Path) -> None:
    assert [line for text in prose(file) for line in text.splitlines() if UNWANTED.search(line)] == []


def plural_of_any_number(tree: ast.Module) -> Iterator[str]:
    """Of the messages of errors: a noun with an s after `len(...)`, which may be 1; `quantities.counted` writes both."""
    for error in (node for node in ast.walk(tree) if isinstance(node, ast.Raise)):
        for text in (node for node in ast.walk(error) if isinstance(node, ast.JoinedStr)):
            for number, noun in pairwise(text.values):
                if not isinstance(number, ast.FormattedValue) or not isinstance(noun, ast.Constant):
                    continue
                counted = ast.unparse(number.value).startswith("len(")
                if counted and (met := re.match(r"( (?!is\b|has\b|as\b)[a-z]+){1,2}s\b", str(noun.value))):
                    yield f"{number.lineno}: {ast.unparse(number.value)}{met[0]}"


@pytest.mark.parametrize("room", ["muxflow", "frontend/training"])
def test_one_thing_is_no_plural(room: str) -> None:
    found = {path: list(plural_of_any_number(ast.parse(path.read_text()))) for path in (ROOT / room).rglob("*.py")}
    assert {str(path): lines for path, lines in found.items() if lines} == {}
    assert len(list(plural_of_any_number(ast.parse("raise E(f'{len(x)} files'); raise E(f'{len(x)} is as')")))) == 1
