"""Every op that is discovered has cases of its own that climb the ladder on every target, and a kernel for its last rungs."""

import ast
from pathlib import Path

import pytest
from ladder import TARGETS

from muxflow.dataflow.ops import OPS
from muxflow.hls.kernels import KERNELS

HERE = Path(__file__).parent
# Those of the package: other tests define ops too.
SHIPPED = [kind for kind, op in OPS.items() if op.__module__.startswith("muxflow.")]


def names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def climbs(function: ast.FunctionDef, target: str) -> bool:
    """Whether a test climbs its ladder and does not say that the target refuses all of it."""
    if "ladder" not in [one.arg for one in function.args.args]:
        return False
    calls = [one for one in ast.walk(function) if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)]
    refused = [word.value for call in calls for word in call.keywords if word.arg == "refused"]
    refuses = any(not isinstance(one, ast.List) or repr(target) in ast.unparse(one) for one in refused)
    return any(call.func.attr == "climb" for call in calls) and not refuses


def climbed(source: str, target: str) -> set[str]:
    """Names used in tests that add to a ladder and climb it on a target, and in what these use of their own file."""
    module = ast.parse(source)
    functions = {one.name: one for one in module.body if isinstance(one, ast.FunctionDef)}
    constants = {name: one for one in module.body if isinstance(one, ast.Assign) for name in names(one.targets[0])}
    definitions: dict[str, ast.AST] = {**functions, **constants}

    found: set[str] = set()
    waiting = set().union(*(names(one) for one in functions.values() if climbs(one, target)))
    while waiting:
        found |= waiting
        waiting = set().union(*(names(definitions[name]) for name in waiting if name in definitions)) - found
    return found


@pytest.mark.parametrize("target", ["vitis", *TARGETS])
@pytest.mark.parametrize("kind", SHIPPED)
def test_has_cases_on_the_ladder(kind: str, target: str) -> None:
    op = OPS[kind]
    file = HERE / f"test_{op.__module__.rpartition('.')[2]}.py"
    assert file.exists(), (
        f"op {kind} has no cases: write {file.name} with a test that adds them to the ladder and climbs"
    )
    if op.loaded and target in TARGETS:
        # Only projects of our own have a port for what is loaded; the file's ladder says that the others refuse all of it.
        assert f'refused=["{TARGETS[0]}", "{TARGETS[1]}"]' in file.read_text()
        return
    found = climbed(file.read_text(), target)
    assert op.__name__ in found, f"{file.name}: no test adds {kind} to the ladder and climbs it on target {target}"


@pytest.mark.parametrize("kind", SHIPPED)
def test_has_a_kernel(kind: str) -> None:
    name = OPS[kind].__module__.rpartition(".")[2]
    assert OPS[kind] in KERNELS.kinds(), f"op {kind} has no kernel: write hls/kernels/{name}.py and {name}.hpp"


def test_a_file_without_a_climb_has_no_cases() -> None:
    source = "def test(ladder):\n    ladder.add(Scale(), [], slow)\n    ladder.climb()\n"
    assert "Scale" in climbed(source, "finn")
    assert not climbed(source.replace("    ladder.climb()\n", ""), "finn")
    assert not climbed(source.replace("(ladder)", "()"), "finn")
    refused = source.replace("climb()", 'climb(refused=["finn"])')
    assert not climbed(refused, "finn")
    assert "Scale" in climbed(refused, "vitis")
    assert not climbed(source.replace("climb()", "climb(refused=some)"), "vitis")
