"""Check the pages of a site: every link within it leads to a file and a name there, and nothing comes from another host.

    .venv/bin/python tools/site/check.py build/docs

`make docs` ends with it. Links to other hosts are for a reader to follow; what a page loads by itself must lie beside it.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
"""Attributes that a browser follows by itself, by tag."""
OWN_SCHEMES = ("", "data")


class Page(HTMLParser):
    """The names in a page that links may lead to, where its links lead, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what a tag names, links to and loads."""
        given = {name: value or "" for name, value in attrs}
        self.names.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])


def read(file: Path) -> Page:
    """Read a page."""
    page = Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def wrong_in(file: Path, pages: dict[Path, Page]) -> list[str]:
    """List what is wrong with the links and the loaded files of one page."""
    found = []
    for target in (*pages[file].links, *pages[file].loads):
        parts = urlsplit(target)
        if parts.scheme not in OWN_SCHEMES or parts.netloc:
            if target in pages[file].loads:
                found.append(f"{target}: loaded from another host")
        elif not parts.scheme:
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not there.is_file():
                found.append(f"{target}: no such file")
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].names:
                found.append(f"{target}: no such name")
    return found


def wrong_with(site: Path) -> list[str]:
    """List what is wrong with a site, each with its file: links, loaded files, style sheets that load from elsewhere."""
    pages = {file.resolve(): read(file) for file in sorted(site.rglob("*.html"))}
    found = [f"{file}: {text}" for file in pages for text in wrong_in(file, pages)]
    for sheet in sorted(site.rglob("*.css")):
        elsewhere = re.findall(
            r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", sheet.read_text(encoding="utf-8")
        )
        found += [f"{sheet}: {address}: loaded from another host" for address in elsewhere]
    return found


def main() -> int:
    """Print what is wrong; 1 when something is."""
    site = Path(sys.argv[1])
    found = wrong_with(site)
    for text in found:
        print(text, file=sys.stderr)
    if not found:
        count = sum(1 for _ in site.rglob("*.html"))
        print(f"docs: {count} pages, all links lead somewhere, nothing is loaded from another host: {site}/index.html")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
