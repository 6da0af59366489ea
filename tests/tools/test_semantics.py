"""The page of semantics is what the docstrings of the ops say."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "semantics.py"


@pytest.fixture(scope="module")
def semantics():
    spec = importlib.util.spec_from_file_location("semantics", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(semantics):
    page = semantics.PAGE.read_text()
    assert page == semantics.assembled(page), "run make docs-semantics and look at what it changed"


def test_a_formula_is_never_broken_over_two_lines(semantics):
    formula = "`y = a - " + "b - " * 24 + "c`"
    text = semantics.wrapped(f"Do it.\n\n- One {formula} two.\n- Three.\n\nEnd.")
    assert formula in text
    assert text.splitlines()[-3:] == ["- Three.", "", "End."]
