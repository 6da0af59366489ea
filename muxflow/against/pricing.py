"""FINN+'s folds as our designs: one cost model, one way of sizing FIFOs and one simulation for both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from types import MappingProxyType

import numpy as np

from muxflow.against.finn_designs import CLOCK_MHZ, FinnDesign, LayerFolds
from muxflow.board.board import find_board
from muxflow.dataflow.errors import BudgetError, MuxflowError
from muxflow.dataflow.fit.candidates import Candidate, Group, groups
from muxflow.dataflow.fit.design import Design, build_design, with_depths
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.folded import FIFO_DEPTH
from muxflow.dataflow.fit.held import held_elements
from muxflow.dataflow.fit.implementation import Adjusted, Cost, Implementations
from muxflow.dataflow.fit.resizing import resized
from muxflow.dataflow.fit.resource_model import estimate, model
from muxflow.dataflow.fit.solver import Solver
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.op import Fold, Op, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.quantities import counted
from muxflow.hls.kernels import KERNELS

BOARD = "pynq-z2"

NOTHING: Mapping[str, int] = MappingProxyType({})
"""What FIFOs hold that are as small as they may be."""

SLICE = 2
"""Flip-flops a bit of a register slice, as FINN puts one after each weight streamer."""


@dataclass(frozen=True)
class Priced:
    """A FINN+ design and ours of its folds; `adapted`: the folds that are not legal here, and what stands for them."""

    theirs: FinnDesign
    ours: Design
    adapted: tuple[str, ...]


def unscaled() -> float:
    """Give the probability at which an estimate of LUTs counts as it is, without what it may be wrong by."""
    pairs = model().spread["lut"]
    return float(np.interp(1.0, [ratio for _, ratio in pairs], [probability for probability, _ in pairs]))


class StreamedWeights(Adjusted):
    """Implementations with stored weights streamed as FINN's streamers do, not read in place.

    So with the LUTs of the streamer's output register, a register slice, and one memory for all words, without banks.
    """

    def adjusted(self, op: Op, ports: Ports, fold: Fold, cost: Cost) -> Cost:
        if not isinstance(op, RomWeights):
            return cost
        bits = fold.parallel * ports.outputs[0].bits
        memories = tuple(replace(memory, banks=1) for memory in cost.memories)
        lut, _ = estimate(weight_stream={"bit": bits})
        return replace(cost, lut=cost.lut + lut, ff=cost.ff + SLICE * bits, memories=memories)


STREAMED = StreamedWeights(KERNELS)


class Pricing:
    """A network whose designs by others are priced on a board.

    The folds are theirs; the form of each (its products in LUTs, in DSP blocks, several in a block) is chosen as Muxflow
    chooses it for its own, so that both sides' resources mean the same: the forms of the smallest load inside the budget.

    `utilisation`: what they may use, and how sure they must be to fit; `implementations`: what they are built of.
    """

    def __init__(
        self,
        graph: Graph,
        utilisation: Utilisation,
        implementations: Implementations = KERNELS,
        *,
        device: Device | None = None,
        board: str = BOARD,
        clock_mhz: float = CLOCK_MHZ,
    ) -> None:
        self.graph = insert_forks(check(graph))
        self.utilisation = utilisation
        self.device = find_board(board).device if device is None else device
        self.board, self.clock_mhz = board, clock_mhz
        self.implementations = implementations
        self._groups = groups(self.graph, implementations)

    def leaders(self, layers: LayerFolds) -> tuple[dict[str, Fold], tuple[str, ...]]:
        """Give each leading node the fold that the other tool has there, and list the ones that are not legal here.

        For those stands the nearest legal one that is no slower than the tool's slowest node. Windows fold with their
        matrix, thresholds as FINN's units that they are merged into; a pool without a fold, and any other node, keeps up
        with the matrix before. Raises MuxflowError when there are not as many matrices as in the network.
        """
        count = sum(isinstance(node.op, MatrixVector) for node in self.graph.nodes)
        if count != len(layers.matrices):
            raise MuxflowError(
                f"{self.graph.name}: {counted(len(layers.matrices), 'fold')} for {counted(count, 'matrix', 'matrices')}"
            )
        matrices, pools = iter(layers.matrices), iter(layers.pools)
        folds: dict[str, Fold] = {}
        adapted: list[str] = []
        lanes = 1
        for group in self._in_order():
            name, op = group.leader.name, group.leader.op
            if isinstance(op, MatrixVector):
                wanted = Fold(*next(matrices))
            else:
                wanted = Fold(next(pools, lanes) if isinstance(op, Pool) else lanes)
            free = layers.any_split and isinstance(op, MatrixVector)
            folds[name] = _legal(group, wanted, layers.slowest_cycles, free)
            if folds[name] != wanted and not (free and folds[name].parallel == wanted.parallel):
                adapted.append(f"{name}: {wanted} -> {folds[name]}")
            lanes = folds[name].pe * folds[name].groups if isinstance(op, MatrixVector) else lanes
        return folds, tuple(adapted)

    def _in_order(self) -> list[Group]:
        place = {node.name: index for index, node in enumerate(self.graph.nodes)}
        return sorted(self._groups, key=lambda group: place[group.leader.name])

    def unsized(self, layers: LayerFolds, held: Mapping[str, int] = NOTHING) -> tuple[Design, tuple[str, ...]]:
        """Build the design of others' folds with the smallest FIFOs, and list the folds adapted.

        No less is needed, whatever FIFOs must hold; `held`: what they are expected to when the forms are chosen. Raises
        MuxflowError when there are not as many folds as matrices, BudgetError for a fold beyond the tools' limits.
        """
        folds, adapted = self.leaders(layers)
        built = build_design(
            self.graph,
            self._formed(folds, layers, held),
            self.implementations,
            device=self.device,
            board=self.board,
            clock_mhz=self.clock_mhz,
            utilisation=self.utilisation,
        )
        return with_depths(built, dict.fromkeys(built.graph.streams, FIFO_DEPTH), None), adapted

    def _formed(self, folds: Mapping[str, Fold], layers: LayerFolds, held: Mapping[str, int]) -> Mapping[str, Fold]:
        """Choose the form of each fold: of the smallest load inside the budget, or close to the smallest where none is."""
        found = []
        for group in self._groups:
            fold = folds[group.leader.name]
            free = layers.any_split and isinstance(group.leader.op, MatrixVector)
            kept = tuple(candidate for candidate in group.candidates if _same(candidate.fold, fold, free))
            found.append(replace(group, candidates=kept))
        solver = Solver(self.graph, self.implementations, held, found=found)
        cycles, budget = max(layers.slowest_cycles, solver.least()), self.device.allowance(self.utilisation)
        solution = solver.solve(cycles, budget)
        if solution is None:
            near = solver.smallest(cycles, budget)
            assert near is not None  # some are as fast as the fastest ones
            solution = near[1]
        return solution.folds

    def price(self, layers: LayerFolds) -> tuple[Design, tuple[str, ...]]:
        """Build, size and simulate the design of others' folds, and list those adapted; raises as its parts do.

        Where it is over the budget with what its FIFOs hold, the forms are chosen anew for these.
        """
        built, adapted = self.unsized(layers)
        sized = resized(built)
        if sized.resources.exceeds(sized.allowance):
            again, _ = self.unsized(layers, held_elements(sized))
            if again.folds != built.folds:
                sized = resized(again)
        return sized, adapted

    def fastest(self, designs: Sequence[FinnDesign], tell: Callable[[str], None] = lambda _: None) -> Priced | None:
        """Find the fastest of the designs that is inside the allowance with its FIFOs, the cheapest of equals.

        None where there is none. Those that are over it with the smallest FIFOs are not sized.
        """
        small: list[tuple[int, int, FinnDesign]] = []
        for number, design in enumerate(designs):
            try:
                built, _ = self.unsized(design.layers)
            except BudgetError:
                continue
            if not built.resources.exceeds(built.allowance):
                small.append((built.slowest_cycles, number, design))
        tell(f"{len(small)} of {len(designs)} designs of FINN+ are inside with the smallest FIFOs")
        best: Priced | None = None
        for number, (cycles, _, design) in enumerate(sorted(small, key=lambda entry: entry[:2]), 1):
            if best is not None and cycles > best.ours.interval:
                break
            tell(f"FIFOs of FINN+ design {number} of at most {len(small)}, {cycles} cycles")
            priced = Priced(design, *self.price(design.layers))
            if priced.ours.resources.exceeds(priced.ours.allowance):
                continue
            if best is None or _rank(priced.ours) < _rank(best.ours):
                best = priced
        return best


def _rank(design: Design) -> tuple[int, float]:
    used, limit = design.resources, design.allowance
    # A budget may have no block RAM at all.
    return design.interval, used.lut / limit.lut + used.bram18 / max(1, limit.bram18)


def _legal(group: Group, wanted: Fold, slowest: int, free: bool) -> Fold:
    """Give the wanted fold, or the nearest legal one within the cycles; the fastest one where none is.

    `free`: only the products of a cycle are wanted.
    """

    def distance(candidate: Candidate) -> tuple[float, float, int]:
        fold = candidate.fold
        apart = abs(log2(fold.pe / wanted.pe)) + abs(log2(fold.simd / wanted.simd))
        return abs(log2(fold.parallel / wanted.parallel)) if free else 0.0, apart, candidate.logic.lut

    if any(candidate.fold == wanted for candidate in group.candidates):
        return wanted
    # FINN+ has no folds of several groups, neither tool of neighbouring pixels; the form is chosen later.
    plain = [candidate for candidate in group.candidates if candidate.fold == candidate.fold.plain]
    known = [one for one in plain if one.fold.pixels == 1 and (free or one.fold.groups == 1)]
    if free and (exact := [one for one in known if one.fold.parallel == wanted.parallel]):
        return min(exact, key=lambda one: (max(one.cycles, slowest), distance(one))).fold
    enough = [candidate for candidate in known if candidate.cycles <= slowest]
    if not enough:
        return min(known, key=lambda candidate: candidate.cycles).fold
    return min(enough, key=distance).fold


def _same(fold: Fold, wanted: Fold, free: bool) -> bool:
    """Say whether a fold is the wanted one in some form; `free`: or one of as many products a cycle."""
    if free:
        return fold.pixels == wanted.pixels and fold.parallel == wanted.parallel
    return fold.plain == wanted
