"""What is written at run time, starts of weight generators and of states: arguments of the top function on AXI-Lite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.folded import Folded
from muxflow.hls.emit import Argument

FIRST_OFFSET = 0x20
"""Below it are the block-level registers (UG1399: up to 0x18)."""


@dataclass(frozen=True)
class SeedArgument:
    """One argument `argument` of the top function: the start of the generator `node`, which is its `register`.

    Or, where `anew`, the bits that name the frame with which the recurrent layer `node` begins anew.
    `cells`: the start when nothing is written. `offset`: of its first AXI-Lite register, bytes; cell 0 is the lowest bit.
    `frames_ahead`: frames whose weights may already be made, or begun, when another start is written; or that may have read
    which frame begins anew before they came.
    """

    node: str
    register: str
    argument: str
    cells: tuple[int, ...]
    offset: int
    frames_ahead: int
    anew: bool = False

    @property
    def text(self) -> str:
        """The stored start as digits, cell 0 first."""
        return cell_text(self.cells)

    @property
    def parameter(self) -> str:
        """Its declaration."""
        return f"muxflow::RingState<{len(self.cells)}> {self.argument}"

    @property
    def emitted(self) -> Argument:
        """What takes the place of the stored start in the node's function."""
        return Argument(self.register, self.argument, self.parameter, f"muxflow::RingStart<{len(self.cells)}>")

    @property
    def pragma(self) -> str:
        """What puts the argument on AXI-Lite."""
        return f"interface s_axilite port={self.argument} bundle=control offset=0x{self.offset:x}"


def register_arguments(folded: Folded, names: Mapping[str, str], seeds: bool) -> tuple[SeedArgument, ...]:
    """List the arguments of a design in node order; `names`: node to the argument's name; `seeds`: whether they are writable.

    Raises MuxflowError when seeds are, and no weights are generated, or the graph's intervals hold for the stored start only.
    """
    found = []
    offset = FIRST_OFFSET
    graph = folded.graph
    for node in graph.nodes:
        if not node.op.carries and (not seeds or node.op.with_registers() is None):
            continue
        if not node.op.registers():
            raise MuxflowError(
                f"{node.name}: the accumulators after it are as wide as its stored start needs; for seeds='writable' "
                "pass the graph through muxflow.dataflow.graph.passes.writable_seeds before it is fitted"
            )
        stream = graph.streams[node.outputs[0]]
        (register,) = node.op.registers()
        # A frame under way in the generator, those in the FIFO, and one that is being read; a process that runs freely may
        # begin its next frame, and read, when one has left.
        ahead = 1 if register.anew else 2 + -(-folded.depths[node.outputs[0]] // stream.beats)
        cells, anew = register.cells, register.anew
        found.append(SeedArgument(node.name, register.name, names[node.name], cells, offset, ahead, anew))
        # The vendor's rule: as many words as hold the value, and one for the port's control.
        offset += 4 * (-(-len(register.cells) // 32) + 1)
    if seeds and all(one.anew for one in found):
        raise MuxflowError(f"{graph.name}: no weights are generated, so seeds='writable' has nothing to write")
    return tuple(found)


def seed_texts(arguments: Iterable[SeedArgument], seeds: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Return what `--seed` of the simulation takes, by argument, for starts by node.

    Raises MuxflowError for a start that does not fit.
    """
    known = {one.node: one for one in arguments}
    texts = {}
    for node, cells in seeds.items():
        if node not in known:
            raise MuxflowError(
                f"no writable seed {node!r}; "
                + (f"there are {', '.join(known)}" if known else "the project's seeds are fixed")
            )
        given = tuple(int(cell) for cell in cells)
        if len(given) != len(known[node].cells) or set(given) - {0, 1}:
            raise MuxflowError(f"seed of {node}: expected {len(known[node].cells)} cells, each 0 or 1")
        texts[known[node].argument] = cell_text(given)
    return texts


def cell_text(cells: Iterable[int]) -> str:
    """Write cells as digits, cell 0 first."""
    return "".join(map(str, cells))
