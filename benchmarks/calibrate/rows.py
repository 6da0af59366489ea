"""Rows of vendor results as the amounts of the resource model."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.memory import bram18_count, lutram_count, shift_register_count
from muxflow.dataflow.fit.resource_model import PRODUCT_KNOTS, SIGN_KNOTS, between

Amounts = dict[str, float]
"""Units by "part.amount"; a part that is no part of the model ("rtl_...") stands for what our kernels do not have."""

MEASURED_SIGN_KNOTS = tuple(bits for bits in SIGN_KNOTS if bits != 2)
"""No source has nodes with weights of one bit and inputs of two."""

LARGEST = 1e6
"""No cell of a table is larger: no layer, and no device."""

DEVICE_DSP = 220
"""DSP blocks of the xc7z020: beyond them the tool builds products in LUTs, and the row says nothing of either."""


@dataclass(frozen=True)
class Row:
    """One node: what a vendor tool measured, and its amounts but for products, which depend on the knots.

    `campaign`: the source, or a part of it with networks of its own.

    `known`: LUTs of its memories, which the memory model gives. `product`: (weight bits, input bits, how many) of products
    in LUTs. `bram18`, `dsp`: measured; `planned_bram18`, `planned_dsp`: what the model says, None where it cannot know.
    """

    name: str
    op: str
    campaign: str
    lut: float
    ff: float
    amounts: Amounts
    known: float = 0.0
    product: tuple[int, int, float] | None = None
    bram18: float = 0.0
    dsp: float = 0.0
    planned_bram18: int | None = None
    planned_dsp: int | None = None

    def features(self, sign_knots: Sequence[int], product_knots: Sequence[int]) -> Amounts:
        """Give all amounts, products spread over these knots; none of them is measured where the product's own is missing."""
        if self.product is None:
            return self.amounts
        weight_bits, input_bits, count = self.product
        signs = weight_bits == 1
        knots, size = (sign_knots, input_bits) if signs else (product_knots, weight_bits * input_bits)
        kind = "matrix_vector.sign_" if signs else "matrix_vector.product_"
        shares = between(knots, size) if size in knots else {size: 1.0}
        return self.amounts | {f"{kind}{knot}": share * count for knot, share in shares.items()}


def bits_of(data_type: str) -> int:
    """Give the bits of a FINN type name."""
    if data_type in ("BINARY", "BIPOLAR"):
        return 1
    found = re.fullmatch(r"U?INT([1-9]\d*)", data_type)
    if found is None:
        raise MuxflowError(f"data type {data_type!r}; expected BINARY, BIPOLAR, INTn or UINTn")
    return int(found.group(1))


LIBRARY_FIFO = "StreamingFIFO_vivado"
"""A FIFO of the vendor's library: the op's own name, or a FIFO of that style."""


class _Cells:
    """A line of the table with its cells as numbers."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self.cells = cells

    def __getitem__(self, name: str) -> float:
        """Give a number above 0, which must be there."""
        number = self._number(name, self.cells[name])
        if not number:
            raise ValueError(f"{name} is 0; expected a number above 0")
        return number

    def get(self, name: str) -> float:
        """Give a number from 0; 0 where there is none."""
        return self._number(name, self.cells.get(name) or "0")

    def divisor(self, name: str, whole: str) -> float:
        """Give a number of lanes, which divides what it folds: another number folds nothing."""
        if self[whole] % self[name]:
            raise ValueError(f"{name} is {self[name]:g}, which does not divide {whole}, {self[whole]:g}")
        return self[name]

    @staticmethod
    def _number(name: str, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}; expected a number") from None
        if not 0 <= number < LARGEST:
            raise ValueError(f"{name} is {text}; expected a number from 0 to {LARGEST:g}")
        return number

    def text(self, name: str) -> str:
        return self.cells.get(name) or ""

    def bits(self, name: str) -> int:
        return bits_of(self.cells[name])

    def size(self, name: str) -> int:
        """Give the larger side of HxW."""
        found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", self.cells[name])
        if found is None:
            raise ValueError(f"{name} is {self.cells[name]!r}; expected HxW, or one side")
        return max(int(side) for side in found.groups() if side)

    @property
    def bram18(self) -> float:
        return 2 * self.get("syn_bram36") + self.get("syn_bram18")


Builder = Callable[[_Cells], tuple[Amounts, Mapping[str, Any]]]


def _buffer(row: _Cells, input_bits: int) -> Amounts:
    """Count the bits and words of FINN's input buffer, which stands in registers; ours is a memory."""
    words = row["MW"] / row["SIMD"] if row["MH"] > row["PE"] and row["MW"] > row["SIMD"] else 0.0
    return {"finn_buffer.bit": words * row["SIMD"] * input_bits, "finn_buffer.word": words}


def _matrix_vector(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    pe, simd, columns, rows = row.divisor("PE", "MH"), row.divisor("SIMD", "MW"), row["MW"], row["MH"]
    weight_bits, input_bits, sum_bits = row.bits("weight_dt"), row.bits("input_dt"), row.bits("acc_dt")
    products = pe * simd
    depth, word = int(columns * rows / products), int(products * weight_bits)
    stored = 8 * ceil(word / 8)  # FINN stores a word in whole bytes
    streamed = row.text("syn_scope") != "ooc_ip_synth_core_only"
    in_lut = streamed and not row.bram18
    steps = row.get("n_thr")
    table = lutram_count(ceil(rows / pe), int(pe * steps * sum_bits), False) if steps else 0
    amounts = {
        "matrix_vector.constant": 1.0,
        "matrix_vector.input_bit": simd * input_bits,
        **_buffer(row, input_bits),
        "matrix_vector.accumulator_bit": pe * sum_bits,
        "threshold.comparison_bit": pe * steps * sum_bits,
        "threshold.table_lut": float(table),
        "finn_slice.weight_bit": word,
        "weight_stream.constant": float(streamed),
        "weight_stream.bit": word * streamed,
    }
    dsp = row.get("syn_dsp")
    if dsp:
        amounts |= {"matrix_vector.dsp": products, "matrix_vector.dsp_bit": products * (weight_bits + input_bits)}
    return amounts, {
        "known": float(lutram_count(depth, stored, False)) if in_lut else 0.0,
        "product": None if dsp else (weight_bits, input_bits, products),
        "planned_bram18": bram18_count(depth, stored) if streamed and row.bram18 else None,
        "planned_dsp": int(products) if dsp else 0,
    }


def _stream(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    products = row.divisor("PE", "MH") * row.divisor("SIMD", "MW")
    word = int(products * row.bits("weight_dt"))
    blocks = bram18_count(int(row["MW"] * row["MH"] / products), word)
    return {"weight_stream.constant": 1.0, "weight_stream.bit": word}, {"planned_bram18": blocks}


def _fifo(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    depth, bits = int(row["fifo_depth"]), int(row["in_bits"])
    if depth <= 2:
        return {"register_fifo.constant": 1.0, "register_fifo.bit": bits}, {}
    shift = shift_register_count(depth, bits)
    return {"shift_fifo.constant": 1.0, "shift_fifo.bit": bits, "shift_fifo.shift_lut": shift}, {}


def _library_fifo(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    known = row.text("in_bits") and row.text("fifo_depth")
    blocks = bram18_count(int(row["fifo_depth"]), int(row["in_bits"])) if known else None
    return {"block_fifo.constant": 1.0}, {"planned_bram18": blocks}


def _threshold(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    bits = row["PE"] * row["n_thr"] * row.bits("thr_dt")
    return {f"{row.text('impl')}_threshold.constant": 1.0, f"{row.text('impl')}_threshold.bit": bits}, {}


def _converter(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    before, after = int(row["in_bits"]), int(row["out_bits"])
    # FINN takes a converter of the vendor's library where both sides are whole bytes.
    hls = row.text("impl") == "hls" and (before % 8 or after % 8)
    meeting = before * after // gcd(before, after)
    lanes = [before, after] if meeting in (before, after) else [before, meeting, after]
    steps = list(itertools.pairwise(lanes))
    part = "width_converter" if hls else "rtl_converter"
    return {
        "process.constant" if hls else "rtl_converter.constant": float(len(steps)),
        f"{part}.widened_bit": sum(b for a, b in steps if a < b),
        f"{part}.narrowed_bit": sum(a for a, b in steps if a > b),
    }, {}


def _pool(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    bits = int(row["NumChannels"]) * row.bits("input_dt")
    held = row.size("IFMDim") // row.size("PoolDim")
    # FINN's memory of a row in LUTs, as reported where the table tells it: about half a LUT a bit and address bit, whole ones.
    known = 0.0 if row.bram18 else float(bits * (held.bit_length() // 2))
    # The maximum of single bits is an OR.
    bit = "pool.bit" if row.bits("input_dt") > 1 else "finn_or_pool.bit"
    return {"pool.constant": 1.0, bit: bits}, {"known": known}


def _window(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    lanes, channels = int(row["SIMD"]), int(row["IFMChannels"])
    bits = lanes * row.bits("input_dt")
    kernel, width = row.size("KernelDim"), row.size("IFMDim")
    hls = row.text("impl") == "hls"
    held = ((kernel - 1) * width + kernel if not hls else (kernel + row.size("Stride")) * width) * channels // lanes
    known = float(lutram_count(held, bits, True)) if not row.bram18 else 0.0
    constant = "sliding_window.constant" if hls else "rtl_window.constant"
    address = {} if hls else {"rtl_window.address_bit": float(held.bit_length())}
    return {constant: 1.0, "sliding_window.bit": bits, **address}, {"known": known}


def _padding(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    return {"padding.constant": 1.0, "padding.bit": row["SIMD"] * row.bits("input_dt")}, {}


def _arg_max(row: _Cells) -> tuple[Amounts, Mapping[str, Any]]:
    return {"arg_max.constant": 1.0, "arg_max.bit": row.bits("input_dt")}, {}


BUILDERS: dict[str, Builder] = {
    "MVAU": _matrix_vector,
    "WeightStreamer": _stream,
    "StreamingFIFO": _fifo,
    LIBRARY_FIFO: _library_fifo,
    "Thresholding": _threshold,
    "StreamingDataWidthConverter": _converter,
    "StreamingMaxPool": _pool,
    "ConvolutionInputGenerator": _window,
    "FMPadding": _padding,
    "LabelSelect": _arg_max,
}
"""What can be read, by op."""


def _left_out(row: _Cells) -> str:
    """Say why the model is not compared with a row; "" where it is."""
    op = row.text("op")
    if op not in BUILDERS:
        return "of other ops"
    if not row.text("syn_lut") or not row.text("syn_ff"):
        return "not synthesised"
    if op == "MVAU":
        if row.text("impl") != "hls" or not row.text("weight_dt"):
            return "of other implementations"
        used, products = row.get("syn_dsp"), row.divisor("PE", "MH") * row.divisor("SIMD", "MW")
        if used >= DEVICE_DSP - 1 or 0 < used < 0.9 * products:
            return "of a device that ran out of DSP blocks"
    if op == "StreamingFIFO" and row.get("syn_srl"):
        # Fewer shift registers than the FIFO must have: the width in the table is that of another stream.
        needed = shift_register_count(int(row["fifo_depth"]), int(row["in_bits"]))
        return "with the width of another stream" if row["syn_srl"] < 0.9 * needed else ""
    other = op == "ConvolutionInputGenerator" and row.text("parallel_window") in ("1", "1.0")
    return "of other implementations" if other else ""


@dataclass(frozen=True)
class NodeTable:
    """A table of nodes: the rows that the model can be compared with, and how many others there are, by reason."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]

    def remark(self) -> str:
        """Say in one line what was left out, and why."""
        parts = [f"{count} {reason}" for reason, count in sorted(self.left_out.items())]
        total = len(self.rows) + sum(self.left_out.values())
        return f"{len(self.rows)} of {total} lines compared{'; left out: ' if parts else ''}{', '.join(parts)}"


def read_table(file: Path) -> NodeTable:
    """Read a table with the columns of nodes.csv.

    Raises MuxflowError naming the file and the line, and for a table without any row that the model can be compared with.
    """
    lines = [(number, cells | {"op": _op(cells)}) for number, cells in _lines(file, "op", "syn_lut", "syn_ff")]
    found = [_row(file, number, cells) for number, cells in lines]
    rows = tuple(row for row in found if isinstance(row, Row))
    if not rows:
        ops = ", ".join(sorted({cells["op"] for _, cells in lines})) or "none"
        raise MuxflowError(
            f"{file}: no row that the model can be compared with ({len(lines)} lines, ops: {ops}); expected synthesised nodes "
            f"(syn_lut and syn_ff filled) of {', '.join(BUILDERS)}"
        )
    return NodeTable(rows, Counter(row for row in found if isinstance(row, str)))


def _op(cells: Mapping[str, str]) -> str:
    return LIBRARY_FIFO if cells.get("fifo_style") == "vivado" else cells["op"]


def _row(file: Path, number: int, cells: Mapping[str, str]) -> Row | str:
    """Read a line, or say why it is left out."""
    row = _Cells(cells)
    try:
        reason = _left_out(row)
        if reason:
            return reason
        amounts, further = BUILDERS[cells["op"]](row)
        name = cells.get("row_id") or f"line {number}"
        given = (cells["op"], cells.get("campaign") or cells.get("source") or "", row["syn_lut"], row["syn_ff"])
        made = Row(name, *given, amounts, **further)
    except (KeyError, ValueError, MuxflowError) as error:
        what = f"there is no column {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise MuxflowError(
            f"{file}, line {number}: {cells['op']}: {what}; columns and values are as in nodes.csv"
        ) from error
    return replace(made, bram18=row.bram18, dsp=row.get("syn_dsp"))


def read_units(file: Path) -> list[Row]:
    """Read mvu-hls.csv: matrix-vector units with their weights inside."""
    rows = []
    for _, cells in _lines(file, "weights_x_inputs_bits"):
        row = _Cells(cells)
        weight_bits, input_bits = map(int, cells["weights_x_inputs_bits"].split("x"))
        products, depth = row["PE"] * row["SIMD"], row["MW"] * row["MH"] / row["PE"] / row["SIMD"]
        sum_bits = ceil(row["MW"]).bit_length() + weight_bits + input_bits - 1
        # Where the blocks are not told: a table of 64 words or fewer is made of LUTs.
        in_lut = float(cells["bram18"]) == 0 if cells["bram18"] else depth <= 64
        amounts = {
            "matrix_vector.constant": 1.0,
            "matrix_vector.input_bit": row["SIMD"] * input_bits,
            **_buffer(row, input_bits),
            "matrix_vector.accumulator_bit": row["PE"] * sum_bits,
        }
        known = float(lutram_count(int(depth), int(products * weight_bits), False)) if in_lut else 0.0
        product = (weight_bits, input_bits, products)
        rows.append(Row(cells["row_id"], "MVAU", "asadalam", row["syn_lut"], row["syn_ff"], amounts, known, product))
    return rows


def _lines(file: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(newline="") as stream:
            reader = csv.reader(stream)
            titles = next(reader, [])
            missing = [column for column in columns if column not in titles]
            if missing:
                raise MuxflowError(f"{file}: has no column {missing[0]}; expected those of nodes.csv")
            for cells in reader:
                if len(cells) != len(titles):
                    raise MuxflowError(
                        f"{file}, line {reader.line_num}: {len(cells)} cells under {len(titles)} titles; is the file cut off?"
                    )
                yield reader.line_num, dict(zip(titles, cells, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MuxflowError(f"{file}: cannot be read ({error})") from error


def measured_knots(rows: Sequence[Row]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """List the knots of signs and products that the rows have."""
    signs = {row.product[1] for row in rows if row.product and row.product[0] == 1}
    sizes = {row.product[0] * row.product[1] for row in rows if row.product and row.product[0] > 1}
    return (
        tuple(knot for knot in MEASURED_SIGN_KNOTS if knot in signs),
        tuple(knot for knot in PRODUCT_KNOTS if knot in sizes),
    )
