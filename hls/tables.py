"""Constant tables of kernels in C++: rows of plain integers for native types, rows of packed words for all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import IntArray
from muxflow.hls.kernels import Table

WHOLE = 64
"""A row of so many bits is one word."""
WORD = 36
"""Bits of a word of a wider row, as `include/muxflow/table.hpp` says why."""


def table_type(table: Table) -> str:
    """Name the C++ type, in namespace muxflow, that reads a table, or a bank of it."""
    rows, columns = table.values.shape
    rows //= max(1, table.banks)
    if table.bipolar:
        return f"BipolarTable<{rows}, {columns}>"
    bits, signed = width(table.lo, table.hi)
    return f"{'LaneTable' if table.lanes else 'Table'}<{bits}, {str(signed).lower()}, {rows}, {columns}>"


def element_bits(table: Table) -> int:
    """Count the bits of an element as it is stored."""
    return 1 if table.bipolar else width(table.lo, table.hi)[0]


def words(table: Table) -> int:
    """Count the words of a row, each of which is a memory of its own."""
    return -(-_row_bits(table) // _word_bits(table))


def packed(table: Table) -> list[list[int]]:
    """Pack every row into its words: the first element stands in the lowest bits of the first word."""
    bits, size = element_bits(table), _word_bits(table)
    codes: IntArray = (table.values > 0).astype(np.int64) if table.bipolar else table.values
    flags = ((codes[:, :, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(codes), -1)
    rows = (int.from_bytes(row.tobytes(), "little") for row in np.packbits(flags, axis=1, bitorder="little"))
    mask = (1 << size) - 1
    return [[row >> (i * size) & mask for i in range(words(table))] for row in rows]


def table_definition(variable: str, table: Table) -> str:
    """Write a constant table."""
    kind = f"muxflow::{table_type(table)}"
    plain = _rows(["  {" + ", ".join(map(str, row)) + "}" for row in table.values.tolist()], table.banks)
    stored = replace(table, values=table.values.T.reshape(-1, 1), banks=table.values.shape[1]) if table.lanes else table
    bits = _rows(["  {" + ", ".join(map(hex, row)) + "}" for row in packed(stored)], stored.banks)
    size = element_bits(table)
    rows = f"[{table.banks}][{len(table.values) // table.banks}]" if table.banks else f"[{len(table.values)}]"
    declared = f"{kind}::Data {variable}" if table.lanes else f"const {kind}::word {variable}{rows}[{kind}::WORDS]"
    return (
        f"// {table.values.size} values in [{table.lo}, {table.hi}], {size} bit{'s' if size > 1 else ''} each\n"
        f"static {declared} = {{\n"
        f"#ifdef MUXFLOW_NATIVE\n{plain}\n#else\n{bits}\n#endif\n}};\n"
    )


def _rows(rows: list[str], banks: int) -> str:
    """Join the rows, in braces bank by bank."""
    if not banks:
        return ",\n".join(rows)
    length = len(rows) // banks
    return ",\n".join("{\n" + ",\n".join(rows[i : i + length]) + "\n}" for i in range(0, len(rows), length))


def _row_bits(table: Table) -> int:
    return int(table.values.shape[1]) * element_bits(table)


def _word_bits(table: Table) -> int:
    if _row_bits(table) <= WHOLE:
        return _row_bits(table)
    return WORD if element_bits(table) <= WORD else WHOLE
