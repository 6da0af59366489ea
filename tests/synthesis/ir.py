"""A reader of LLVM's text: as much of it as says how a synthesis tool can pipeline a loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import networkx as nx

NAME = r'%(?:"[^"]*"|[\w.$-]+)'
LABEL = re.compile(r'^("[^"]*"|[\w.$-]+):')
ARITHMETIC = {"add", "sub", "mul", "sdiv", "udiv", "srem", "urem"}


@dataclass(frozen=True)
class Instruction:
    """One line of a block: the value that it names ("" for none), its opcode, the values that it reads."""

    name: str
    opcode: str
    operands: tuple[str, ...]
    text: str

    @property
    def incoming(self) -> dict[str, str]:
        """Values of a phi by the block that they come from; constants as they are written."""
        pairs = re.findall(rf"\[ ({NAME}|[\w.-]+), ({NAME}) \]", self.text)
        return {block: value for value, block in pairs}


@dataclass(frozen=True)
class Loop:
    """A natural loop: its header and all its blocks."""

    header: str
    latches: frozenset[str]
    blocks: frozenset[str]


@dataclass
class Function:
    """A defined function: instructions by block, in order."""

    name: str
    blocks: dict[str, list[Instruction]] = field(default_factory=dict)

    @cached_property
    def flow(self) -> nx.DiGraph:
        """The blocks and where each may go."""
        graph = nx.DiGraph()
        graph.add_nodes_from(self.blocks)
        for name, lines in self.blocks.items():
            for target in re.findall(rf"label ({NAME})", " ".join(line.text for line in lines[-1:])):
                graph.add_edge(name, target)
        return graph

    @cached_property
    def values(self) -> dict[str, Instruction]:
        """Instructions by the value that they name."""
        return {line.name: line for lines in self.blocks.values() for line in lines if line.name}

    @cached_property
    def calls(self) -> set[str]:
        """The functions that are called."""
        text = "\n".join(line.text for lines in self.blocks.values() for line in lines if line.opcode == "call")
        return set(re.findall(r'call [^@\n]*@("[^"]*"|[\w.$-]+)\(', text))

    @cached_property
    def loops(self) -> list[Loop]:
        """The natural loops, by header."""
        entry = next(iter(self.blocks))
        dominators = nx.immediate_dominators(self.flow, entry)

        def dominated(block: str, by: str) -> bool:
            while block != by:
                above = dominators.get(block)
                if above is None or above == block:
                    return False
                block = above
            return True

        latches: dict[str, set[str]] = {}
        for source, target in self.flow.edges:
            if source in dominators and dominated(source, target):
                latches.setdefault(target, set()).add(source)
        return [self._loop(header, frozenset(ends)) for header, ends in latches.items()]

    def _loop(self, header: str, latches: frozenset[str]) -> Loop:
        body, waiting = {header}, [end for end in latches if end != header]
        while waiting:
            block = waiting.pop()
            if block not in body:
                body.add(block)
                waiting += self.flow.predecessors(block)
        return Loop(header, latches, frozenset(body))

    def phis(self, loop: Loop) -> Iterator[tuple[Instruction, str, str]]:
        """Yield the values that a loop carries: (phi, value at the start, value for the next iteration)."""
        for line in self.blocks[loop.header]:
            if line.opcode == "phi":
                inside = [value for block, value in line.incoming.items() if block in loop.latches]
                outside = [value for block, value in line.incoming.items() if block not in loop.latches]
                yield line, outside[0], inside[0]

    def trip_count(self, loop: Loop) -> int | None:
        """Count the iterations where they are constant: a counter from a constant by 1 to a constant."""
        found = set()
        for block in loop.blocks:
            last = self.blocks[block][-1]
            leaves = [target for target in self.flow.successors(block) if target not in loop.blocks]
            if not leaves:
                continue
            condition = self.values.get(last.operands[0]) if last.operands else None
            found.add(self._limit(loop, condition, leaves[0] == _targets(last)[0]))
        return found.pop() if len(found) == 1 else None

    def _limit(self, loop: Loop, condition: Instruction | None, leaves_if_true: bool) -> int | None:
        if condition is None or condition.opcode != "icmp":
            return None
        match = re.search(rf"icmp (?:samesign )?(\w+) i\d+ ({NAME}), (-?\d+)", condition.text)
        if match is None:
            return None
        relation, value, limit = match[1], match[2], int(match[3])
        for phi, first, following in self.phis(loop):
            step = self.values.get(following)
            if step is None or step.opcode != "add" or not re.search(rf"{re.escape(phi.name)}, (-?1)$", step.text):
                continue
            by = int(step.text.rsplit(",", 1)[1])
            if not first.lstrip("-").isdigit() or value not in (phi.name, following):
                continue
            extra = 1 if value == phi.name else 0
            if relation == ("eq" if leaves_if_true else "ne"):
                return (limit - int(first)) // by + extra
            if not leaves_if_true and relation in ("ult", "slt") and by == 1:
                return limit - int(first) + extra
        return None

    def recurrences(self, loop: Loop) -> dict[str, int]:
        """Count the operations of ARITHMETIC one after another from each carried value to its next one."""
        carried = {phi.name: following for phi, _, following in self.phis(loop)}
        inside = {line.name: line for block in loop.blocks for line in self.blocks[block] if line.name}
        found = {}
        for phi, following in carried.items():
            depths: dict[str, int | None] = {name: None for name in carried} | {phi: 0}
            found[phi] = self._depth(following, inside, depths) or 0
        return found

    def _depth(self, start: str, inside: dict[str, Instruction], depths: dict[str, int | None]) -> int | None:
        """The longest chain from the one value at depth 0; None where none leads there. Without recursion: IR is deep."""
        stack = [start]
        while stack:
            value = stack[-1]
            if value in depths or value not in inside:
                depths.setdefault(value, None)
                stack.pop()
                continue
            line = inside[value]
            missing = [operand for operand in line.operands if operand not in depths and operand in inside]
            if missing:
                stack += missing
                continue
            known = [depths.get(operand) for operand in line.operands]
            reached = [depth for depth in known if depth is not None]
            depths[value] = max(reached) + (line.opcode in ARITHMETIC) if reached else None
            stack.pop()
        return depths[start]

    def memories(self, loop: Loop) -> dict[str, tuple[bool, bool]]:
        """Whether a loop reads and writes each array that lives longer than one iteration, by its name in the source."""
        found: dict[str, tuple[bool, bool]] = {}
        begins = [line for block in loop.blocks for line in self.blocks[block] if "@llvm.lifetime.start" in line.text]
        of_an_iteration = {line.operands[-1] for line in begins}
        for block in loop.blocks:
            for line in self.blocks[block]:
                if line.opcode not in ("load", "store"):
                    continue
                base = self._base(line.operands[-1])
                if base is None or base in of_an_iteration:
                    continue
                name = re.sub(r"(\.i)*\d*$", "", base[1:]).split(".")[0]
                reads, writes = found.get(name, (False, False))
                found[name] = reads or line.opcode == "load", writes or line.opcode == "store"
        return found

    def _base(self, pointer: str) -> str | None:
        """The array behind a pointer: an alloca of an array."""
        line = self.values.get(pointer)
        while line is not None and line.opcode == "getelementptr":
            line = self.values.get(line.operands[0])
        if line is None or line.opcode != "alloca" or "alloca [" not in line.text:
            return None
        return line.name


def _targets(branch: Instruction) -> list[str]:
    return re.findall(rf"label ({NAME})", branch.text)


@dataclass(frozen=True)
class Module:
    """What one compilation gave: functions by name; types and contents of constants; other globals."""

    functions: dict[str, Function]
    constants: dict[str, str]
    variables: dict[str, str]


def parse(text: str) -> Module:
    """Read a module as clang writes it with -S -emit-llvm and value names kept."""
    functions: dict[str, Function] = {}
    constants: dict[str, str] = {}
    variables: dict[str, str] = {}
    current: Function | None = None
    block = ""
    # A switch lists its cases a line each.
    joined = re.sub(
        r"(?m)^(  switch [^\n]*\[)\n((?:    [^\n]*\n)*)  \]", lambda m: m[1] + " ".join(m[2].split()) + "]", text
    )
    for line in joined.splitlines():
        if line.startswith("define "):
            name = re.search(r'@("[^"]*"|[\w.$-]+)\(', line)
            assert name is not None, line
            current, block = Function(name[1].strip('"')), ""
            functions[current.name] = current
        elif line.startswith("}"):
            current = None
        elif current is not None:
            label = LABEL.match(line)
            if label:
                block = f"%{label[1]}"
                current.blocks[block] = []
            elif line.startswith("  "):
                current.blocks.setdefault(block, []).append(_instruction(line.strip()))
        elif line.startswith("@"):
            name_text, _, rest = line.partition(" = ")
            kind = re.match(r"(?:[\w.()]+ )*?(constant|global) (.*)", rest)
            if kind:
                (constants if kind[1] == "constant" else variables)[name_text[1:].strip('"')] = kind[2]
    return Module(functions, constants, variables)


def _instruction(text: str) -> Instruction:
    head, _, body = text.partition(" = ") if text.startswith("%") else ("", "", text)
    body = re.sub(r", !\w+ !?\d+|, !\w+ \d+", "", body)
    opcode = re.match(r"(?:(?:tail|musttail|notail) )?(\w+)", body)
    assert opcode is not None, text
    operands = tuple(re.findall(NAME, re.sub(rf"label {NAME}", "", body)))
    return Instruction(head, opcode[1], tuple(o for o in operands if not o.startswith('%"struct')), body)
