"""The arrows between the rooms: who imports whom, from the sources alone, lazy imports included."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
PACKAGING = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

# What a room may import. `board/driver` is copied to the board as it is, and is the one home of stream packing; `proof`
# declares what an execution is, which rooms with one implement, and makes the ladder that a report shows.
ARROWS: dict[str, set[str]] = {
    "board/driver": set(),
    "dataflow": set(),
    "proof": {"dataflow", "reports"},
    "reports": {"dataflow"},
    "frontend": {"dataflow", "proof"},
    "hls": {"dataflow", "proof", "board/driver"},
    "board": {"dataflow", "proof", "hls", "board/driver"},
    "muxflow": {"dataflow", "proof", "reports", "frontend", "hls", "board", "board/driver"},
}

# `Accelerator.emulate` asks for the emulator by name, where Muxflow is installed; the driver on a board never does.
BY_NAME = {("muxflow.board.driver.accelerator", "muxflow.board.emulator")}


@dataclass(frozen=True)
class Import:
    """One import of a module of Muxflow. `lazy`: not done when the importer is loaded."""

    importer: str
    imported: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.importer} line {self.line} imports {self.imported}{' (lazy)' if self.lazy else ''}"


def modules() -> dict[str, Path]:
    """Every module of the packages, by its full name."""
    mapped = PACKAGING["package-dir"]
    found = {}
    for package in PACKAGING["packages"]:
        top = max((name for name in mapped if f"{package}.".startswith(f"{name}.")), key=len)
        folder = ROOT / mapped[top] / package[len(top) + 1 :].replace(".", "/")
        for path in sorted(folder.glob("*.py")):
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found


def room(module: str) -> str:
    """The room of a module: its top-level folder, the driver apart."""
    if f"{module}.".startswith("muxflow.board.driver."):
        return "board/driver"
    top = ".".join(module.split(".")[:2])
    return top.removeprefix("muxflow.") if top in PACKAGING["package-dir"] else "muxflow"


def imports(module: str, source: str, known: set[str], package: bool = False) -> Iterator[Import]:
    """Every import of a known module in `source`, wherever it stands; by name too, where the name is a constant."""
    deferred = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    tree = ast.parse(source)
    constants = {
        ast.unparse(line.targets[0]): line.value.value
        for line in tree.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)
    }

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + package]
                base = ".".join([*above, *([base] if base else [])])
            whole = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in known else base for name in whole]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names = [argument for part in node.args if isinstance(argument := constants.get(ast.unparse(part)), str)]
            names += [
                part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
        for name in dict.fromkeys(names):
            if name in known and name != module:
                yield Import(module, name, node.lineno, lazy)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy or typing or isinstance(node, deferred))

    yield from visit(tree, False)


@pytest.fixture(scope="module")
def met() -> list[Import]:
    """Every import between modules of Muxflow."""
    found = modules()
    known = set(found)
    return [
        one for name, path in found.items() for one in imports(name, path.read_text(), known, path.stem == "__init__")
    ]


def back_arrows(met: list[Import]) -> list[Import]:
    return [
        one
        for one in met
        if room(one.imported) not in ARROWS[room(one.importer)] | {room(one.importer)}
        and (one.importer, one.imported) not in BY_NAME
    ]


def rings(met: list[Import]) -> set[frozenset[str]]:
    """Sets of modules that import each other in a ring."""
    graph = nx.DiGraph((one.importer, one.imported) for one in met)
    return {frozenset(part) for part in nx.strongly_connected_components(graph) if len(part) > 1}


def test_the_arrows_are_no_ring(met: list[Import]) -> None:
    TopologicalSorter(ARROWS).prepare()
    assert {room(one.importer) for one in met} <= set(ARROWS)


def test_no_back_arrows(met: list[Import]) -> None:
    found = [str(one) for one in back_arrows(met)]
    assert not found, "imports against the arrows between the rooms (see ARROWS):\n" + "\n".join(found)


def test_no_modules_that_import_each_other(met: list[Import]) -> None:
    found = [" <-> ".join(sorted(ring)) for ring in rings(met)]
    assert not found, "modules that import each other, lazy imports included:\n" + "\n".join(found)


def test_every_form_of_import_is_seen() -> None:
    source = """
import muxflow.a, numpy
from muxflow import a, b
from muxflow.a import thing
from . import b
from .b import thing
def f():
    import muxflow.b as other
if TYPE_CHECKING:
    from .b import thing
NAME = "muxflow.a"
def g():
    import_module(NAME)
    importlib.import_module("muxflow.b")
    __import__("muxflow.a")
"""
    found = [(one.imported, one.line, one.lazy) for one in imports("muxflow.c", source, {"muxflow.a", "muxflow.b"})]
    assert found == [
        ("muxflow.a", 2, False),
        ("muxflow.a", 3, False),
        ("muxflow.b", 3, False),
        ("muxflow.a", 4, False),
        ("muxflow.b", 5, False),
        ("muxflow.b", 6, False),
        ("muxflow.b", 8, True),
        ("muxflow.b", 10, True),
        ("muxflow.a", 13, True),
        ("muxflow.b", 14, True),
        ("muxflow.a", 15, True),
    ]
    (deep,) = imports("muxflow.p.q", "from ..b import thing", {"muxflow.b"})
    assert deep.imported == "muxflow.b"
    (package,) = imports("muxflow.p", "from .q import thing", {"muxflow.p.q"}, package=True)
    assert package.imported == "muxflow.p.q"


def test_back_arrows_and_rings_are_found() -> None:
    back = Import("muxflow.dataflow.op", "muxflow.hls.names", 1, True)
    assert back_arrows([back]) == [back]
    there, again = Import("muxflow.a", "muxflow.b", 1, False), Import("muxflow.b", "muxflow.a", 9, True)
    assert rings([there, again]) == {frozenset({"muxflow.a", "muxflow.b"})}
    assert not rings([there])
