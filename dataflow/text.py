"""Text that comes from files: what a name may hold, and how any text is shown where it could give orders.

Each language has one function that writes foreign text into it: here for terminals and messages; `muxflow.hls.names.comment`
for C++ and Tcl; `muxflow.reports.html` for HTML, `muxflow.reports.latex` for LaTeX. Identifiers and file names are made by
`muxflow.hls.names.identifiers`.
"""

from __future__ import annotations

import json
import re
import reprlib
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST_NAME = 1000
"""Most characters in the name of a node, a stream or a graph."""

SHOWN, LONGEST_REASON = 60, 400
"""Most characters of a value that a message repeats, and of an error that a library raises."""


LONGEST_LINE = 2000
"""Most characters of a line of a message (decision)."""
LONG_WORD = re.compile(rf"[^\s/]{{{LONGEST_REASON + 1},}}")
LONG_LINE = re.compile(rf".{{{LONGEST_LINE + 1},}}")
"""What a message shortens: text that no reader needs whole, as an argument or a name of thousands of characters."""
_NO_WORD = re.compile(r"[^a-z0-9]")


def printable(text: str) -> str:
    """Return a text whose characters all show, line ends aside: "?" stands for each that moves a cursor or turns text."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def message(text: str) -> str:
    """Return a text as a message shows it: every character shows, and long words and lines lose their middle."""
    for pattern, most in ((LONG_WORD, LONGEST_REASON), (LONG_LINE, LONGEST_LINE)):
        text = pattern.sub(lambda met, keep=most // 2: f"{met[0][:keep]}...{met[0][-keep:]}", text)  # type: ignore[misc]
    return printable(text)


class _Short(reprlib.Repr):
    """Writes what stands in each other two levels deep: a few bytes of a file can make a list whose whole text has no end."""

    def repr_instance(self, x: object, level: int) -> str:
        """Return the text of an object, or raise what it raises: the library would write its address, new in each run."""
        return repr(x)


_SHORT = _Short()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 2 * SHOWN
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdeque = SHOWN


def shown(value: object) -> str:
    """Return the representation of a value, cut where it is long, for a message; its type where it has none."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # Python writes no whole number of thousands of digits, and an object of a user raises anything
        return "a number of too many digits" if isinstance(value, int) else f"an object of type {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def encoded(text: str) -> bytes:
    """Encode the text of a file; of a path whose bytes are no text, as of another system's, escapes stand for them."""
    return text.encode(errors="backslashreplace")


def in_one_line(name: str) -> str:
    """Return a name as messages show it: nothing in it ends the line or moves the cursor, and it is cut where it is long."""
    text = printable(name).replace("\n", "?")
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."


def command_line(*words: object) -> str:
    """Write a command of Muxflow as a shell takes it, whatever is in its words."""
    return shlex.join(("muxflow", *map(str, words)))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask ". Did you mean X?" for a name that is spelled nearly as a known one, in other letters or dashes; "" for no other."""
    spelled = {_NO_WORD.sub("", one.lower()): one for one in known}
    found = get_close_matches(_NO_WORD.sub("", name.lower()), spelled, n=1)
    return f". Did you mean {spelled[found[0]]}?" if found else ""


def unknown(kind: str, name: str, known: Iterable[str], fault: str = "is unknown") -> str:
    """Say that a name is none of those that are known, which these are, and which was meant perhaps."""
    known = tuple(known)
    return f"{kind} {name!r} {fault}; choose from {', '.join(known)}{did_you_mean(name, known)}"


def plainly(error: BaseException) -> str:
    """Return what an error says in one line, cut where it is long: of a file what the system says, of a key that it lacks."""
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror
    elif isinstance(error, KeyError) and error.args:
        said = str(error.args[0])
        said = said if " " in said else f"it lacks {said!r}"
    elif said.startswith("Exceeds the limit ("):  # of digits; Python tells to change a setting of its own
        said = "it has a number of too many digits"
    return " ".join(said.split())[:LONGEST_REASON] or type(error).__name__


def reason(error: BaseException) -> str:
    """Return what somebody else's error says as `plainly`, after its kind where that says more."""
    said, kind = plainly(error), type(error).__name__
    plain = isinstance(error, KeyError) or (isinstance(error, OSError) and error.strerror)
    return said if plain or said == kind else f"{kind}: {said}"[:LONGEST_REASON]


def cell(value: Any) -> Any:
    """Return a value for a table in CSV: a spreadsheet takes a text that begins with one of "=+-@" for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def json_text(entry: Any) -> str:
    """Write an object as JSON for people and programs; raises ValueError for a number that JSON does not have."""
    return json.dumps(entry, indent=2, sort_keys=True, allow_nan=False) + "\n"


def name_fault(name: object) -> str | None:
    """Say what is wrong with the name of a node, a stream or a graph; None where nothing is."""
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME:
        return f"the name {shown(name)}; a name is text of 1 to {LONGEST_NAME} characters (LONGEST_NAME)"
    if not name.isprintable():
        return f"the name {shown(name)} holds control characters; use characters that can be printed"
    return None
