"""The commands that pages show: each is one that the command line, or the Makefile, takes."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
from pages import PAGES, ROOT, Page
from typer.main import get_command

from muxflow.cli.app import app

GROUP = get_command(app)
CONTEXT = typer.Context(GROUP, info_name="muxflow")
COMMANDS = GROUP.commands
OPTIONS = {
    option for command in COMMANDS.values() for one in command.params for option in (*one.opts, *one.secondary_opts)
}
OTHERS = frozenset(("--no-deps", "--cosim", "--package", "--help"))
"""Options of other programs that pages name: pip's, the vendor's."""
TARGETS = frozenset(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
VARIABLES = frozenset(re.findall(r"\$\(?(?:if )?\$?\(?([A-Z]+)\b", (ROOT / "Makefile").read_text()))

each_page = pytest.mark.parametrize("page", PAGES, ids=str)


def wrong_with_make(words: tuple[str, ...]) -> str:
    """Say what is wrong with the targets and variables of a `make` command, "" for nothing."""
    names = [word.partition("=")[0] for word in words]
    unknown = [
        name for word, name in zip(words, names, strict=True) if name not in (VARIABLES if "=" in word else TARGETS)
    ]
    return f"the Makefile has no {', '.join(unknown)}" if unknown else ""


def wrong_with(words: tuple[str, ...], *, whole: bool) -> str:
    """Say what is wrong with a command, its program first, "" for nothing; what is not `whole` may lack arguments."""
    program, *rest = words
    if program == "make":
        return wrong_with_make(tuple(rest))
    name, *arguments = rest
    if name not in COMMANDS:
        return f"no command {name}"
    try:
        if whole:
            COMMANDS[name].make_context(name, arguments, parent=CONTEXT)
        else:
            COMMANDS[name].make_parser(typer.Context(COMMANDS[name], parent=CONTEXT)).parse_args(arguments)
    except Exception as error:
        if hasattr(error, "format_message"):  # of the library that typer brings along
            return str(error.format_message())
        raise
    return ""


@each_page
def test_commands_in_blocks_are_those_of_the_command_line(page: Page) -> None:
    found = [
        f"{page}:{block.line}: {shlex.join(command)}: {wrong}"
        for block in page.blocks()
        if block.language == ""
        for command in block.commands()
        if (wrong := wrong_with(command, whole=True))
    ]
    assert not found


@each_page
def test_commands_in_the_text_are_those_of_the_command_line(page: Page) -> None:
    """They may leave out what they are about: `muxflow build --target finn`."""
    spans = [(line, tuple(span.removeprefix(".venv/bin/").split())) for line, span in page.spans()]
    found = [
        f"{page}:{line}: {' '.join(words)}: {wrong}"
        for line, words in spans
        if words[:1] in (("muxflow",), ("make",)) and len(words) > 1
        if (wrong := wrong_with(words[: words.index("|")] if "|" in words else words, whole=False))
    ]
    assert not found


@each_page
def test_options_in_the_text_are_those_of_a_command(page: Page) -> None:
    words = [(line, word) for line, span in page.spans() if span.startswith("--") for word in span.split()]
    options = [(line, word.rstrip(",")) for line, word in words if word.startswith("--")]
    assert [f"{page}:{line}: {option}" for line, option in options if option not in OPTIONS | OTHERS] == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("muxflow fit model.onnx --bord pynq-z2", "No such option"),
        ("muxflow fit model.onnx --fps many", "Invalid value"),
        ("muxflow build", "Missing argument"),
        ("muxflow bild model.onnx", "no command bild"),
        ("make demmo", "no demmo"),
        ("make demo BORD=kv260", "no BORD"),
        ("make demo BOARD=kv260", ""),
        ("muxflow fit model.onnx --fps 1000", ""),
    ],
)
def test_wrong_commands_are_found(words: str, wrong: str) -> None:
    found = wrong_with(tuple(words.split()), whole=True)
    assert wrong in found and bool(wrong) == bool(found)
