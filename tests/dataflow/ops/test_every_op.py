"""Every op that is discovered has cases of its own that climb the ladder, and a kernel for its last rungs."""

import ast
from pathlib import Path

import pytest

from muxflow.dataflow.ops import OPS
from muxflow.hls.kernels import KERNELS

HERE = Path(__file__).parent
# Those of the package: other tests define ops too.
SHIPPED = [kind for kind, op in OPS.items() if op.__module__.startswith("muxflow.")]


def names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def climbed(source: str) -> set[str]:
    """Names used in tests that add to a ladder and climb it, and in what these use of their own file."""
    module = ast.parse(source)
    functions = {one.name: one for one in module.body if isinstance(one, ast.FunctionDef)}
    constants = {name: one for one in module.body if isinstance(one, ast.Assign) for name in names(one.targets[0])}
    definitions: dict[str, ast.AST] = {**functions, **constants}

    def climbs(function: ast.FunctionDef) -> bool:
        asked = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
        return "ladder" in [one.arg for one in function.args.args] and "climb" in asked

    found: set[str] = set()
    waiting = set().union(*(names(one) for one in functions.values() if climbs(one)))
    while waiting:
        found |= waiting
        waiting = set().union(*(names(definitions[name]) for name in waiting if name in definitions)) - found
    return found


@pytest.mark.parametrize("kind", SHIPPED)
def test_has_cases_on_the_ladder(kind: str) -> None:
    op = OPS[kind]
    file = HERE / f"test_{op.__module__.rpartition('.')[2]}.py"
    assert file.exists(), (
        f"op {kind} has no cases: write {file.name} with a test that adds them to the ladder and climbs"
    )
    assert op.__name__ in climbed(file.read_text()), f"{file.name}: no test adds {kind} to the ladder and climbs it"


@pytest.mark.parametrize("kind", SHIPPED)
def test_has_a_kernel(kind: str) -> None:
    assert OPS[kind] in KERNELS.kinds()


def test_a_file_without_a_climb_has_no_cases() -> None:
    climbs = "def test(ladder):\n    ladder.add(Scale(), [], slow)\n    ladder.climb()\n"
    assert "Scale" in climbed(climbs)
    assert not climbed(climbs.replace("    ladder.climb()\n", ""))
    assert not climbed(climbs.replace("(ladder)", "()"))
