"""A project as a synthesis tool's front end compiles it: clang, exact widths, marked loops unrolled, everything inlined.

clang 18 (ziglang 0.13): later versions turn x + (a + b) into (x + a) + b where they hope to hoist x + a from a loop, which
the older compilers inside the tools do not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from synthesis.ir import Module, parse

from muxflow.hls.vitis.project import Project

INCLUDE = Path(__file__).parent / "include"
FLAGS = (
    "-std=c++14 -D__SYNTHESIS__ -ffreestanding -nostdinc++ -O2 -g0 -fno-discard-value-names -fno-vectorize "
    "-fno-slp-vectorize -fno-unroll-loops -fno-exceptions -fno-rtti -Wno-unknown-pragmas -mllvm "
    "-inline-threshold=1000000 -S -emit-llvm"
).split()
LOOP = re.compile(r"^([ \t]*for \(.*\) \{)\n[ \t]*#pragma HLS unroll$", re.MULTILINE)
NODE = re.compile(r"^static void ", re.MULTILINE)


def compile_project(project: Project, folder: Path) -> Module:
    """Compile a copy of the sources in `folder`: `#pragma HLS unroll` becomes clang's, node functions are kept apart."""
    for name in ("include", "src"):
        shutil.copytree(project.path / name, folder / name)
    for file in (*(folder / "include").rglob("*.h*"), *(folder / "src").rglob("*.?pp")):
        text = LOOP.sub(r"#pragma clang loop unroll(full)\n\1", file.read_text())
        file.write_text(NODE.sub("__attribute__((noinline)) static void ", text))
    command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, f"-I{INCLUDE}", "-Iinclude", "-Isrc", "src/top.cpp"]
    done = subprocess.run([*command, "-o", "top.ll"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:5000]
    return parse((folder / "top.ll").read_text())
