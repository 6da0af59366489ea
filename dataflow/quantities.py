"""Quantities for people: the one place that rounds a number and writes it with its unit."""

from __future__ import annotations

from math import floor, log10

PREFIXES = {-4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}
"""SI prefixes by power of 1000."""
DIGITS = 3
"""Significant digits of a number that is rounded (decision)."""
LEAST_SHARE, MOST_SHARE = 0.001, 10.0
"""Shares between which per cent are read with ease (decision)."""


def count(number: int) -> str:
    """Write a whole number, thousands separated: 26,537."""
    return f"{number:,}"


def counted(number: int, noun: str, many: str = "") -> str:
    """Write a number of things: 1 image, 450 images; `many`: the noun of several where it does not just end in an s."""
    return f"{number:,} {noun if number == 1 else many or f'{noun}s'}"


def rounded(value: float) -> str:
    """Write a number with three significant digits, or all of its whole part where that is longer: 48,828, 145, 3.25."""
    if value == 0:
        return "0"
    places = DIGITS - 1 - floor(log10(abs(float(f"{value:.{DIGITS - 1}e}"))))
    text = f"{value:,.{max(0, places)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def si(value: float, unit: str) -> str:
    """Write a number of a unit with the SI prefix that leaves 1 to 1000 of it: 146 µs, 667 kbit, 1.5 Mbit."""
    power = 0 if value == 0 else floor(log10(abs(float(f"{value:.{DIGITS - 1}e}"))) / 3)
    power = min(max(power, min(PREFIXES)), max(PREFIXES))
    return f"{rounded(value / 1000.0**power)} {PREFIXES[power]}{unit}"


def rate(per_second: float, what: str = "frames") -> str:
    """Write a rate: 48,828 frames/s, 3.25 frames/s."""
    return f"{rounded(per_second)} {what}/s"


def share(part: float, whole: float) -> str:
    """Write a share: 86 %, under 0.1 %, or 10.9 times where it is that many times the whole."""
    ratio = part / whole if whole else float(part > 0)
    if ratio >= MOST_SHARE:
        return f"{rounded(ratio)} times"
    if 0 < ratio < LEAST_SHARE:
        return f"under {rounded(100 * LEAST_SHARE)} %"
    return f"{100 * ratio:.{1 if ratio < 0.1 else 0}f} %" if ratio else "0 %"


def percent(ratio: float) -> str:
    """Write an accuracy or the like, which is compared by its hundredths: 98.22 %."""
    return f"{100 * ratio:.2f} %"


def exact(value: float) -> str:
    """Write a number as short as it is read back the same."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
