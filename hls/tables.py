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
    """Name the C++ type, in namespace muxflow, that reads a table."""
    rows, columns = table.values.shape
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
    size = element_bits(table)
    declared, rows = f"const {kind}::word {variable}[{len(table.values)}][{kind}::WORDS]", packed(table)
    if table.lanes:
        declared = f"{kind}::Data {variable}"
        rows = [[word for (word,) in packed(replace(table, values=lane[:, None]))] for lane in table.values.T]
    plain = ",\n".join("  {" + ", ".join(map(str, row)) + "}" for row in table.values.tolist())
    bits = ",\n".join("  {" + ", ".join(map(hex, row)) + "}" for row in rows)
    return (
        f"// {table.values.size} values in [{table.lo}, {table.hi}], {size} bit{'s' if size > 1 else ''} each\n"
        f"static {declared} = {{\n"
        f"#ifdef MUXFLOW_NATIVE\n{plain}\n#else\n{bits}\n#endif\n}};\n"
    )


def _row_bits(table: Table) -> int:
    return int(table.values.shape[1]) * element_bits(table)


def _word_bits(table: Table) -> int:
    if _row_bits(table) <= WHOLE:
        return _row_bits(table)
    return WORD if element_bits(table) <= WORD else WHOLE
