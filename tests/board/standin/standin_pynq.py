"""A stand-in for a board under PYNQ: DMA by its registers, caches, the stream monitor's map, an accelerator that makes
weights ahead; the compiled C simulation answers."""

from types import ModuleType

import numpy as np

from muxflow.board.driver import registers as r
from muxflow.board.emulator import Emulator

POLLS = 3
"""Looks at a status register before a transfer is seen to be done."""


class Buffer(np.ndarray):
    """Cached memory: the device sees `memory`, the processor this array, and only flush and invalidate copy."""

    def flush(self):
        self.memory[:] = self

    def invalidate(self):
        self[:] = self.memory

    def freebuffer(self):
        del self.board.memory[self.device_address]


class Dma:
    """An AXI DMA in direct register mode (PG021)."""

    def __init__(self, board):
        self.board = board
        self.registers = {}
        for base in (r.DMA_SEND, r.DMA_RECEIVE):
            self.reset(base)

    def reset(self, base):
        self.registers.update({base + offset: 0 for offset in range(0, 0x30, 4)})
        self.registers[base + r.DMA_STATUS] = r.DMA_HALTED

    def write(self, offset, value):
        base = r.DMA_RECEIVE if offset >= r.DMA_RECEIVE else r.DMA_SEND
        assert 0 <= value < 2**32
        if offset == base + r.DMA_CONTROL:
            if value & r.DMA_RESET:
                self.reset(base)
                if self.board.inject == "no reset":
                    self.registers[offset] = r.DMA_RESET
            elif value & r.DMA_RUN:
                self.registers[offset] |= r.DMA_RUN
                self.registers[base + r.DMA_STATUS] &= ~r.DMA_HALTED
        elif offset == base + r.DMA_LENGTH:
            assert value < 2**26
            if not self.registers[base + r.DMA_STATUS] & r.DMA_HALTED:
                self.registers[base + r.DMA_STATUS] = 0
                self.registers[offset] = value
                self.board.started(base)
        else:
            self.registers[offset] = value

    def read(self, offset):
        self.board.tick()
        return self.registers[offset]

    def address(self, base):
        return self.registers[base + r.DMA_ADDRESS] + (self.registers[base + r.DMA_ADDRESS_HIGH] << 32)


class Monitor:
    """The stream monitor's registers."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.settings = {"input_words": 0, "frames_per_transfer": 1}
        self.high = 0
        self.clear()

    def clear(self):
        self.counters = {register.name: 0 for register in r.MONITOR if register.bits == 64}
        self.latency = r.NO_LATENCY

    def write(self, offset, value):
        name = next(register.name for register in r.MONITOR if register.offset == offset)
        if name == "control":
            assert value == r.CLEAR
            self.clear()
        else:
            assert name in self.settings
            self.settings[name] = value

    def read(self, offset):
        for register in r.MONITOR:
            if register.bits == 64 and offset == register.offset:
                value = self.counters[register.name]
                self.high = value >> 32
                return value % 2**32
            if register.bits == 64 and offset == register.offset + 4:
                return self.high
        return {
            r.OFFSETS["identification"]: r.MONITOR_IDENTIFICATION,
            r.OFFSETS["version"]: r.MONITOR_VERSION,
            r.OFFSETS["latency"]: self.latency,
        }[offset]


class Control:
    """The accelerator's AXI-Lite registers: start, and seeds."""

    def __init__(self, board):
        self.board = board
        self.words = {}

    def write(self, offset, value):
        self.words[offset] = value
        if offset != r.ACCELERATOR_CONTROL:
            self.board.lag = max((seed["frames_ahead"] for seed in self.board.entry["seeds"]), default=0)

    def seeds(self):
        """The cells that the registers hold, by node."""
        found = {}
        for seed in self.board.entry["seeds"]:
            words = [self.words.get(seed["offset"] + 4 * i, 0) for i in range(-(-len(seed["cells"]) // 32))]
            value = sum(word << (32 * i) for i, word in enumerate(words))
            found[seed["node"]] = tuple((value >> i) & 1 for i in range(len(seed["cells"])))
        return found


class Board:
    """A board with one overlay; `inject` spoils the next transfer, and only a new download brings order."""

    def __init__(self, project):
        self.emulator = Emulator(project.path, AssertionError)
        self.entry = self.emulator.interface
        self.words = (self.entry["input"]["words_per_frame"], self.entry["output"]["words_per_frame"])
        self.memory = {}
        self.inject = None
        self.downloads = 0
        self.monitor, self.accelerator = Monitor(), Control(self)
        self.load()

    def load(self):
        self.downloads += 1
        self.broken = False
        self.lag = 0
        self.pending = {}
        self.polls = 0
        self.used = {}
        self.monitor.reset()
        self.accelerator.words = {}

    def module(self):
        """What `import pynq` finds."""
        board = self

        class Overlay:
            def __init__(self, path):
                assert path.endswith("accelerator.bit")
                self.dma, self.monitor, self.accelerator = Dma(board), board.monitor, board.accelerator
                board.dma = self.dma
                self.download()

            def download(self):
                board.load()

        def allocate(shape, dtype):
            buffer = np.zeros(shape, dtype).view(Buffer)
            buffer.memory = np.full(shape, 0xDEADBEEF, dtype)
            buffer.board = board
            buffer.device_address = 2**33 + 2**28 * (1 + max((a >> 28 & 15 for a in board.memory), default=0))
            board.memory[buffer.device_address] = buffer.memory
            return buffer

        module = ModuleType("pynq")
        module.Overlay, module.allocate = Overlay, allocate
        return module

    def started(self, base):
        self.pending[base] = self.dma.registers[base + r.DMA_LENGTH]
        if r.DMA_SEND in self.pending:
            self.polls = POLLS

    def tick(self):
        """Time passes when the processor looks."""
        if self.polls:
            self.polls -= 1
            if not self.polls and len(self.pending) == 2:
                self.transfer()

    def fail(self, base, bits):
        self.dma.registers[base + r.DMA_STATUS] = bits
        self.broken = True

    def transfer(self):
        sent, room = (self.pending.pop(base) // 8 for base in (r.DMA_SEND, r.DMA_RECEIVE))
        inject, self.inject = self.inject, None
        started = self.entry["control"] == "ap_ctrl_none" or self.accelerator.words.get(0) == r.ACCELERATOR_START
        if self.broken or inject == "hang" or not started:
            self.broken = True
            return
        if isinstance(inject, tuple):
            self.fail(*inject)
            return
        addresses = [self.dma.address(base) for base in (r.DMA_SEND, r.DMA_RECEIVE)]
        for base, address, words in zip((r.DMA_SEND, r.DMA_RECEIVE), addresses, (sent, room), strict=True):
            if address not in self.memory or words > len(self.memory[address]):
                self.fail(base, 1 << 6 | r.DMA_HALTED)
                return
        words = self.memory[addresses[0]][:sent].reshape(-1, self.words[0])
        assert self.monitor.settings["input_words"] == self.words[0]
        outputs = self.answer(words)
        # TLAST is on each frame's last word; the monitor lets one in every n through, and there the DMA ends.
        passed = min(len(outputs), self.monitor.settings["frames_per_transfer"])
        answer = outputs[:passed].reshape(-1)
        if inject == "truncated":
            answer = answer[:-1]
            self.broken = True
        if len(answer) > room:
            self.fail(r.DMA_RECEIVE, 1 << 4 | r.DMA_HALTED)
            return
        self.memory[addresses[1]][: len(answer)] = answer
        self.dma.registers[r.DMA_SEND + r.DMA_STATUS] = r.DMA_IDLE | 1 << 12
        self.dma.registers[r.DMA_RECEIVE + r.DMA_STATUS] = r.DMA_IDLE | 1 << 12
        self.dma.registers[r.DMA_RECEIVE + r.DMA_LENGTH] = 8 * len(answer)

    def answer(self, words):
        """Frames through the simulation: the first ones still with the seeds of before."""
        seeds = self.accelerator.seeds()
        parts = []
        for frames, cells in ((words[: self.lag], self.used), (words[self.lag :], seeds)):
            if len(frames):
                self.emulator._seeds = {node: cells.get(node, (0,) * len(state)) for node, state in seeds.items()}
                self.emulator.load(0, frames)
                self.emulator.start(0)
                parts.append(self.emulator.wait(0, 60))
        self.lag = max(0, self.lag - len(words))
        if not self.lag:
            self.used = seeds
        outputs = np.concatenate(parts)
        interval, latency = self.entry["interval_cycles"], self.entry["latency_cycles"]
        counters = self.monitor.counters
        counters["cycles"] += latency + interval * (len(words) - 1)
        for stream, beats in (("input", words), ("output", outputs)):
            counters[f"{stream}_frames"] += len(beats)
            counters[f"{stream}_beats"] += beats.size
        self.monitor.latency = latency
        return outputs
