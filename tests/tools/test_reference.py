"""The reference is what the docstrings say."""

import importlib.util
from pathlib import Path

import pytest

import muxflow

SCRIPT = Path(__file__).parents[2] / "tools" / "reference.py"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["semantics.md", "api.md"])
def test_the_pages_are_up_to_date(reference, name):
    page = reference.FOLDER / name
    assert page in reference.PAGES
    assert page.read_text() == reference.assembled(page), "run make docs-reference and look at what it changed"


def test_check_names_the_page_that_is_behind(reference, tmp_path, monkeypatch):
    page = tmp_path / "docs" / "reference" / "api.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"Head.\n{reference.BEGIN}\nold\n{reference.END}Foot.\n", encoding="utf-8")
    monkeypatch.setattr(reference, "FOLDER", page.parent)
    monkeypatch.setattr(reference, "PAGES", {page: lambda: iter(["new"])})
    assert str(reference.main(["--check"])).startswith("docs/reference/api.md: ")
    assert "old" in page.read_text(encoding="utf-8")
    assert reference.main([]) is None
    assert page.read_text(encoding="utf-8") == f"Head.\n{reference.BEGIN}\nnew\n{reference.END}Foot.\n"
    assert reference.main(["--check"]) is None


def test_every_public_name_has_a_section(reference):
    headings = {
        line.split()[-1].removeprefix("muxflow.")
        for line in "\n".join(reference.api()).splitlines()
        if line[:4] == "### "
    }
    assert set(muxflow.__all__) - {"__version__"} <= headings


def test_a_formula_is_never_broken_over_two_lines(reference):
    formula = "`y = a - " + "b - " * 24 + "c`"
    text = reference.wrapped(f"Do it.\n\n- One {formula} two.\n- Three.\n\nEnd.")
    assert formula in text
    assert text.splitlines()[-3:] == ["- Three.", "", "End."]


def test_parameters_and_errors_become_a_list(reference):
    def act(x: str = "a", *, y: "int | None" = None) -> int:
        """Act on it.

        It is `x`,
        `y` aside, that counts.
        `x`, `y`: what to act on.
        Raises MuxflowError when it is
        `x`.
        """

    assert reference.signature(act) == 'def act(x: str = "a", *, y: "int | None" = None) -> int: ...'
    assert reference.listed(act).splitlines() == [
        "Act on it.",
        "",
        "It is `x`, `y` aside, that counts.",
        "- `x`, `y`: what to act on.",
        "- Raises MuxflowError when it is `x`.",
    ]
