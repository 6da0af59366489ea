"""README and docs: short enough to read, and every link leads somewhere."""

from __future__ import annotations

import re

import pytest
from pages import DOCS, PAGES, ROOT, Page

LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
WIDTH = 100

each_page = pytest.mark.parametrize("page", PAGES, ids=str)
each_text = pytest.mark.parametrize("page", [page for page in PAGES if page.file.suffix == ".md"], ids=str)


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@each_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    for line, target in page.links():
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.file.parent / name if name else page.file
        assert file.is_file(), f"{page}:{line}: {target}: no such file"
        assert not anchor or anchor in Page(file).anchors, f"{page}:{line}: {target}: no such heading"


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_no_link_of_the_docs_leads_out_of_them(page: Page) -> None:
    """The site holds the docs alone."""
    for line, target in page.links():
        file = (page.file.parent / target.partition("#")[0]).resolve()
        assert "://" in target or file.is_relative_to(ROOT / "docs"), f"{page}:{line}: {target}"


def test_every_page_that_the_code_names_is_there() -> None:
    """In docstrings, error messages and notebooks, as `docs/FOLDER/PAGE`."""
    suffixes = (".py", ".cpp", ".hpp", ".j2", ".v", ".toml", ".ipynb", ".md")
    rooms = ("benchmarks", "board", "dataflow", "docs", "frontend", "hls", "muxflow", "reports", "tests", "tools")
    files = [path for room in rooms for path in (ROOT / room).rglob("*") if path.suffix in suffixes]
    named = {name for file in files for name in re.findall(r"docs/[a-z0-9_/]+\.(?:md|ipynb)", file.read_text())}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@each_text
def test_no_line_is_wider_than_a_reader_likes(page: Page) -> None:
    """Tables, code blocks and links aside."""
    wide = [
        f"{page}:{number}: {len(line)}"
        for number, line in page.prose()
        if not line.startswith("|") and len(LINK.sub("", line)) > WIDTH
    ]
    assert not wide


@each_text
def test_every_page_has_one_title(page: Page) -> None:
    assert [token.map for token in page.tokens if token.tag == "h1" and token.nesting == 1] == [[0, 1]]


def test_the_index_lists_every_page() -> None:
    """The sidebar of the site is made of it."""
    (index,) = (page for page in DOCS if page.file == ROOT / "docs" / "index.md")
    listed = "\n".join(line for _, line in index.prose() if line.startswith(("- ", "  ")))
    linked = [(index.file.parent / target).resolve() for target in LINK.findall(listed)]
    assert sorted(linked) == sorted(page.file for page in DOCS if page != index)
