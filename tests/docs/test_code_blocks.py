"""The Python that pages show: it compiles, names what there is, and runs where that is quick."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import PAGES, ROOT, Code, Page
from PIL import Image

import muxflow
from muxflow.compression.codec import read_compressed
from muxflow.frontend.training.result import PRETRAINED

each_page = pytest.mark.parametrize("page", PAGES, ids=str)


def parsed(page: Page) -> Iterator[tuple[Code, ast.Module]]:
    """The blocks of Python of a page as they are parsed; a block may be a part of a class."""
    for block in page.blocks():
        if block.language == "python":
            yield block, ast.parse(textwrap.dedent(block.text))


def defined(module: str) -> set[str]:
    """The names that a module of Muxflow's gives, from its source: nothing is imported but the packages around it."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    tree = ast.parse(Path(spec.origin).read_text())
    names = set(muxflow.__all__) if module == "muxflow" else set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def is_there(module: str, name: str) -> bool:
    """Whether `from module import name` works."""
    return name in defined(module) or importlib.util.find_spec(f"{module}.{name}") is not None


@each_page
def test_python_compiles(page: Page) -> None:
    assert all(compile(tree, f"{page}:{block.line}", "exec") for block, tree in parsed(page))


@each_page
def test_what_python_imports_of_muxflow_is_there(page: Page) -> None:
    for block, tree in parsed(page):
        for node in ast.walk(tree):
            where = f"{page}:{block.line}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "muxflow":
                assert importlib.util.find_spec(node.module), f"{where}: {node.module}"
                assert [name.name for name in node.names if not is_there(node.module, name.name)] == [], where
            elif isinstance(node, ast.Import):
                mine = [alias.name for alias in node.names if alias.name.split(".")[0] == "muxflow"]
                assert [name for name in mine if importlib.util.find_spec(name) is None] == [], where


@each_page
def test_calls_of_the_public_api_have_its_arguments(page: Page) -> None:
    for block, tree in parsed(page):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if not name.startswith("muxflow.") or name.count(".") > 1:
                continue
            function = getattr(muxflow, name.removeprefix("muxflow."))
            keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
            try:
                inspect.signature(function).bind(*call.args, **keywords)
            except TypeError as error:
                pytest.fail(f"{page}:{block.line}: {ast.unparse(call)}: {error}")


def block(page: str, words: str) -> str:
    """The one block of a page that holds these words."""
    (found,) = (one.text for one in Page(ROOT / page).blocks() if words in one.text)
    return textwrap.dedent(found)


def run(folder: Path, *parts: str) -> None:
    """Runs blocks one after the other in a process of their own, in a folder of their own."""
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(parts)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.needs("brevitas")
def test_a_model_of_ones_own_in_brevitas(tmp_path: Path) -> None:
    run(tmp_path, block("docs/guide/brevitas.md", "call freeze_heq(model)"), "assert logits.shape == (1, 10)")


@pytest.mark.needs("brevitas")
def test_from_a_residual_network_to_its_project(tmp_path: Path) -> None:
    """What the guide makes goes through its own commands, and through the code of the first pages."""
    page = "docs/guide/brevitas.md"
    run(tmp_path, block(page, "class Net("))
    (shell,) = (one for one in Page(ROOT / page).blocks() if "muxflow check residual.onnx" in one.text)
    for program, *words in shell.commands():
        assert program == "muxflow"
        done = subprocess.run([sys.executable, "-m", "muxflow", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "residual" / "report" / "report.html").is_file()
    (tmp_path / "residual.onnx").rename(tmp_path / "model.onnx")
    run(
        tmp_path,
        "import numpy as np\nimages = pixels = np.load('images.npz')['images']",
        block("docs/reference/models.md", "for status in muxflow.check"),
        block("README.md", "import muxflow"),
        "assert classes.tolist() == logits.argmax(1).tolist()",
    )


@pytest.mark.needs("brevitas")
def test_several_inputs(tmp_path: Path) -> None:
    run(tmp_path, block("docs/guide/brevitas.md", "class Fusion("))


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    first, second = (
        block("docs/reference/boards.md", "class MyBoard"),
        block("docs/reference/boards.md", "board_parts ="),
    )
    (tmp_path / "my_board.py").write_text(first + textwrap.indent(second, "    "))
    run(
        tmp_path,
        "from muxflow.board.board import find_board",
        "board = find_board('my_board.py')",
        "assert board.name == 'my-board' and board.ps_clock_mhz == 50.0",
        block("docs/reference/boards.md", "reserve=Resources("),
        "assert DEVICE.part == board.device.part and DEVICE.reserve.lut == 6400",
    )


@pytest.mark.needs("brevitas")
def test_layers_of_the_built_in_networks(tmp_path: Path) -> None:
    run(
        tmp_path,
        block("docs/guide/ern.md", "import Ern, ErnBlock"),
        block("docs/guide/encoder.md", "import Encoder, EncoderConfig"),
        block("docs/guide/encoder.md", "smaller = pruned("),
        "assert isinstance(smaller, Encoder)",
    )


@pytest.mark.needs("brevitas")
def test_clips_and_hybrid_banks_of_ones_own(tmp_path: Path) -> None:
    run(
        tmp_path,
        block("docs/guide/billnet.md", "class Clips("),
        "assert 'LstmCell' in [type(node.op).__name__ for node in graph.nodes]",
        block("docs/guide/mobilenet.md", "ternarisation_errors(bank.weight)"),
        "products = [node for node in graph.nodes if type(node.op).__name__ == 'MatrixVector']",
        "assert sorted(graph.streams[node.inputs[1]].shape[0] for node in products) == [8, 10, 24, 32]",
    )


@pytest.mark.needs("brevitas")
def test_both_tasks_of_the_shipped_encoder(tmp_path: Path) -> None:
    """The project that both pages name is made as `muxflow demo` makes it, without the proof."""
    graph = muxflow.load(PRETRAINED / "encoder_digits.onnx")
    muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "build" / "demo" / "encoder_digits")
    run(tmp_path, block("docs/guide/encoder.md", "accelerator.encode(images)"), "assert codes.shape == (20, 2, 2, 64)")
    Image.fromarray(np.arange(40 * 70, dtype=np.uint8).reshape(40, 70)).save(tmp_path / "photo.png")
    run(tmp_path, block("docs/guide/compression.md", "shipped_codec(accelerator.encode)"))
    assert read_compressed(tmp_path / "photo.mfx").width == 70


@pytest.mark.needs("brevitas")
def test_weights_of_two_trainings(tmp_path: Path) -> None:
    page = "docs/guide/loaded_weights.md"
    run(tmp_path, block(page, "freeze_bitstream(model)"))
    (shell,) = (one for one in Page(ROOT / page).blocks() if "muxflow weights b.onnx" in one.text)
    for _, name, *words in shell.commands():
        if name == "csim":  # what it compares is compared by tests of its own, and the snippet below compiles once more
            continue
        command = [sys.executable, "-m", "muxflow", name, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    written = (tmp_path / "b.weights").read_bytes()
    (tmp_path / "b.weights").unlink()
    run(tmp_path, block(page, "project.write_weights(graph"))
    assert (tmp_path / "b.weights").read_bytes() == written
    run(tmp_path, block(page, "accelerator.load_weights("))


@pytest.mark.needs("qkeras")
def test_networks_in_keras(tmp_path: Path) -> None:
    page = "docs/guide/qkeras.md"
    run(
        tmp_path,
        "import os, sys\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\nimport tf_keras\nsys.modules['keras'] = tf_keras",
        block(page, 'ern(PRESETS["ern_mnist"])'),
        "assert len(model.outputs) == 1",
        block(page, 'encoder(PRESETS["encoder_digits"])'),
        "assert len(model.outputs) == 2",
    )


@pytest.mark.needs("qkeras")
def test_a_mognet_in_keras_is_read_again(tmp_path: Path) -> None:
    digits = "import numpy as np\nimages = np.zeros((4, 8, 8, 1))\nlabels = np.zeros(4)"
    run(tmp_path, digits, block("docs/guide/qkeras.md", 'model.save("mognet.h5")'))
    page = "docs/guide/qkeras.md"
    (tmp_path / "mognet.h5").rename(tmp_path / "model.h5")
    run(tmp_path, block(page, 'muxflow.write(design, "build/model")'))
    shutil.copy(tmp_path / "model.h5", tmp_path / "first.h5")
    several = block(page, "describe_models(").replace("second.keras", "model.h5")
    run(tmp_path, several, "assert [len(graph.outputs) for graph in graphs] == [1, 1]")
