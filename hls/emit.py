"""C++ text that every flow writes: constant tables, a function around a kernel's call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from muxflow.dataflow.op import Kernel


def kernel_call(kernel: Kernel, tables: Iterable[str], ports: Iterable[str]) -> str:
    """The call of a kernel on its tables and ports."""
    template = ", ".join(f"/*{key}*/ {str(value).lower()}" for key, value in kernel.arguments)
    return f"muxflow::{kernel.function}<{template}>({', '.join([*tables, *ports])})"


def function_text(
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    pragmas: Sequence[str],
    call: str,
    tables: Sequence[Mapping[str, str]] = (),
) -> str:
    """A node's tables (as `project.table_text` describes them) and one function around `call`.

    `inputs`, `outputs`: types of the streams x0, x1, ... and y0, y1, ...; `pragmas`: without `#pragma HLS`.
    """
    parameters = [f"muxflow::stream<{kind}>& x{i}" for i, kind in enumerate(inputs)]
    parameters += [f"muxflow::stream<{kind}>& y{i}" for i, kind in enumerate(outputs)]
    lines = []
    for table in tables:
        kind = f"muxflow::TableElement<{table['bits']}, {table['signed']}>::type"
        lines += [
            f"// {table['comment']}",
            f"static const {kind} {table['variable']}{table['dimensions']} = {{",
            table["rows"],
            "};",
        ]
    lines.append(f"static void {name}({', '.join(parameters)}) {{")
    lines += [f"#pragma HLS {pragma}" for pragma in pragmas]
    lines += [f"  {call};", "}"]
    return "\n".join(lines) + "\n"
