"""Sweeps: a result for every point, whatever happens to some of them."""

import csv
import importlib
import io
import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

import muxflow
from muxflow import sweep, sweep_cluster
from muxflow.dataflow.errors import BudgetError, GraphError, MuxflowError, ToolError
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.timing import DeadlockError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.reports.gather.report import make_report
from muxflow.sweep import names_file, plan, run_sweep
from muxflow.sweep_results import ROWS, TABLE, Outcome, Point, to_csv


def save(path, rows):
    weights = np.random.default_rng(rows).integers(-1, 2, (rows, 12))
    nodes = [
        Node("weights", RomWeights(weights, 1, 16), (), ("w",)),
        Node("layer", MatrixVector(), ("x", "w"), ("sums",)),
        Node("act", Threshold([[0, 2, 4]], [0]), ("sums",), ("y",)),
    ]
    write_graph(with_nodes(Graph(path.stem, (), {"x": Stream((4, 4, 12), 0, 3)}, ("x",), ("y",)), nodes), path)
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [save(folder / f"rows{rows}.npz", rows) for rows in (6, 8)]


def test_plan():
    points = plan(["a", "b"], ["x"], (0.5, 0.7), (0.9,), (None, 50.0))
    assert len(points) == 8
    assert points[0] == Point("a", "x", 0.5, 0.9, None)
    assert points[-1] == Point("b", "x", 0.7, 0.9, 50.0)
    assert plan(["a", "a"], ["x"]) == (Point("a", "x"),)
    with pytest.raises(MuxflowError, match="a sweep of no points"):
        run_sweep((), "nowhere")


def test_every_point_has_its_outcome(tmp_path, models):
    """Good points, an unknown board, a share of zero, a clock of zero, a missing file, an unknown preset."""
    points = (
        *plan(models, ["pynq-z2"], clocks_mhz=(None, 50.0)),
        Point(models[0], "no-such-board"),
        Point(models[0], "pynq-z2", lut=0.0),
        Point(models[0], "pynq-z2", lut=0.0002),
        Point(models[0], "pynq-z2", clock_mhz=0.0),
        Point(str(tmp_path / "absent.npz"), "pynq-z2"),
        Point("no_such_preset", "pynq-z2"),
    )
    seen = []
    outcomes = run_sweep(points, tmp_path / "out", jobs=2, progress=lambda o, done, count: seen.append((done, count)))
    assert [o.point for o in outcomes] == list(points)
    assert sorted(seen) == [(i + 1, len(points)) for i in range(len(points))]
    fitted, refused = outcomes[:4], outcomes[4:]
    assert {o.status for o in fitted} == {"fitted"}
    assert all(o.interval > 0 and o.latency >= o.interval // 2 and o.lut > 0 for o in fitted)
    assert fitted[0].interval == fitted[1].interval
    assert fitted[0].frames_per_second == pytest.approx(fitted[0].clock_mhz * 1e6 / fitted[0].interval, abs=1e-3)
    assert (fitted[0].clock_mhz, fitted[1].clock_mhz) == (100.0, 50.0)
    reasons = ["'no-such-board' is not known", "utilisation of 0 for lut", " bind", "clock of 0 MHz", "no such file"]
    for outcome, reason in zip(refused, [*reasons, "'no_such_preset' is unknown"], strict=True):
        assert outcome.status == "refused"
        assert reason in outcome.reason
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "results.csv").read_text())))
    assert [row["status"] for row in rows] == [o.status for o in outcomes]
    assert rows[1]["given_clock_mhz"] == "50.0"
    assert json.loads((tmp_path / "out" / "results.json").read_text())[0]["interval"] == outcomes[0].interval


def test_a_sweep_that_is_broken_off_waits_for_the_thread_of_its_pool(tmp_path, models):
    """While Python ends such a thread would meet a pipe that is closed."""

    def interrupt(*_told):
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan(models, ["pynq-z2"], clocks_mhz=(50.0, 60.0)), tmp_path / "out", jobs=2, progress=interrupt)
    assert set(threading.enumerate()) == before


def test_a_point_has_every_resource_of_its_design(tmp_path, models, monkeypatch):
    fit = folding.fit

    def with_memories(*arguments, **options):
        design = fit(*arguments, **options)
        vars(design)["resources"] = Resources(11, 12, 13, 14, 15)  # a cached property
        return design

    monkeypatch.setattr(folding, "fit", with_memories)
    work = sweep._work(Point(models[0], "kv260"), sweep._graph(models[0], tmp_path))
    found = sweep.fit_point(work)
    assert found.status == "fitted", found.reason
    assert (found.lut, found.ff, found.bram18, found.dsp, found.uram) == (11, 12, 13, 14, 15)


def test_a_point_has_the_intervals_of_the_report(tmp_path, models):
    found, *_ = run_sweep(plan(models[:1], ["kv260"]), tmp_path / "out")
    report = make_report(muxflow.fit(muxflow.load(Path(models[0])), board="kv260"), version="")
    assert report.between == {"LUT": (found.lut_low, found.lut_high), "FF": (found.ff_low, found.ff_high)}
    row = next(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    assert (row["lut_low"], row["ff_high"]) == (str(found.lut_low), str(found.ff_high))


def test_goes_on_where_it_stopped(tmp_path, models, monkeypatch):
    points = plan(models, ["pynq-z2", "kv260"])
    whole = run_sweep(points, tmp_path / "whole", jobs=2)
    partial = tmp_path / "partial"

    def stop(outcome, done, count):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(points, partial, progress=stop)
    kept = sorted(partial.glob("points/*.json"))
    assert 2 <= len(kept) < len(points)
    assert not (partial / "results.csv").exists()
    kept[0].write_text("{ torn")
    ran = []
    original = sweep._run

    def counted(works, *rest):
        ran.extend(works)
        original(works, *rest)

    monkeypatch.setattr(sweep, "_run", counted)
    assert run_sweep(points, partial) == whole
    assert len(ran) == len(points) - len(kept) + 1
    assert (partial / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()
    ran.clear()
    assert run_sweep(points, partial) == whole
    assert not ran


@pytest.mark.parametrize(
    "damage",
    [
        {"lut": [1]},
        {"lut": float("nan")},
        {"interval": 10**30},
        {"status": "done"},
        {"reason": 10**6 * "x"},
        {"point": 3},
        {"colour": "red"},
    ],
)
def test_a_kept_result_that_is_none_is_fitted_again(tmp_path, models, monkeypatch, damage):
    points = plan(models[:1], ["pynq-z2"])
    whole = run_sweep(points, tmp_path)
    (file,) = (tmp_path / "points").iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | damage))
    ran = []

    def fitted(works, *rest):
        ran.extend(works)
        rest[-1](whole[0])

    monkeypatch.setattr(sweep, "_run", fitted)
    assert run_sweep(points, tmp_path) == whole
    assert len(ran) == 1


WORKERS = """
import os
from muxflow.sweep import Outcome

def die(work):
    if work.point.board == "kv260":
        os._exit(9)
    return Outcome(work.point, "fitted", interval=1)

def fail(work):
    raise ZeroDivisionError(f"on {work.point.board}")
"""


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Functions that the processes of a pool can import, which those of a test module are not."""
    (tmp_path / "odd_workers.py").write_text(WORKERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("odd_workers")
    del sys.modules["odd_workers"]


def test_a_worker_that_dies_takes_no_other_point_with_it(tmp_path, models, monkeypatch, workers):
    monkeypatch.setattr(sweep, "fit_point", workers.die)
    points = plan(models[:1], ["kv260", "pynq-z2", "zcu104"])
    outcomes = run_sweep(points, tmp_path, jobs=2)
    assert [o.status for o in outcomes] == ["crashed", "fitted", "fitted"]
    assert "died" in outcomes[0].reason
    assert len(list(tmp_path.glob("points/*.json"))) == 2, "a crash is tried again the next time"


NO_SPACE = "#!/bin/sh\necho 'cannot write /tmp/x.s: No space left on device' >&2\nexit 1\n"


def test_a_fault_of_the_machine_is_no_refusal(call_muxflow, tmp_path, models, monkeypatch):
    """A compiler that fails today says nothing of the point: no result is kept, and the exit code tells."""
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text(NO_SPACE)
    compiler.chmod(0o755)
    usual = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{compiler.parent}:{usual}")
    words = ("sweep", models[0], "-b", "pynq-z2", "--json", "--jobs", "1", "-o", tmp_path / "out")
    code, said, error = call_muxflow(*words)
    (row,) = json.loads(said)["results"]
    assert (code, row["status"]) == (1, "crashed") and "No space left" in row["reason"]
    assert "1 point crashed" in error and not list(tmp_path.glob("out/points/*"))
    monkeypatch.setenv("PATH", usual)
    code, said, _ = call_muxflow(*words)
    assert (code, json.loads(said)["results"][0]["status"]) == (0, "fitted")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BudgetError("no room"), "refused"),
        (GraphError("too wide"), "refused"),
        (DeadlockError("stops", (), {}), "refused"),
        (ToolError("g++ failed"), "crashed"),
        (OSError(28, "No space left on device"), "crashed"),
        (MemoryError(), "crashed"),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_only_what_says_something_of_the_point_is_kept(tmp_path, models, monkeypatch, error, status, behind):
    def fail(*_arguments, **_options):
        if behind and status == "crashed":
            raise MuxflowError("cannot be written") from error
        raise error

    work = sweep._work(Point(models[0], "pynq-z2"), sweep._graph(models[0], tmp_path))
    monkeypatch.setattr(folding, "fit", fail)
    assert sweep.fit_point(work).status == status


def test_a_disk_that_is_full_while_a_model_is_read_is_no_refusal(tmp_path, models, monkeypatch):
    def full(_graph, path):
        raise MuxflowError(f"{path}: cannot be written") from OSError(28, "No space left on device")

    monkeypatch.setattr(sweep, "write_graph", full)
    (outcome,) = run_sweep(plan(models[:1], ["pynq-z2"]), tmp_path / "out")
    assert outcome.status == "crashed"


def test_an_unforeseen_error_is_recorded(tmp_path, models, monkeypatch, workers):
    monkeypatch.setattr(sweep, "fit_point", workers.fail)
    (outcome,) = run_sweep(plan(models[:1], ["zcu104"]), tmp_path)
    assert (outcome.status, outcome.reason) == ("crashed", "ZeroDivisionError: on zcu104")


def test_a_module_in_the_current_folder_is_not_run(tmp_path, models, monkeypatch):
    """Python itself takes it for the library's in a process that is spawned."""
    (tmp_path / "pickle.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    (outcome,) = run_sweep(plan(models[:1], ["pynq-z2"]), tmp_path / "out", jobs=1)
    assert outcome.status == "fitted" and "PYTHONSAFEPATH" not in os.environ


def test_on_a_cluster(tmp_path, models):
    """A local Dask cluster by its address gives what local processes give."""
    points = (*plan(models, ["pynq-z2"]), Point(models[0], "pynq-z2", lut=0.0002))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        outcomes = run_sweep(points, tmp_path / "cluster", scheduler=cluster.scheduler_address)
    assert outcomes == run_sweep(points, tmp_path / "local")
    assert [o.status for o in outcomes] == ["fitted", "fitted", "refused"]


def test_an_interruption_does_not_wait_for_a_cluster(tmp_path, models, monkeypatch):
    begun, over, waited_for = threading.Event(), threading.Event(), []
    real = folding.fit

    def fit(graph, kernels, **given):
        if given["board"] == "zcu104":
            begun.set()
            waited_for.append(not over.wait(30))
        return real(graph, kernels, **given)

    def interrupt(*_):
        begun.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(folding, "fit", fit)
    points = plan(models[:1], ["pynq-z2", "zcu104"])
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        with pytest.raises(KeyboardInterrupt):
            run_sweep(points, tmp_path / "cluster", scheduler=cluster.scheduler_address, progress=interrupt)
        assert begun.is_set() and not waited_for
        over.set()


def test_no_scheduler(tmp_path, models, monkeypatch):
    monkeypatch.setattr(sweep_cluster, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ToolError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_sweep(plan(models, ["pynq-z2"]), tmp_path, scheduler="tcp://127.0.0.1:9")


def test_results_of_other_points_are_not_replaced(tmp_path, models):
    """More points and the same ones go on; fewer or others would lose some, and ask for `force`."""
    both, first = plan(models, ["pynq-z2"]), plan(models[:1], ["pynq-z2"])
    run_sweep(first, tmp_path)
    run_sweep(both, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (TABLE, ROWS)}
    for others in (first, plan(models, ["zcu104"]), plan(models, ["pynq-z2"], lut=(0.5,))):
        with pytest.raises(MuxflowError, match=r"holds results of [12] points? that this sweep has not, as .*--force"):
            run_sweep(others, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert len(run_sweep(first, tmp_path, force=True)) == 1


@pytest.mark.parametrize("name", [TABLE, ROWS])
@pytest.mark.parametrize("text", ["mine", "[]", '[{"point": 1}]', "{}", "null"])
def test_somebody_elses_file_is_not_replaced(tmp_path, models, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(MuxflowError, match=rf"{name} is not as Muxflow wrote it there, or somebody else's; .*--force"):
        run_sweep(plan(models, ["pynq-z2"]), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == text


def test_results_that_were_changed_or_lead_elsewhere_are_not_replaced(tmp_path, models):
    folder, points = tmp_path / "out", plan(models[:1], ["pynq-z2"])
    run_sweep(points, folder)
    table = (folder / TABLE).read_bytes()
    (tmp_path / "mine").write_text("mine")
    for change in (
        lambda: (folder / TABLE).write_text("my notes"),
        lambda: ((folder / TABLE).unlink(), (folder / TABLE).symlink_to("../mine")),
    ):
        change()
        with pytest.raises(MuxflowError, match=rf"{TABLE} is not as Muxflow wrote it there, .* with --force"):
            run_sweep(points, folder)
        run_sweep(points, folder, force=True)
        assert (folder / TABLE).read_bytes() == table and not (folder / TABLE).is_symlink()
    (folder / ROWS).unlink()
    with pytest.raises(MuxflowError, match=rf"holds a {TABLE} or {ROWS} of which no sweep can be told; .*--force"):
        run_sweep(points, folder)
    (folder / "points").rename(tmp_path / "elsewhere")
    (folder / "points").symlink_to("../elsewhere")
    with pytest.raises(MuxflowError, match=r"points is a link to .*elsewhere, and links"):
        run_sweep(points, folder, force=True)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_kept_result_that_was_changed_is_told_and_fitted_again(tmp_path, models):
    """Its numbers would be figures of nothing, though they fit a result's form."""
    points = plan(models[:1], ["pynq-z2"])
    whole, told = run_sweep(points, tmp_path), []
    (file,) = (tmp_path / "points").iterdir()
    kept = file.read_bytes()
    file.write_text(json.dumps(json.loads(kept) | {"interval": 4, "frames_per_second": 99999999.0}))
    assert run_sweep(points, tmp_path, remark=told.append) == whole
    assert told == [f"{file}: not as Muxflow wrote it; fitted again"]
    assert file.read_bytes() == kept
    assert run_sweep(points, tmp_path, remark=told.append) == whole and len(told) == 1


def test_of_two_sweeps_in_one_folder_none_loses_the_others_results(tmp_path, models):
    """The second one finds when it ends what it did not when it began; what it fitted is kept."""
    first, second = (plan([model], ["pynq-z2"]) for model in models)

    def meanwhile(*_told):
        run_sweep(first, tmp_path)

    with pytest.raises(MuxflowError, match=r"holds results of 1 point that this sweep has not, as .*rows6"):
        run_sweep(second, tmp_path, progress=meanwhile)
    assert [row["point"]["model"] for row in json.loads((tmp_path / ROWS).read_text())] == [models[0]]
    assert len(list((tmp_path / "points").iterdir())) == 2
    both = run_sweep((*first, *second), tmp_path, remark=pytest.fail)
    assert [outcome.status for outcome in both] == ["fitted", "fitted"]


def test_what_is_in_the_way_of_the_results_is_said_before_anything_is_fitted(tmp_path, models, monkeypatch):
    monkeypatch.setattr(sweep, "_graph", lambda *_: pytest.fail("it reads a model"))
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(MuxflowError, match="file is no folder"):
            run_sweep(plan(models, ["pynq-z2"]), folder)
    (tmp_path / "points").write_text("mine")
    with pytest.raises(MuxflowError, match="points is no folder"):
        run_sweep(plan(models, ["pynq-z2"]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "points"]


def test_csv_quotes_reasons():
    text = to_csv((Outcome(Point("m", "b"), "refused", 'a "reason", with commas'),))
    assert next(csv.DictReader(io.StringIO(text)))["reason"] == 'a "reason", with commas'


def test_command(tmp_path, models):
    """The table and the reasons; exit code 0 although a point is refused."""
    from typer.testing import CliRunner

    from muxflow.cli.app import app

    folder = tmp_path / "out"
    shares = ("--lut", "0.7", "--lut", "0.0002")
    command = ["sweep", *models, "-b", "pynq-z2", *shares, "--clock", "80", "-o", str(folder), "--jobs", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "rows6 on pynq-z2" in result.output and " bind" in result.output
    assert (folder / "results.csv").exists()
    again = CliRunner().invoke(app, [*command, "--json"])
    rows = json.loads(again.stdout)["results"]
    assert [row["status"] for row in rows] == ["fitted", "refused"] * 2
    assert rows[0]["clock_mhz"] == 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("absent.onx",), "absent.onx: no such file; supported are .onnx"),
        (("pipe",), "pipe: a device or a pipe, which may never end"),
        (("m.npz", "--board", "pynq-z22"), "board 'pynq-z22' is not known"),
    ],
)
def test_what_is_spelled_wrong_is_said_before_a_result_is_replaced(call_muxflow, tmp_path, monkeypatch, words, message):
    (tmp_path / "results.json").write_text("mine")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    code, _, error = call_muxflow("sweep", *words, "--output", tmp_path, "--force")
    assert code in (1, 2) and message in " ".join(error.split())
    assert (tmp_path / "results.json").read_text() == "mine"


def test_a_preset_is_meant_though_a_folder_has_its_name(tmp_path, monkeypatch):
    """`muxflow build -o NAME` makes such folders; another file is a file, also without a suffix."""
    monkeypatch.chdir(tmp_path)
    Path("mognet_digits").mkdir()
    Path("plain").write_text("")
    assert [names_file(name) for name in ("mognet_digits", "plain", "absent", "absent/", "absent.onnx")] == [
        False,
        True,
        False,
        True,
        True,
    ]
    (outcome,) = run_sweep(plan(["mognet_digits"], ["pynq-z2"]), Path("out"))
    assert outcome.status == "fitted"
