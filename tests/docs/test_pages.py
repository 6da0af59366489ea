"""README and docs: short enough to read, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
WIDTH = 100

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a page outside code blocks."""
    code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code:
            yield number, line


def anchors(page: Path) -> set[str]:
    """The names by which GitHub lets a page's headings be linked to."""
    headings = [line.lstrip("#").strip() for _, line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@each_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for number, line in prose(page):
        for target in LINK.findall(line):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            assert file.is_file(), f"{page}:{number}: {target}: no such file"
            assert not anchor or anchor in anchors(file), f"{page}:{number}: {target}: no such heading"


def test_every_page_that_the_code_names_is_there() -> None:
    """In docstrings, error messages and notebooks, as `docs/FOLDER/PAGE`."""
    suffixes = (".py", ".cpp", ".hpp", ".j2", ".v", ".toml", ".ipynb", ".md")
    rooms = ("benchmarks", "board", "dataflow", "docs", "frontend", "hls", "muxflow", "reports", "tests", "tools")
    files = [path for room in rooms for path in (ROOT / room).rglob("*") if path.suffix in suffixes]
    named = {name for file in files for name in re.findall(r"docs/[a-z0-9_/]+\.(?:md|ipynb)", file.read_text())}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@each_page
def test_no_line_is_wider_than_a_reader_likes(page: Path) -> None:
    """Tables, code blocks and links aside."""
    wide = [
        f"{page}:{number}: {len(line)}"
        for number, line in prose(page)
        if not line.startswith("|") and len(LINK.sub("", line)) > WIDTH
    ]
    assert not wide


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    pages = {path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")} - {index}
    assert pages == linked
