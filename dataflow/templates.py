"""Generated text from templates: what a template asks for must be given."""

from __future__ import annotations

from pathlib import Path

import jinja2


def templates(folder: Path, *, escaped: bool = False, trimmed: bool = True) -> jinja2.Environment:
    """Return the templates of a folder.

    `escaped`: whether values are written into HTML. `trimmed`: whether a line that holds a block tag alone leaves nothing.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=escaped,
        keep_trailing_newline=True,
        trim_blocks=trimmed,
        lstrip_blocks=trimmed,
    )
