"""Shared by all tests: the ladder of an op, small graphs, golden files, FINN."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from ladder import TARGETS, Ladder
from op_cases import OpTarget

from muxflow.dataflow.fit.candidates import groups
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.interruption import HELD
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.headers import copy_headers
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.csim import ap_types

settings.register_profile("muxflow", derandomize=True, deadline=None)
settings.load_profile("muxflow")

TESTS = Path(__file__).parent

# What takes longest, begun first, so that no core waits for the last file (`--dist loadfile`).
LONGEST = (
    "muxflow/test_demo.py",
    "frontend/test_keras_networks.py",
    "hls/test_hls4ml_models.py",
    "test_notebooks.py",
    "frontend/test_keras.py",
    "hls/finn",
    "dataflow/ops",
    "frontend/test_keras_v3.py",
    "board/test_bitstream_failures.py",
)

# What the core tier runs: folders and files whose modules import nothing but numpy, networkx, onnx, typer, rich and
# jinja2. A test among them that needs more says so: `@pytest.mark.needs("hls4ml")`.
CORE = (
    "dataflow",
    "reports",
    "board/test_board.py",
    "board/test_driver.py",
    "board/test_driver_board.py",
    "board/test_toolchain.py",
    "board/test_vendor_reports.py",
    "board/test_vendor_tcl.py",
    "hls/test_csim.py",
    "hls/test_packing.py",
    "hls/test_pragmas.py",
    "hls/test_project.py",
    "hls/test_seeds.py",
    "hls/test_vendor_view.py",
    "docs",
    "packaging/test_package_lists.py",
    "proof",
    "test_import_graph.py",
)

ZYNQ_7020 = Device("xc7z020clg400-1", lut=53200, ff=106400, bram18=280, dsp=220)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


# --------------------------------------------------------------------------------------------------------------------
# The core tier, `pytest -m core`: tests that need no torch, no QONNX, no hls4ml and no TensorFlow.


def is_core_tier(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "core")


def under(path: Path, name: str) -> bool:
    return path.is_relative_to(TESTS / name)


def is_core(path: Path) -> bool:
    """Whether a test file belongs to the core tier, or a folder holds one that does."""
    return any((TESTS / name).is_relative_to(path) or under(path, name) for name in CORE)


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background so; tests of Ctrl-C, and the processes that they start, need it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    absent = [name for name in (*CORE, *LONGEST) if not (TESTS / name).exists()]
    if absent:
        raise pytest.UsageError(f"tests/conftest.py: CORE or LONGEST names {', '.join(absent)}, which is not there")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The other files are not even imported in the core tier."""
    inside = collection_path.is_relative_to(TESTS)
    return True if is_core_tier(config) and inside and not is_core(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_core(item.path) and not item.get_closest_marker("needs"):
            item.add_marker("core")
    items.sort(key=lambda item: next((i for i, name in enumerate(LONGEST) if under(item.path, name)), len(LONGEST)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if is_core_tier(config) and ap_types() is None:
        terminalreporter.write_line(
            "core tier: the ladders stopped at the native rung; ap_int.h, which the last rung needs, comes with hls4ml"
        )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: a training's results are the same on one only."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ladder(tmp_path: Path, request: pytest.FixtureRequest) -> Ladder:
    """A fresh ladder; without targets, and perhaps without the last rung of the kernels, only in the core tier."""
    core = is_core_tier(request.config)
    whole = ap_types() is not None or not core
    targets = [] if core else [request.getfixturevalue(f"{name}_cases") for name in TARGETS]
    return Ladder(tmp_path, ("native", "reference") if whole else ("native",), targets)


# --------------------------------------------------------------------------------------------------------------------
# Small graphs.


@pytest.fixture(scope="session")
def device() -> Device:
    """A Zynq 7020."""
    return ZYNQ_7020


def residual_graph(name: str = "residual") -> Graph:
    """Grouped and generated convolutions, a MUX join that holds a frame, pools: every kind of edge in one graph."""
    rng = np.random.default_rng(7)
    weights = rng.integers(-1, 2, (6, 18))
    rising = [0, 1, 0, 1, 0, 0]
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=2), ("x",), ("windows",)),
        Node("weights", RomWeights(weights, 2, 36), (), ("w",)),
        Node("conv", MatrixVector(2, 9), ("windows", "w"), ("sums",)),
        Node("act", Threshold(np.sort(rng.integers(-20, 20, (6, 7)), axis=1), rising), ("sums",), ("codes",)),
        Node("cells", AutomatonWeights(4, 6, 24, repeats=36, burn_in=24), (), ("cw",)),
        Node("mix", MatrixVector(), ("codes", "cw"), ("mixed",)),
        Node("act2", Threshold(np.sort(rng.integers(-10, 10, (4, 7)), axis=1), rising[:4]), ("mixed",), ("f",)),
        Node("select", ChannelSelect("max", rng.integers(0, 8, 4)), ("x",), ("s",)),
        Node("join", MuxJoin("stream"), ("x", "f", "s"), ("y",)),
        Node("pool", Pool((2, 2), "max"), ("y",), ("p",)),
        Node("sum", Pool((3, 3), "sum"), ("p",), ("g",)),
    ]
    return with_nodes(Graph(name, (), {"x": Stream((6, 6, 4), 0, 7)}, ("x",), ("g",)), nodes)


@pytest.fixture(scope="session")
def residual() -> Graph:
    """See `residual_graph`."""
    return residual_graph()


@pytest.fixture(scope="session")
def make_graph() -> Callable[..., Graph]:
    """`make_graph(stream, *steps)`: a chain of ops; a step is an op or (op, *names of further inputs)."""

    def make(stream: Stream, *steps: Op | Node, name: str = "chain", output: str | None = None) -> Graph:
        nodes: list[Node] = []
        last = "x"
        for i, step in enumerate(steps):
            node = step if isinstance(step, Node) else Node(f"n{i}", step, (last,), (f"t{i}",))
            nodes.append(node)
            if node.inputs:
                last = node.outputs[0]
        return with_nodes(Graph(name, (), {"x": stream}, ("x",), (output or last,)), nodes)

    return make


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares with `golden/name` beside the test, or writes it under --update-golden."""
    folder = request.path.parent / "golden"

    def compare(name: str, text: str) -> None:
        file = folder / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert file.exists(), f"{file}: not there; run pytest --update-golden once and look at what it wrote"
        assert text == file.read_text(), f"{file} differs; pytest --update-golden writes it anew"

    return compare


def random_graph(seed: int, rows: int = 0) -> Graph:
    """Forks, joins, changes of rate and joins that hold a whole frame, on maps of a few pixels, or so many rows of them.

    Seeds that end in 7 or 8 fuse a second input, u, late; those that end in 6 or 7 have a second output.
    """
    rng = np.random.default_rng(seed)
    height, width_, channels = int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.choice([2, 3, 4, 6]))
    height = rows or height
    image = Stream((height, width_, channels), 0, 3)
    nodes: list[Node] = []

    def add(op: Op, *inputs: str) -> str:
        name = f"{op.kind.lower()}{len(nodes)}"
        nodes.append(Node(name, op, inputs, (f"t{len(nodes)}",)))
        return nodes[-1].outputs[0]

    def activation(x: str, count: int) -> str:
        return add(Threshold(np.sort(rng.integers(-9, 10, (count, 3)), axis=1), rng.integers(0, 2, count)), x)

    def convolution(x: str, count: int) -> str:
        groups = int(rng.choice([g for g in range(1, count + 1) if count % g == 0]))
        weights = rng.integers(-1, 2, (count, 9 * count // groups))
        windows = add(SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=groups), x)
        source = add(RomWeights(weights, groups, height * width_))
        return activation(add(MatrixVector(groups, 9), windows, source), count)

    last = "x"
    for kind in rng.choice(["mux", "select", "add", "or", "concat", "twice"], int(rng.integers(1, 3))):
        if kind == "mux":
            last = add(MuxJoin("always"), last, convolution(last, channels))
        elif kind == "select":
            s = add(ChannelSelect("max", rng.integers(0, 4, channels)), last)
            last = add(MuxJoin("stream"), last, convolution(last, channels), s)
        elif kind == "add":
            last = activation(add(AddJoin(), last, convolution(last, channels)), channels)
        elif kind == "or":
            last = add(OrJoin(), convolution(last, channels), last)
        elif kind == "concat":
            last = add(Concat(), convolution(last, channels), last)
            channels *= 2
        else:
            other = convolution(last, channels)
            last = add(OrJoin(), add(MuxJoin("always"), last, other), convolution(other, channels))
    inputs = {"x": image}
    if seed % 10 in (7, 8):
        inputs["u"] = Stream((height, width_, int(rng.integers(1, 9))), 0, 1)
        source = RomWeights(rng.integers(-1, 2, (channels, inputs["u"].channels)), 1, height * width_)
        last = add(AddJoin(), last, activation(add(MatrixVector(), "u", add(source)), channels))
    outputs = [add(ArgMax(), last)] if seed % 10 in (6, 7) else []
    if min(height, width_) > 2:
        last = add(Pool((2, 2), "sum"), last)
    return with_nodes(Graph(f"random{seed}", (), inputs, tuple(inputs), (last, *outputs)), nodes)


def random_design(seed: int, rows: int = 0) -> Design:
    """A random graph under random legal folds; `rows`: see `random_graph`."""
    rng = np.random.default_rng(seed)
    graph = insert_forks(random_graph(seed, rows))
    rows = {group.leader.name: [one.fold for one in group.candidates] for group in groups(graph, KERNELS)}
    folds = {name: row[int(rng.integers(len(row)))] for name, row in rows.items()}
    return build_design(graph, folds, KERNELS, device=ZYNQ_7020, board="none", clock_mhz=100)


@pytest.fixture(scope="session")
def include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of headers as a generated project has it: `muxflow/*.hpp`."""
    folder = tmp_path_factory.mktemp("include")
    copy_headers(folder / "muxflow")
    return folder


@pytest.fixture(scope="session")
def make_random_design() -> Callable[..., Design]:
    """See `random_design`."""
    return random_design


# ---------------------------------------------------------------------------------------------- FINN


@pytest.fixture(scope="session")
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """FINN in the test process, with its settings in a temporary folder, and our nodes; the environment is as before
    afterwards."""
    scratch = str(tmp_path_factory.mktemp("finn"))
    changed = {"HOME": scratch, "FINN_BUILD_DIR": scratch, "XILINX_VIVADO": "/none/2022.2"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from muxflow.hls.finn import register
            from muxflow.hls.finn.process import prepare_finn

            prepare_finn()
            register()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def finn_cases(finn: None) -> OpTarget:
    """FINN as a target of the ladder."""
    from finn_ladder import FinnCases

    return FinnCases()


# -------------------------------------------------------------------------------------------- hls4ml


@pytest.fixture(scope="session")
def hls4ml_cases(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> OpTarget:
    """hls4ml as a target of the ladder; a few cases of each op where the exhaustive tests are left out."""
    from hls4ml_ladder import Hls4mlCases

    few = "not exhaustive" in pytestconfig.option.markexpr
    return Hls4mlCases(tmp_path_factory.mktemp("hls4ml_cases"), thorough=not few)


@pytest.fixture
def call_muxflow(monkeypatch, capsys):
    """`call_muxflow(*arguments)`: exit code, standard output, standard error of a command run in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["muxflow", *map(str, arguments)])
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
        from muxflow.cli.main import main

        handlers = {number: signal.getsignal(number) for number in HELD}
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        finally:
            # A command that has ended leaves signals to the system: the next one would end the tests.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
