"""Sphinx' settings for the pages of docs/: plain Markdown, as the repository's host shows it, into static pages.

`make docs` runs it. The pages open from disk: links are relative, fonts and scripts local, and the search reads an index
that is a script, so that no server is asked for anything.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from muxflow.dataflow.version import __version__

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hls4ml brings TensorFlow into its notebook
GALLERY = Path(__file__).parents[2] / "build" / "gallery"

project = "Muxflow"
version = release = __version__
extensions = ["myst_nb"]
exclude_patterns = ["**/.ipynb_checkpoints"]
nitpicky = True

myst_heading_anchors = 4  # the names that the repository's host gives to headings
highlight_language = "text"  # of code blocks that name none
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

html_theme = "furo"
html_title = f"Muxflow {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = [str(GALLERY / "pages")] if GALLERY.is_dir() else []
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False  # a browser fetches no page from disk


def contents(index: str) -> str:
    """Make the tables of contents that the sidebar shows, one a section with a list, of the links in the index page."""
    tables = []
    for section in index.split("\n## ")[1:]:
        title, *lines = section.splitlines()
        listed = "\n".join(line for line in lines if line.startswith(("- ", "  ")))
        if pages := re.findall(r"\]\(([^):]+)\.(?:md|ipynb)\)", listed):
            head = ["```{toctree}", ":hidden:", f":caption: {title.partition(':')[0]}", ""]
            tables.append("\n".join([*head, *pages, "```"]))
    return "\n\n".join(tables)


def complete(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append what is made, not written, to a page as it is read: the contents to the index, the table to the gallery."""
    if name == "index":
        source[0] += f"\n{contents(source[0])}\n"
    elif name == "results/gallery" and (GALLERY / "table.md").is_file():
        source[0] += f"\n{(GALLERY / 'table.md').read_text(encoding='utf-8')}"


def setup(app: Sphinx) -> None:
    """Let pages be completed as they are read."""
    app.connect("source-read", complete)
