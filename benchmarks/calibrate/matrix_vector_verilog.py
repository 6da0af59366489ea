"""Verilog of one step of the matrix-vector kernel: the arithmetic of matrix_vector.hpp with registers at both ends."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """PE rows of SIMD columns; `weights`: "bipolar", "ternary" or bits of signed weights, `x_bits`: 0 for bipolar inputs.

    `columns`: of the whole matrix, which sets the width of the accumulators.
    """

    weights: str | int
    x_bits: int
    x_signed: bool
    simd: int
    pe: int = 4
    columns: int = 576

    @property
    def weight_bits(self) -> int:
        """Bits of a weight."""
        return {"bipolar": 1, "ternary": 2}.get(str(self.weights)) or int(self.weights)


@dataclass
class _Wires:
    """Lines of Verilog and the wires that they declare."""

    lines: list[str] = field(default_factory=list)

    def add(self, width: int, expression: str, signed: bool = False) -> tuple[str, int]:
        name = f"t{len(self.lines)}"
        self.lines.append(f"  wire {'signed ' if signed else ''}[{width - 1}:0] {name} = {expression};")
        return name, width

    def tree(self, terms: list[tuple[str, int]], signed: bool = False) -> str:
        """Add terms in pairs until one is left."""
        while len(terms) > 1:
            pairs = zip(terms[::2], terms[1::2], strict=False)
            added = [self.add(max(a[1], b[1]) + 1, f"{a[0]} + {b[0]}", signed) for a, b in pairs]
            terms = added + terms[len(terms) // 2 * 2 :]
        return terms[0][0]

    def ones(self, bits: list[str]) -> str:
        """Count set bits: full adders of three, then a tree."""
        terms = []
        for first in range(0, len(bits), 3):
            a, b, c = (*bits[first : first + 3], "1'b0", "1'b0")[:3]
            terms.append(self.add(2, f"{{({a} & {b}) | ({c} & ({a} | {b})), {a} ^ {b} ^ {c}}}"))
        return self.tree(terms)


def verilog(step: Step) -> str:
    """Write a module `top` that takes inputs and weights of one step and gives the sums when `last` is set."""
    counts = step.weights == "bipolar" and step.x_bits == 0
    signs = step.weights == "bipolar" and not counts
    x_bits, w_bits = max(1, step.x_bits), step.weight_bits
    largest = 1 if counts else 1 << (x_bits - step.x_signed)
    y_bits = (step.columns * largest * (1 if w_bits <= 2 else 1 << w_bits - 1)).bit_length() + 1
    wires = _Wires()

    def x(column: int) -> str:
        return f"x[{(column + 1) * x_bits - 1}:{column * x_bits}]"

    def w(row: int, column: int) -> str:
        index = row * step.simd + column
        return f"w[{(index + 1) * w_bits - 1}:{index * w_bits}]"

    def signed_x(column: int) -> str:
        return f"$signed({x(column)})" if step.x_signed else f"$signed({{1'b0, {x(column)}}})"

    def sum_of(row: int) -> str:
        if counts:
            return wires.ones([wires.add(1, f"~({x(c)} ^ {w(row, c)})")[0] for c in range(step.simd)])
        if signs:
            gates = [f"{x(c)} & {{{x_bits}{{{w(row, c)}}}}}" for c in range(step.simd)]
            return wires.tree([wires.add(x_bits, gate, step.x_signed) for gate in gates], step.x_signed)
        terms = []
        for c in range(step.simd):
            if step.weights == "ternary":
                bits = x_bits + (not step.x_signed)
                value, _ = wires.add(bits, signed_x(c), True)
                chosen = f"{w(row, c)} == 2'b01 ? {value} : {w(row, c)} == 2'b11 ? -{value} : {bits}'sd0"
                terms.append(wires.add(bits, chosen, True))
            else:
                terms.append(wires.add(x_bits + w_bits, f"{signed_x(c)} * $signed({w(row, c)})", True))
        return wires.tree(terms, True)

    registers = [(f"a{row}", sum_of(row)) for row in range(step.pe)]
    if signs:
        registers.append(("whole", wires.tree([wires.add(x_bits, x(c), step.x_signed) for c in range(step.simd)])))
    kind = "" if counts or (signs and not step.x_signed) else "signed "
    for name, value in registers:
        bits = step.columns.bit_length() if counts else y_bits
        wires.lines.append(
            f"  reg {kind}[{bits - 1}:0] {name}; always @(posedge clk) {name} <= f ? {value} : {name} + {value};"
        )
    for row in range(step.pe):
        result = f"{{a{row}, 1'b0}} - {step.columns}" if counts else f"(a{row} << 1) - whole" if signs else f"a{row}"
        wires.lines.append(f"  always @(posedge clk) if (l) y[{(row + 1) * y_bits - 1}:{row * y_bits}] <= {result};")
    x_width, w_width = step.simd * x_bits, step.pe * step.simd * w_bits
    head = [
        "module top(input clk, input first, input last,",
        f"           input [{x_width - 1}:0] x_in, input [{w_width - 1}:0] w_in, output reg [{step.pe * y_bits - 1}:0] y);",
        f"  reg [{x_width - 1}:0] x; reg [{w_width - 1}:0] w; reg f, l;",
        "  always @(posedge clk) begin x <= x_in; w <= w_in; f <= first; l <= last; end",
    ]
    return "\n".join([*head, *wires.lines, "endmodule", ""])
