"""Pages made of templates: text in them is escaped, and what a template asks for must be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from muxflow.dataflow.text import printable

TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, **values: Any) -> str:
    """Render a template of the folder beside this file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return printable(environment.get_template(template).render(**values))
