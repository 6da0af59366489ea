"""The site that `make docs` builds: its settings, its gallery, the check of its pages; and what a browser makes of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import browser
import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "tools" / "site"

needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None,
    reason="no Sphinx here: `make docs` installs it (the extra docs)",
)
needs_browser = pytest.mark.skipif(browser.EXECUTABLE is None, reason=browser.NO_BROWSER)


def script(name: str) -> ModuleType:
    """Load a script of the site's as a module."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_variants_have_no_report_of_their_own() -> None:
    names = ["ern_mnist", "mognet_digits", "mognet_digits_always", "mognet_digits_element", "mognet_mnist"]
    assert script("gallery").systems(names) == ["ern_mnist", "mognet_digits", "mognet_mnist"]


def rungs(*outcomes: str) -> dict[str, list[dict[str, object]]]:
    titles = ("QONNX execution", "C simulation, native integers", "C simulation, ap_int types")
    found = [{"title": title, "status": status, "images": 450} for title, status in zip(titles, outcomes, strict=False)]
    return {"ladder": found}


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ((), "not run"),
        (("equal",), "not run"),
        (("equal", "equal", "equal"), "equal, 450 images"),
        (("differs", "equal", "stale"), "stale, 450 images"),
        (("equal", "equal", "differs"), "differs, 450 images"),
    ],
)
def test_the_table_says_what_the_simulations_came_to(outcomes: tuple[str, ...], text: str) -> None:
    assert script("gallery").proof(rungs(*outcomes)) == text


def test_a_row_of_the_table() -> None:
    facts = {"accuracy": 0.986, "images": 1000, "dataset": "mnist_5k"}
    report = {
        "used": {"LUT": 26513, "BRAM18": 19},
        "budget": {"LUT": 30840, "BRAM18": 249},
        "parameter_bits": 88640,
        "frames_per_second": 28344.671,
        "latency_us": 60.03,
        **rungs(),
    }
    assert script("gallery").card("ern_mnist", facts, report) == (
        '| <a href="../reports/ern_mnist.html"><code>ern_mnist</code></a> | 98.60 % of 1,000 (mnist_5k) | 88.6 kbit | '
        "28,345 frames/s | 60 µs | 26,513, 86 % | 19, 7.6 % | not run |"
    )


def test_what_is_wrong_with_a_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"><a href="b.html#here">x</a><a href="b.html#gone">x</a><a href="c.html">x</a><a href="#top">x</a>'
        '<a href="https://example.org/">x</a><img src="https://example.org/x.png"><script src="//example.org/x.js"></script>'
        '<img src="data:image/png;base64,AA==">'
    )
    (tmp_path / "b.html").write_text('<p id="here">')
    (tmp_path / "a.css").write_text("@import 'https://example.org/a.css'; p { background: url(\"x.png\") }")
    found = [text.removeprefix(f"{tmp_path}/") for text in script("check").wrong_with(tmp_path)]
    assert found == [
        "a.html: b.html#gone: no such name",
        "a.html: c.html: no such file",
        "a.html: https://example.org/x.png: loaded from another host",
        "a.html: //example.org/x.js: loaded from another host",
        "a.css: https://example.org/a.css: loaded from another host",
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages without the reports, the notebooks not executed."""
    folder = tmp_path_factory.mktemp("site")
    options = [
        "-q",
        "-W",
        "--keep-going",
        "-c",
        str(SITE),
        "-d",
        str(folder / "doctrees"),
        "-D",
        "nb_execution_mode=off",
    ]
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *options,
        "-D",
        "html_extra_path=",
        str(ROOT / "docs"),
        str(folder / "html"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@needs_sphinx
def test_the_pages_build_without_a_warning_and_lead_nowhere_else(site: Path) -> None:
    links = [text for text in script("check").wrong_with(site) if "reports/" not in text]
    assert not links
    index = (site / "index.html").read_text()
    assert all(
        f'href="{page}"' in index for page in ("guide/brevitas.html", "notebooks/finn.html", "reference/api.html")
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    assert browser.EXECUTABLE is not None
    with browser.running(browser.EXECUTABLE, tmp_path_factory.mktemp("profile")) as started:
        yield started


@needs_sphinx
@needs_browser
@pytest.mark.parametrize("width", [390, 768, 1100, 1280, 1480, 1920])
def test_a_browser_shows_the_pages_from_disk(site: Path, opened: browser.Browser, width: int) -> None:
    for name in (
        "index.html",
        "guide/finn.html",
        "reference/models.html",
        "reference/api.html",
        "notebooks/hls4ml.html",
    ):
        with opened.open((site / name).as_uri(), width) as page:
            assert page.complaints == [], name
            assert [address for address in page.requests if not address.startswith(("file:", "data:"))] == [], name
            assert page.overflow() == 0, name


@needs_sphinx
@needs_browser
def test_the_search_works_from_disk(site: Path, opened: browser.Browser) -> None:
    with opened.open(f"{(site / 'search.html').as_uri()}?q=thermometer") as page:
        found = page.evaluate(
            "new Promise(done => { let tries = 0; const look = () => { const hit = document.querySelector("
            "'ul.search a[href^=\"guide/ern.html\"]'); hit || ++tries > 100 ? done(!!hit) : setTimeout(look, 50) }; look() })"
        )
        assert found
        assert page.complaints == []


@needs_browser
def test_the_browser_notices_what_is_wrong(tmp_path: Path, opened: browser.Browser) -> None:
    file = tmp_path / "bad.html"
    file.write_text(
        '<meta name="viewport" content="width=device-width"><div style="width: 900px">wide</div>'
        '<img src="http://127.0.0.1:9/x.png"><script>console.error("said"); undefined.thrown</script>'
    )
    with opened.open(file.as_uri(), 390) as page:
        assert page.overflow() > 500
        assert "http://127.0.0.1:9/x.png" in page.requests
        assert "said" in page.complaints
        assert any("Uncaught" in text for text in page.complaints)
        assert any("ERR_" in text for text in page.complaints)
