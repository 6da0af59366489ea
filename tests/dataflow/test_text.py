"""What a message says of somebody else's error: a sentence, not the words of Python."""

import json
import zipfile
from pathlib import Path

import pytest

from muxflow.dataflow.text import LONGEST_REASON, plainly, reason


def met(action):
    with pytest.raises((OSError, LookupError, ValueError)) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    ("action", "said", "with_its_kind"),
    [
        (lambda: Path("/absent/file").read_text(), "No such file or directory", False),
        (lambda: {}["name"], "it lacks 'name'", False),
        (lambda: {}[3], "it lacks '3'", False),
        (lambda: int("x"), "invalid literal for int() with base 10: 'x'", True),
        (lambda: json.loads("{"), "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", True),
        (lambda: json.loads("9" * 5000), "it has a number of too many digits", True),
    ],
)
def test_an_error_in_plain_words(action, said, with_its_kind):
    error = met(action)
    assert plainly(error) == said
    assert reason(error) == (f"{type(error).__name__}: {said}" if with_its_kind else said)


def test_an_error_that_says_nothing_is_called_by_its_kind(tmp_path):
    assert plainly(MemoryError()) == reason(MemoryError()) == "MemoryError"
    assert plainly(KeyError()) == reason(KeyError()) == "KeyError"
    assert reason(OSError("gone\n mad")) == "OSError: gone mad"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        error = met(lambda: archive.getinfo("header.json"))
    assert plainly(error) == reason(error) == "There is no item named 'header.json' in the archive"
    assert len(reason(ValueError("x" * 1000))) == len(plainly(ValueError("x" * 1000))) == LONGEST_REASON
