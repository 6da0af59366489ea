"""Tables for papers: text that gives no orders, floats that fit, keys that are there, and pages that compile."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.reports.latex.kit import MOST_LINES, PAPERS, kit, to_latex
from muxflow.reports.latex.prior import FILE, MOST_DESIGNS, read_prior
from muxflow.reports.latex.tables import design_tables, layer_tables, summary_tables
from muxflow.reports.latex.tex import Column, Tex, TexTable, label, number, tex
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import ESTIMATE, SYNTHESISED, Stage

PDFLATEX, TEX = shutil.which("pdflatex"), ("article.cls", "IEEEtran.cls", "siunitx.sty", "booktabs.sty")


def missing() -> str:
    """What the test of the compiled pages lacks here; empty where nothing is."""
    if PDFLATEX is None:
        return "no pdflatex on PATH"
    absent = [name for name in TEX if not subprocess.run(["kpsewhich", name], capture_output=True, check=False).stdout]
    return f"TeX lacks {', '.join(absent)}" if absent else ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"a_b%c&d#e$f{g}", r"a\_b\%c\&d\#e\$f\{g\}"),
        ("\\", r"\textbackslash{}"),
        ("~^<>|", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"),
        ("[1]*--", "{[}1{]}{*}{-}{-}"),
        ("5 µs × 2°", r"5 $\mu$s $\times$ 2$^\circ$"),
        ("éñüçř", r"\'{e}\~{n}\"{u}\c{c}\v{r}"),
        ("語", r"\texttt{U+8A9E}"),
        ("a\nb\x1bc", "a b?c"),
    ],
)
def test_text_gives_no_orders(text: str, written: str) -> None:
    assert tex(text) == written
    assert tex(text).isascii()
    assert tex(tex(text)) == written


def test_a_long_name_may_end_a_line_anywhere() -> None:
    assert tex("stages_0/mix_0", breakable=True) == r"stages\_\allowbreak{}0/\allowbreak{}mix\_\allowbreak{}0"
    assert tex("1,555,556.25 a_b", breakable=True) == r"1,555,556.25 a\_b"
    assert tex("x" * 40, breakable=True).count(r"\allowbreak{}") == 5


def test_numbers_and_labels() -> None:
    assert [number(value) for value in (1536, 100.0, 0.123456, 12345.6, 0.0)] == [
        Tex(rf"\num{{{text}}}") for text in ("1536", "100", "0.123", "12346", "0")
    ]
    assert number(2.5, r"\watt") == r"\qty{2.5}{\watt}"
    assert label("My net/1", "layers") == "my-net-1-layers"
    assert label("語") == "x"


def test_columns_of_numbers_are_aligned() -> None:
    column = Column("LUT", number=True, places=1)
    assert column.specification([12.25, -3.0, None]) == "S[table-format=-2.1]"
    assert [column.cell(value) for value in (12.25, None, "over")] == ["12.2", "{--}", "{over}"]
    rate = Column("frames/s", number=True, digits=3)
    assert rate.specification([36.596, 65104.2, None]) == "S[table-format=5.1]"
    assert [rate.cell(value) for value in (36.596, 65104.2, 3.0, 0.0)] == ["36.6", "65104", "3", "0"]
    assert Column("name", fill=True).specification(["a"]) == r">{\raggedright\arraybackslash}X"
    assert Column("two\nlines", number=True).heading == r"{\shortstack[r]{two\\lines}}"


def balanced(text: str) -> bool:
    environments = re.findall(r"\\(begin|end)\{(\w+\*?)\}", text)
    stack: list[str] = []
    for what, name in environments:
        if what == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return not stack


def test_every_table_has_label_caption_and_as_many_cells_as_columns(
    wild: Report, whole: Report, report: Report
) -> None:
    for one in (wild, whole, report):
        for name, text in kit([one, whole], read_prior()).items():
            if name in PAPERS or not name.endswith(".tex") or name == "preamble.tex":
                continue
            assert balanced(text), name
            assert text.count(r"\caption{") == text.count(r"\label{tab:") == 1, name
            assert text.isascii(), name
            body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
            rows = [line for line in body.splitlines() if line.endswith(r"\\")]
            assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1, name
            environment = "table*" if name.endswith("-wide.tex") else "table"
            assert rf"\begin{{{environment}}}" in text, name


def test_captions_say_what_the_figures_are(whole: Report, report: Report) -> None:
    for one, stage in ((whole, "implemented with Vivado 2022.2"), (report, "estimate")):
        summary = kit([one], read_prior())["summary-wide.tex"]
        assert stage in summary and str(tex(one.interval_is)) in summary
    stages = kit([report], read_prior())["stages.tex"]
    assert "synthesised: not run" in stages and "implemented: not run" in stages
    assert "co{-}simulated: stale" in kit([whole], read_prior())["stages.tex"]


def test_an_estimate_stands_beside_its_interval(report: Report) -> None:
    """Down the column of its resource, and in the caption of one row; a resource that a tool counted has none."""
    assert report.counted.name == ESTIMATE
    low, high = report.between["LUT"]
    narrow, wide = summary_tables(report)
    (basis,) = (what for name, _, what in narrow.rows if name == "LUT")
    assert str(basis).endswith(f", 80 % interval {low:,}-{high:,}")
    assert rf"(80 \% interval: LUT {low:,}{{-}}{high:,}, FF " in wide.caption
    counted = replace(report, stages=(Stage(SYNTHESISED, "done", "Vitis HLS 2022.2", used=report.used),))
    assert "80" not in summary_tables(counted)[1].caption


def test_a_long_table_is_several_floats(whole: Report) -> None:
    layers = tuple(replace(whole.layers[0], name=f"layer{n}") for n in range(2 * MOST_LINES + 1))
    parts = [part for table in layer_tables(replace(whole, layers=layers)) for part in table.parts(MOST_LINES)]
    assert [part.file for part in parts] == [f"layers{n}{wide}.tex" for wide in ("", "-wide") for n in ("", "-2", "-3")]
    assert [len(part.rows) for part in parts[:3]] == [MOST_LINES, MOST_LINES, 1]
    assert [len(part.totals) for part in parts[:3]] == [0, 0, 1]
    assert len({part.label for part in parts}) == 6
    assert "(continued)" in parts[1].caption
    assert to_latex(replace(whole, layers=layers)).count("(continued)") == 2


def test_one_design_has_each_table_in_two_widths(whole: Report) -> None:
    tables = design_tables(whole)
    assert [table.name for table in tables[::2]] == ["summary", "layers", "stages", "memory", "functions"]
    assert [table.wide for table in tables] == [False, True] * 5


# ------------------------------------------------------------------------------------------ prior work


def test_the_shipped_designs_have_sources_and_keys() -> None:
    prior = read_prior()
    assert len(prior.designs) >= 8 and prior.missing == ()
    assert all(one.source and one.what for one in prior.designs)


PRIOR = '[[design]]\nname = "mine"\nkey = "me2026"\nsource = "a notebook"\nlut = 5\n'


def test_a_users_designs_come_after_and_their_bibliography_with_them(tmp_path: Path, whole: Report) -> None:
    (tmp_path / "mine.bib").write_text("@article{me2026,\n title={Mine}}\n")
    (tmp_path / "mine.toml").write_text(f'bibliography = "mine.bib"\n{PRIOR}')
    prior = read_prior([tmp_path / "mine.toml"])
    assert (prior.designs[-1].name, prior.designs[-1].lut, prior.missing) == ("mine", 5, ())
    files = kit([whole], prior)
    assert r"\cite{me2026}" in files["prior.tex"] and "me2026" in files["references.bib"]


def test_a_key_that_does_not_exist_is_text_in_the_table(tmp_path: Path, whole: Report) -> None:
    (tmp_path / "mine.toml").write_text(PRIOR)
    prior = read_prior([tmp_path / "mine.toml"])
    assert prior.missing == ("me2026",)
    text = kit([whole], prior)["prior.tex"]
    assert r"\cite{me2026}" not in text and "no entry" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[design]]\n", "design.0: no value for name, key, source of PriorDesign"),
        (PRIOR.replace("lut = 5", 'lut = "x"'), "design.0.lut: 'x'; expected int"),
        (PRIOR.replace("lut = 5", "lut = -5"), "lut is -5; expected a number from 0"),
        (PRIOR.replace("lut = 5", "accuracy = 150"), "accuracy is 150.0; expected per cent from 0 to 100"),
        (PRIOR.replace("lut = 5", "accuracy = -1.5"), "accuracy is -1.5; expected a number from 0"),
        (PRIOR.replace("lut = 5", "weights = 65"), "weights is 65; expected bits from 1 to 64"),
        (PRIOR.replace("lut = 5", "activations = 0"), "activations is 0; expected bits from 1 to 64"),
        (PRIOR.replace("lut = 5", "frames_per_second = -3.0"), "frames_per_second is -3.0; expected a number from 0"),
        (
            PRIOR.replace("lut = 5", "frames_per_second = 0"),
            "frames_per_second is 0; leave out what the source does not",
        ),
        (PRIOR.replace("lut = 5", "watts = 0.0"), "watts is 0; leave out"),
        (PRIOR.replace("lut = 5", "watts = nan"), "expected a finite number"),
        (PRIOR.replace("lut = 5", "colour = 5"), "no field 'colour'"),
        (PRIOR.replace("me2026", "a}b"), r"key 'a}b'; a key is letters"),
        (PRIOR.replace("mine", " "), "name is empty"),
        ("designs = 3", "no entry 'designs'"),
        ("bibliography = 3", "bibliography 3; expected the name"),
        ('bibliography = "absent.bib"', r"absent\.bib"),
        ('bibliography = "../secrets"', r"bibliography '\.\./secrets'; expected the name of a \.bib file"),
        ("[[", "not a file of published designs"),
        (f"design = {3_000 * '['}", "nested too deep"),
        (PRIOR + 2_000_000 * "#", r"it has more than 1,048,576 bytes \(MOST_TOML\)"),
    ],
)
def test_a_damaged_file_of_designs_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(MuxflowError, match=message) as error:
        read_prior([file])
    assert str(error.value).startswith(f"{file}: not a file of published designs")
    assert FILE.name in str(error.value)


def test_more_designs_than_a_table_holds_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "many.toml"
    room = MOST_DESIGNS - len(read_prior().designs)
    file.write_text(room * PRIOR)
    assert len(read_prior([file]).designs) == MOST_DESIGNS
    file.write_text((room + 1) * PRIOR)
    with pytest.raises(
        MuxflowError, match=r"many\.toml: with it there are 1,001 published designs; .*\(MOST_DESIGNS\)"
    ):
        read_prior([file])


# -------------------------------------------------------------------------------------------- the pages


def compiled(folder: Path, name: str, whole: bool) -> str:
    """Compile a document as `paper-*.tex` says, or once for its boxes only, and give the last log."""
    command = [PDFLATEX or "", "-interaction=nonstopmode", "-halt-on-error", name]
    for step in (command, ["bibtex", Path(name).stem], command, command)[: None if whole else 1]:
        done = subprocess.run(
            step, cwd=folder, capture_output=True, text=True, errors="replace", timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:]
    return (folder / name).with_suffix(".log").read_text(errors="replace")


def long_names(report: Report) -> Report:
    """A report of many layers with long names."""
    layer = report.layers[0]
    layers = tuple(replace(layer, name=f"features_{n}_body_" + "expand" * (1 + n % 6)) for n in range(50))
    return replace(report, layers=(*report.layers, *layers))


@pytest.mark.skipif(bool(missing()), reason=f"pages not compiled: {missing()}; the structure is checked all the same")
@pytest.mark.parametrize("paper", sorted(PAPERS))
@pytest.mark.parametrize("name", ["whole", "bare", "wild"])
def test_pages_compile_and_nothing_is_too_wide_or_too_high(
    paper: str, name: str, whole: Report, report: Report, wild: Report, tmp_path: Path
) -> None:
    chosen = {"whole": long_names(whole), "bare": report, "wild": wild}[name]
    for name, text in kit([chosen, replace(whole, network="another one")], read_prior()).items():
        (tmp_path / name).write_text(text)
    log = compiled(tmp_path, paper, name == "bare")
    assert "Overfull" not in log or name == "wild"
    faults = ("Float too large", "multiply defined", "Missing character")
    for fault in (*faults, "LaTeX Warning: Reference", "Citation `")[: None if name == "bare" else len(faults)]:
        assert fault not in log, fault


def test_a_table_renders_alone() -> None:
    made = TexTable("t", "n", "c", (Column("a"), Column("b", number=True)), (("x", 1), ("y", None)))
    text = made.render("0")
    assert (made.file, made.label) == ("t.tex", "tab:n-t")
    assert "    x & 1 \\\\\n    y & {--} \\\\\n    \\bottomrule" in text
