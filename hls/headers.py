"""Our C++ headers for projects of other flows."""

from __future__ import annotations

from pathlib import Path

INCLUDE = Path(__file__).parent / "include"


def copy_headers(folder: Path) -> None:
    """Copies our headers into `folder`, their includes made relative: other flows give the compiler no folder of ours."""
    source = INCLUDE / "muxflow"
    for header in sorted(file for file in source.rglob("*") if file.suffix in (".h", ".hpp")):
        place = header.relative_to(source)
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(place.parts) - 1)
        target.write_text(header.read_text().replace('#include "muxflow/', f'#include "{up}'))
