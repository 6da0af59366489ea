"""LaTeX: text that gives no orders, and tables of one column's width or the page's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from muxflow.dataflow.text import printable

SPECIAL = {
    **{character: f"\\{character}" for character in "_%&#${}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\`{}",
    "\n": " ",
    **{character: f"{{{character}}}" for character in "[]*-"},
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "×": r"$\times$",
    "°": r"$^\circ$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "æ": r"\ae{}",
}
"""How LaTeX writes characters that give it orders, and some that its fonts have.

A bracket or a star that begins a row would be an argument of the one before, and dashes side by side one dash."""
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u0327": "c", "\u030c": "v",
}  # fmt: skip
BREAKS = frozenset("_./-:")
SIZE = 7
"""Points of a table's text: what a column of many figures takes in two-column papers (decision)."""
SEPARATION = r"0.006\textwidth"
"""Half of the space between columns of a wide table: more on a wider page."""
WORD, RUN = 12, 8
"""Characters of a word within which no line ends, and of a part of a longer one (decision)."""


class Tex(str):
    """Text that is LaTeX already."""


Cell = str | int | float | None
"""Of a table: text, a number, or None where nothing is known."""


def tex(text: str, *, breakable: bool = False) -> Tex:
    """Write any text for LaTeX, in ASCII; `breakable`: lines may end inside of a long name."""
    if isinstance(text, Tex):
        return text
    words = re.split(r"(\s+)", printable(text))
    return Tex(
        "".join(
            _breakable(word) if breakable and len(word) > WORD else "".join(map(_character, word)) for word in words
        )
    )


def _breakable(word: str) -> str:
    """Write a long word so that a line may end after its parts, and within a part that is long itself."""
    parts: list[str] = []
    run = 0
    for character in word:
        run += 1
        ends = character in BREAKS or run >= RUN
        parts.append(_character(character) + (r"\allowbreak{}" if ends else ""))
        run = 0 if ends else run
    return "".join(parts)


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character.isascii():
        return character
    base, marks = (spelt := unicodedata.normalize("NFD", character))[0], spelt[1:]
    if marks in ACCENTS and base.isascii() and base.isalpha():
        return f"\\{ACCENTS[marks]}{{{base}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"


def label(*words: str) -> str:
    """Make a label of words: letters, digits and dashes."""
    return "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-").lower() or "x" for word in words)


def number(value: float, unit: str = "", digits: int = 3) -> Tex:
    """Write a number with siunitx, rounded to significant digits where it is no whole one, and its unit."""
    text = f"{value:d}" if isinstance(value, int) else _rounded(value, digits)
    return Tex(rf"\qty{{{text}}}{{{unit}}}" if unit else rf"\num{{{text}}}")


def _rounded(value: float, digits: int) -> str:
    if not isfinite(value) or value == 0:
        return "0"
    places = digits - 1 - int(f"{abs(value):e}".partition("e")[2])
    text = f"{value:.{max(0, places)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Column:
    """A column: its title, in LaTeX, lines apart.

    `number`: its cells are numbers, with `places` after the point, or as many as `digits` significant digits need; `fill`:
    it takes what is left of the width, and a line of it holds `line` characters at least.
    """

    title: str
    number: bool = False
    places: int = 0
    digits: int = 0
    fill: bool = False
    line: int = 14

    def specification(self, cells: Iterable[Cell]) -> str:
        """Write what tabularx is told of the column."""
        if not self.number:
            return r">{\raggedright\arraybackslash}X" if self.fill else "l"
        numbers = [one for one in cells if isinstance(one, int | float)]
        parts = [self._written(abs(one)).partition(".") for one in numbers]
        whole = max((len(before) for before, _, _ in parts), default=1)
        places = max((len(after) for _, _, after in parts), default=self.places)
        minus = "-" if any(one < 0 for one in numbers) else ""
        return f"S[table-format={minus}{whole}.{places}]"

    def _written(self, value: float) -> str:
        return _rounded(value, self.digits) if self.digits else f"{value:.{self.places}f}"

    @property
    def heading(self) -> str:
        """Write the title, in lines where it has several."""
        side, lines = "r" if self.number else "l", self.title.split("\n")
        stacked = r"\\".join(lines)
        return f"{{{self.title}}}" if len(lines) == 1 else rf"{{\shortstack[{side}]{{{stacked}}}}}"

    def cell(self, value: Cell) -> str:
        """Write a cell."""
        if value is None:
            return "{--}" if self.number else "--"
        if self.number and isinstance(value, int | float):
            return self._written(value)
        text = tex(str(value) if not isinstance(value, str) else value, breakable=self.fill)
        return f"{{{text}}}" if self.number else text


@dataclass(frozen=True)
class TexTable:
    """A table of a paper: `name` of its file and label, `caption` in LaTeX, rows, and rows below a line, as totals are.

    `wide`: as wide as the page, not as a column of it; `network`: for the label.
    """

    name: str
    network: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[tuple[Cell, ...], ...] = ()
    wide: bool = False

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}{'-wide' if self.wide else ''}.tex"

    @property
    def label(self) -> str:
        """What a reference names it by."""
        return f"tab:{label(self.network, self.name)}{'-wide' if self.wide else ''}"

    def parts(self, most: int) -> list[TexTable]:
        """Cut the table into floats of at most so many lines, the totals in the last one."""
        groups: list[list[tuple[Cell, ...]]] = [[]]
        height = 0
        for row in self.rows:
            lines = self._height(row)
            if groups[-1] and height + lines > most:
                groups.append([])
                height = 0
            groups[-1].append(row)
            height += lines
        found = []
        for part, rows in enumerate(groups):
            caption = f"{self.caption} (continued)" if part else self.caption
            name = f"{self.name}-{part + 1}" if part else self.name
            totals = self.totals if part == len(groups) - 1 else ()
            found.append(replace(self, name=name, caption=caption, rows=tuple(rows), totals=totals))
        return found

    def _height(self, row: Sequence[Cell]) -> int:
        """Estimate the lines that a row takes, from above."""
        cells = zip(self.columns, row, strict=True)
        return max(1, *(-(-len(str(value)) // column.line) for column, value in cells if column.fill), 1)

    def render(self, version: str) -> str:
        """Write the float."""
        everything = [*self.rows, *self.totals]
        specified = " ".join(
            column.specification(row[index] for row in everything) for index, column in enumerate(self.columns)
        )
        titles = " & ".join(column.heading for column in self.columns)
        star, width = ("*", r"\textwidth") if self.wide else ("", r"\columnwidth")
        lines = [
            f"% Generated by Muxflow {tex(version)}. Needs what preamble.tex loads.",
            rf"\begin{{table{star}}}[tb]",
            rf"  \centering\fontsize{{{SIZE}}}{{{SIZE + 1}}}\selectfont",
            r"  \setlength{\belowcaptionskip}{4pt}",
            rf"  \caption{{{self.caption}}}",
            rf"  \label{{{self.label}}}",
            rf"  \setlength{{\tabcolsep}}{{{SEPARATION if self.wide else '2pt'}}}",
            rf"  \begin{{tabularx}}{{{width}}}{{@{{}}{specified}@{{}}}}",
            r"    \toprule",
            rf"    {titles} \\",
            r"    \midrule",
            *self._lines(self.rows),
            *([r"    \midrule", *self._lines(self.totals)] if self.totals else []),
            r"    \bottomrule",
            r"  \end{tabularx}",
            rf"\end{{table{star}}}",
        ]
        return "\n".join(lines) + "\n"

    def _lines(self, rows: Sequence[Sequence[Cell]]) -> list[str]:
        return [
            "    " + " & ".join(column.cell(value) for column, value in zip(self.columns, row, strict=True)) + r" \\"
            for row in rows
        ]
