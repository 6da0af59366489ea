"""How numbers are written for people."""

import pytest

from muxflow.dataflow.quantities import count, counted, exact, percent, rate, rounded, share, si


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.25, "3.25"),
        (3.2512, "3.25"),
        (99.96, "100"),
        (145.9, "146"),
        (48828.125, "48,828"),
        (0.0004, "0.0004"),
    ],
)
def test_three_digits_are_kept_and_the_whole_part(value: float, text: str) -> None:
    assert rounded(value) == text
    assert rate(value) == f"{text} frames/s"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (49.5e-6, "s", "49.5 µs"),
        (0.9999e-3, "s", "1 ms"),
        (768, "MAC", "768 MAC"),
        (671_616, "MAC", "672 kMAC"),
        (999_600, "bit", "1 Mbit"),
        (1.8e9, "MAC", "1.8 GMAC"),
        (1e-20, "s", "0.00000001 ps"),
    ],
)
def test_the_prefix_leaves_one_to_a_thousand(value: float, unit: str, text: str) -> None:
    assert si(value, unit) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0 %"),
        (1, 5000, "under 0.1 %"),
        (73, 1000, "7.3 %"),
        (0.98, 1, "98 %"),
        (15, 10, "150 %"),
        (10.919, 1, "10.9 times"),
        (3, 0, "100 %"),
    ],
)
def test_shares_are_per_cent_or_times(part: float, whole: float, text: str) -> None:
    assert share(part, whole) == text


def test_counts_agree_in_number() -> None:
    assert (count(26537), counted(1, "image"), counted(1450, "image")) == ("26,537", "1 image", "1,450 images")
    assert percent(442 / 450) == "98.22 %"


def test_a_number_is_read_back_the_same() -> None:
    assert [exact(value) for value in (100.0, 123.4567, 0.7, 1 / 3)] == ["100", "123.4567", "0.7", "0.3333333333333333"]
