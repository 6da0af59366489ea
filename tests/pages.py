"""The pages for readers as tests see them: prose, links, headings, code."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
MARKDOWN = MarkdownIt("commonmark").enable("table")
COMMAND = re.compile(r"(?:^|.*/)(muxflow|make)$")


@dataclass(frozen=True)
class Code:
    """A block of code: the line that it begins at, its language, "" where none is given, and its text."""

    line: int
    language: str
    text: str

    def commands(self) -> Iterator[tuple[str, ...]]:
        """Give the commands of `muxflow` and `make` in a block of shell lines, their comments left out, as words.

        A command may stand after another program, as in `docker run ... muxflow csim`; what it is piped into is left out.
        """
        for line in re.sub(r"\\\n\s*", " ", self.text).splitlines():
            for part in re.split(r"&&|\|", line.partition(" #")[0]):
                try:
                    words = shlex.split(part)
                except ValueError:  # no shell line but output
                    continue
                starts = [place for place, word in enumerate(words) if COMMAND.match(word)]
                if starts and (starts[0] == 0 or words[0] == "docker"):
                    yield (words[starts[-1]].rpartition("/")[2], *words[starts[-1] + 1 :])


@dataclass(frozen=True)
class Page:
    """A page: Markdown, or a notebook, whose cells of text and of code are one page."""

    file: Path

    def __str__(self) -> str:
        return str(self.file.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """The page as Markdown."""
        text = self.file.read_text(encoding="utf-8")
        if self.file.suffix != ".ipynb":
            return text
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
        return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells)

    @cached_property
    def tokens(self) -> list[Token]:
        """The page as it is parsed."""
        return MARKDOWN.parse(self.text)

    def inline(self) -> Iterator[tuple[int, Token]]:
        """Give what stands in paragraphs, headings and tables, with the line that its block begins at."""
        line = 0
        for token in self.tokens:
            line = token.map[0] + 1 if token.map else line
            for child in token.children or ():
                yield line, child

    def prose(self) -> Iterator[tuple[int, str]]:
        """Number the lines outside code blocks."""
        code = {line for token in self.tokens if token.type == "fence" and token.map for line in range(*token.map)}
        for number, line in enumerate(self.text.splitlines()):
            if number not in code:
                yield number + 1, line

    def links(self) -> Iterator[tuple[int, str]]:
        """Give the targets of links and pictures."""
        for line, token in self.inline():
            target = token.attrGet("href" if token.type == "link_open" else "src")
            if target is not None:
                yield line, str(target)

    def spans(self) -> Iterator[tuple[int, str]]:
        """Give what is set as code within the text."""
        return ((line, token.content) for line, token in self.inline() if token.type == "code_inline")

    def blocks(self) -> Iterator[Code]:
        """Give the blocks of code."""
        for token in self.tokens:
            if token.type == "fence" and token.map:
                yield Code(token.map[0] + 2, token.info.strip(), token.content)

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The names by which the repository's host, and the site, let headings be linked to."""
        found: Counter[str] = Counter()
        names = set()
        for opening, heading in zip(self.tokens, self.tokens[1:], strict=False):
            if opening.type == "heading_open":
                words = "".join(child.content for child in heading.children or ())
                name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
                names.add(f"{name}-{found[name]}" if found[name] else name)
                found[name] += 1
        return frozenset(names)


DOCS = [Page(file) for file in sorted((ROOT / "docs").rglob("*")) if file.suffix in (".md", ".ipynb")]
PAGES = [Page(ROOT / "README.md"), Page(ROOT / "CONTRIBUTING.md"), *DOCS]
