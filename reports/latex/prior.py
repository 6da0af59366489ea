"""Designs that others published: their data file, its bibliography, and the table that sets them beside this work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import check_file, read_bounded, read_toml
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import plainly, shown
from muxflow.reports.latex.tables import precisions
from muxflow.reports.latex.tex import Cell, Column, Tex, TexTable, tex
from muxflow.reports.schema.report import Report

FILE = Path(__file__).with_name("prior_work.toml")
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._+/-]*")
ENTRY = re.compile(r"^\s*@(?!comment|string|preamble)\w+\s*[{(]\s*([^,\s]+)\s*,", re.MULTILINE | re.IGNORECASE)
"""How an entry of a bibliography begins, with its key."""
DEVICE = re.compile(r"xc[a-z0-9]+?(?=(?:clg|fbg|ffg|sbg)\d|-|$)")
"""The device in the name of a part, without package and speed."""
MOST_VALUE = 1e15
MOST: Mapping[str, tuple[int, int, str]] = {
    "accuracy": (0, 100, "per cent"),
    "weights": (1, 64, "bits"),
    "activations": (1, 64, "bits"),
}
"""The least and the most of figures that have them, and what they are in."""
POSITIVE = ("frames_per_second", "watts")
"""What no design has none of."""
MOST_DESIGNS = 1000
"""Published designs that a table holds (decision): twenty pages of them."""


@dataclass(frozen=True)
class PriorDesign:
    """One published design; None or "" where the source says nothing. `key`: of the bibliography; `what`: what its figures are.

    `accuracy`: per cent; `weights`, `activations`: bits; `bram18`: blocks of 18 Kb.
    """

    name: str
    key: str
    source: str
    network: str = ""
    dataset: str = ""
    device: str = ""
    what: str = ""
    accuracy: float | None = None
    weights: int | None = None
    activations: int | None = None
    lut: int | None = None
    ff: int | None = None
    bram18: int | None = None
    dsp: int | None = None
    frames_per_second: float | None = None
    watts: float | None = None

    def __post_init__(self) -> None:
        for name in ("name", "key", "source"):
            if not getattr(self, name).strip():
                raise MuxflowError(f"{name} is empty; every design has a name, a key and a source")
        if not KEY.fullmatch(self.key):
            raise MuxflowError(f"key {shown(self.key)}; a key is letters, digits and -_:./+")
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not 0 <= value <= MOST_VALUE:
                raise MuxflowError(f"{name} is {shown(value)}; expected a number from 0")
            if name in MOST and isinstance(value, int | float) and not MOST[name][0] <= value <= MOST[name][1]:
                low, high, unit = MOST[name]
                raise MuxflowError(f"{name} is {shown(value)}; expected {unit} from {low} to {high}")
            if name in POSITIVE and value == 0:
                raise MuxflowError(f"{name} is 0; leave out what the source does not say")


@dataclass(frozen=True)
class PriorWork:
    """Published designs, and the bibliography that their keys stand in; `missing`: keys without an entry there.

    `files`: those of a user that they were read from.
    """

    designs: tuple[PriorDesign, ...]
    bibliography: str
    files: tuple[Path, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the bibliography."""
        return frozenset(ENTRY.findall(self.bibliography))

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that no entry of the bibliography has, in the order of the designs."""
        keys = self.keys
        return tuple(dict.fromkeys(one.key for one in self.designs if one.key not in keys))


def read_prior(files: Sequence[Path] = ()) -> PriorWork:
    """Read the designs that ship with Muxflow, then a user's; raises MuxflowError naming a file that is damaged.

    So it does the file with which they are more than MOST_DESIGNS.
    """
    designs: tuple[PriorDesign, ...] = ()
    texts: list[str] = []
    given: list[Path] = []
    for file in (FILE, *files):
        found, text, beside = _read(file)
        designs, texts = designs + found, [*texts, text]
        given += [] if file == FILE else [file, *beside]
        if len(designs) > MOST_DESIGNS:
            raise MuxflowError(
                f"{file}: with it there are {len(designs):,} published designs; a table holds at most {MOST_DESIGNS:,} "
                "(MOST_DESIGNS), so give fewer"
            )
    return PriorWork(designs, "\n".join(dict.fromkeys(filter(None, texts))), tuple(given))


def _read(file: Path) -> tuple[tuple[PriorDesign, ...], str, list[Path]]:
    """Read the designs of a file, and its bibliography, whose file comes last."""
    try:
        entry = read_toml(file)
        if unknown := sorted(set(entry) - {"bibliography", "design"}):
            raise MuxflowError(f"no entry {unknown[0]!r}; there are bibliography and [[design]]")
        designs = from_json(tuple[PriorDesign, ...], entry.get("design", []), path="design")
        name = entry.get("bibliography", "")
        if not isinstance(name, str) or (name and Path(name).suffix != ".bib"):  # no other file of the user's is copied
            raise MuxflowError(f"bibliography {shown(name)}; expected the name of a .bib file beside this one")
        if not name:
            return designs, "", []
        beside = file.parent / name
        check_file(beside, "its entry bibliography names it")
        return designs, read_bounded(beside), [beside]
    except (OSError, ValueError, MuxflowError) as error:
        raise MuxflowError(
            f"{file}: not a file of published designs ({plainly(error)}); {FILE.name} of Muxflow is one"
        ) from error


COLUMNS = (
    Column("work", fill=True),
    Column("data set"),
    Column("acc.\n(\\%)", number=True, places=1),
    Column("device"),
    Column("bits\nW/A"),
    Column("LUT", number=True),
    Column("FF", number=True),
    Column("BRAM18", number=True),
    Column("DSP", number=True),
    Column("frames\n/s", number=True, digits=3),
    Column("W", number=True, places=2),
    Column(""),
)
NARROW = (0, 1, 2, 5, 7, 9, 11)
"""The columns of a table of one column's width."""


def prior_tables(reports: Sequence[Report], prior: PriorWork) -> tuple[TexTable, TexTable]:
    """Set designs that others published beside those of the reports, which come last; letters say what figures are."""
    said = [one.what or "not said" for one in prior.designs]
    said += map(_own_is, reports)
    letters = {what: _letter(index) for index, what in enumerate(dict.fromkeys(said))}
    keys = prior.keys
    rows = tuple((_work(one, keys), *_published(one), letters[one.what or "not said"]) for one in prior.designs)
    own = tuple(
        (f"{report.network} (this work)", *_own(report), letters[what])
        for report, what in zip(reports, said[len(rows) :], strict=True)
    )
    key = ". ".join(f"{letter}: {tex(what)}" for what, letter in letters.items())
    caption = (
        f"Designs that others published, as their sources say, and this work. A dash: not said, or not run. {key}."
    )
    name = reports[0].network

    def cut(every: tuple[tuple[Cell, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
        return tuple(tuple(row[index] for index in NARROW) for row in every)

    few = tuple(COLUMNS[index] for index in NARROW)
    return (
        TexTable("prior", name, caption, few, cut(rows), cut(own)),
        TexTable("prior", name, caption, COLUMNS, rows, own, True),
    )


def _letter(index: int) -> str:
    """Give the letters a, b, ..., z, aa, ab, ..."""
    rest, last = divmod(index, 26)
    return f"{_letter(rest - 1) if rest else ''}{chr(ord('a') + last)}"


def _work(one: PriorDesign, keys: frozenset[str]) -> Tex:
    """Name a work with its citation; a key without an entry stands as text, so that the paper compiles and shows it."""
    cited = rf"~\cite{{{one.key}}}" if one.key in keys else rf" [no entry \texttt{{{tex(one.key, breakable=True)}}}]"
    named = f"{one.name}, {one.network}" if one.network else one.name
    return Tex(f"{tex(named, breakable=True)}{cited}")


def _published(one: PriorDesign) -> tuple[Cell, ...]:
    bits = [str(value) for value in (one.weights, one.activations) if value is not None]
    texts = (one.dataset or None, one.accuracy, one.device or None, "/".join(bits) or None)
    return (*texts, one.lut, one.ff, one.bram18, one.dsp, one.frames_per_second, one.watts)


def _own_is(report: Report) -> str:
    accuracy = "" if report.accuracy is None else f"; accuracy of {counted(report.accuracy.images, 'image')}"
    return f"{report.counted.title}; rate: {report.interval_is}{accuracy}"


def _own(report: Report) -> tuple[Cell, ...]:
    used = report.counted.used
    right = (None if report.accuracy is None else report.accuracy.dataset, report.accuracy_percent)
    bits = precisions(report)
    amounts = tuple(used.get(name) for name in ("LUT", "FF", "BRAM18", "DSP"))
    device = DEVICE.match(report.part)
    named = device[0].upper() if device else report.part
    return (*right, named, bits, *amounts, report.frames_per_second, report.watts)
