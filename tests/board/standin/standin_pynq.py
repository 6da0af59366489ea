"""A stand-in for a board under PYNQ: DMA by its registers, caches, the stream monitor's map, an accelerator that makes
weights ahead; the compiled C simulation answers."""

import time
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
    """An AXI DMA in direct register mode (PG021) with the channels that are named by their bases."""

    def __init__(self, board, number, bases):
        self.board = board
        self.number = number
        self.registers = {}
        for base in bases:
            self.reset(base)

    def reset(self, base):
        self.registers.update({base + offset: 0 for offset in range(0, 0x30, 4)})
        self.registers[base + r.DMA_STATUS] = r.DMA_HALTED

    def write(self, offset, value):
        base = r.DMA_RECEIVE if offset >= r.DMA_RECEIVE else r.DMA_SEND
        assert 0 <= value < 2**32 and offset in self.registers
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
                self.board.started(self.number, base)
        else:
            self.registers[offset] = value

    def read(self, offset):
        self.board.tick()
        return self.registers[offset]

    def address(self, base):
        return self.registers[base + r.DMA_ADDRESS] + (self.registers[base + r.DMA_ADDRESS_HIGH] << 32)


class Monitor:
    """The stream monitor's registers; `clock_hz`: of the cycles that pass with time."""

    clock_hz = 0

    def __init__(self):
        self.started = time.perf_counter()
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
                if register.name == "cycles":
                    value += round((time.perf_counter() - self.started) * self.clock_hz)
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
    """The accelerator's AXI-Lite registers: start, seeds, and what names the frame that begins anew."""

    def __init__(self, board):
        self.board = board
        self.words = {}

    def write(self, offset, value):
        self.words[offset] = value
        if offset != r.ACCELERATOR_CONTROL:
            self.board.lag = max((seed["frames_ahead"] for seed in self.board.entry["seeds"]), default=0)

    def cells(self, kind):
        """The cells that the registers of seeds or of states hold, by node."""
        found = {}
        for seed in self.board.entry[kind]:
            words = [self.words.get(seed["offset"] + 4 * i, 0) for i in range(-(-len(seed["cells"]) // 32))]
            value = sum(word << (32 * i) for i, word in enumerate(words))
            found[seed["node"]] = tuple((value >> i) & 1 for i in range(len(seed["cells"])))
        return found


class Board:
    """A board with one overlay; `inject` spoils the next transfer, and only a new download brings order.

    `early`: whether recurrent layers read their register as soon as the frame before has left, or with the frame that comes.

    Something in the place of `emulator` may answer: its `interface` says which ports there are.
    """

    def __init__(self, project=None, emulator=None):
        self.emulator = emulator or Emulator(project.path, AssertionError)
        self.entry = self.emulator.interface
        self.words = {
            base: [port["words_per_frame"] for port in self.entry[side]]
            for base, side in ((r.DMA_SEND, "inputs"), (r.DMA_RECEIVE, "outputs"))
        }
        # Every channel as (DMA, base), inputs first.
        self.channels = [(number, base) for base, words in self.words.items() for number in range(len(words))]
        self.memory = {}
        self.inject = None
        self.early = False
        self.downloads = 0
        self.monitors = [Monitor() for _ in range(max(map(len, self.words.values())))]
        self.accelerator = Control(self)
        self.load()

    def load(self):
        self.downloads += 1
        self.broken = False
        self.lag = 0
        self.pending = {}
        self.polls = 0
        self.used = {}
        for monitor in self.monitors:
            monitor.reset()
        self.accelerator.words = {}
        self.frames = 0
        self.named = 0
        self.read = set()
        # What came over the DMA of weights, and whether it was whole.
        self.sent = np.zeros(0, np.uint64)
        self.loaded = self.entry["weights"] is None

    def module(self):
        """What `import pynq` finds."""
        board = self

        class Overlay:
            def __init__(self, path):
                assert path.endswith("accelerator.bit")
                board.dmas = []
                for number, monitor in enumerate(board.monitors):
                    bases = [base for one, base in board.channels if one == number]
                    board.dmas.append(Dma(board, number, bases))
                    suffix = f"_{number}" if number else ""
                    setattr(self, f"dma{suffix}", board.dmas[number])
                    setattr(self, f"monitor{suffix}", monitor)
                if board.entry["weights"] is not None:
                    self.dma_weights = board.dma_weights = Dma(board, "weights", [r.DMA_SEND, r.DMA_RECEIVE])
                self.accelerator = board.accelerator
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

    def started_load(self, base):
        """A transfer of weights: the last of them brings the checksum into the receive that was armed before."""
        dma = self.dma_weights
        if base == r.DMA_RECEIVE or self.inject == "weights hang":
            return
        words = dma.registers[base + r.DMA_LENGTH] // 8
        self.sent = np.append(self.sent, self.memory[dma.address(base)][:words])
        dma.registers[base + r.DMA_STATUS] = r.DMA_IDLE
        total = sum(node["words"] for node in self.entry["weights"]["nodes"]) + 1
        assert len(self.sent) <= total
        if len(self.sent) == total:
            assert dma.registers[r.DMA_RECEIVE + r.DMA_LENGTH] == 8 and self.sent[-1] == 0
            checksum = self.emulator.load_weights(self.sent[:-1], 60)
            self.memory[dma.address(r.DMA_RECEIVE)][0] = checksum ^ (self.inject == "weights spoilt")
            dma.registers[r.DMA_RECEIVE + r.DMA_STATUS] = r.DMA_IDLE
            self.sent, self.loaded = self.sent[:0], True

    def started(self, number, base):
        if number == "weights":
            self.started_load(base)
            return
        if base == r.DMA_SEND:
            armed = {one for one, other in self.pending if other == r.DMA_RECEIVE}
            assert len(armed) == len(self.words[r.DMA_RECEIVE]), "a send before every receive is armed"
        self.pending[number, base] = self.dmas[number].registers[base + r.DMA_LENGTH]
        if len(self.pending) == len(self.channels):
            self.polls = POLLS

    def tick(self):
        """Time passes when the processor looks."""
        if self.polls:
            self.polls -= 1
            if not self.polls and len(self.pending) == len(self.channels):
                self.transfer()

    def fail(self, base, bits, number=0):
        self.dmas[number].registers[base + r.DMA_STATUS] = bits
        self.broken = True

    def transfer(self):
        lengths = {channel: self.pending.pop(channel) // 8 for channel in self.channels}
        inject, self.inject = self.inject, None
        started = self.entry["control"] == "ap_ctrl_none" or self.accelerator.words.get(0) == r.ACCELERATOR_START
        if self.broken or inject == "hang" or not started or not self.loaded:
            self.broken = True
            return
        if isinstance(inject, tuple):
            self.fail(*inject)
            return
        addresses = {(number, base): self.dmas[number].address(base) for number, base in self.channels}
        for (number, base), address in addresses.items():
            if address not in self.memory or lengths[number, base] > len(self.memory[address]):
                self.fail(base, 1 << 6 | r.DMA_HALTED, number)
                return
        assert len(set(addresses.values())) == len(addresses)
        words = []
        for number, size in enumerate(self.words[r.DMA_SEND]):
            sent = self.memory[addresses[number, r.DMA_SEND]][: lengths[number, r.DMA_SEND]]
            words.append(sent.reshape(-1, size))
            assert self.monitors[number].settings["input_words"] == size
            self.dmas[number].registers[r.DMA_SEND + r.DMA_STATUS] = r.DMA_IDLE | 1 << 12
        for number, outputs in enumerate(self.answer(words)):
            # TLAST is on each frame's last word; the monitor lets one in every n through, and there the DMA ends.
            passed = min(len(outputs), self.monitors[number].settings["frames_per_transfer"])
            answer = outputs[:passed].reshape(-1)
            if inject == "truncated" and number == len(self.words[r.DMA_RECEIVE]) - 1:
                answer = answer[:-1]
                self.broken = True
            channel = number, r.DMA_RECEIVE
            if len(answer) > lengths[channel]:
                self.fail(r.DMA_RECEIVE, 1 << 4 | r.DMA_HALTED, number)
                return
            self.memory[addresses[channel]][: len(answer)] = answer
            self.dmas[number].registers[r.DMA_RECEIVE + r.DMA_STATUS] = r.DMA_IDLE | 1 << 12
            self.dmas[number].registers[r.DMA_RECEIVE + r.DMA_LENGTH] = 8 * len(answer)

    def through(self, words):
        """One transfer of the simulation, or one for each frame where states go on."""
        if self.entry["states"] and len(words[0]) > 1:
            return [part for i in range(len(words[0])) for part in self.through([one[i : i + 1] for one in words])]
        if self.entry["states"]:
            self.begin()
        self.emulator.load(0, [one.copy() for one in words])
        self.emulator.start(0)
        return [self.emulator.wait(0, 60)]

    def begin(self):
        """A frame of a sequence: its layers may have read the register before it came."""
        now = set(self.accelerator.cells("states").values())
        (asked,) = (self.read or {(0, 0)}) if self.early else now
        self.read = now
        if self.frames == 0 or (asked[1] != self.named and asked[0] == self.frames % 2):
            self.named = asked[1]
            self.emulator.reset()
        self.frames += 1

    def answer(self, words):
        """Frames through the simulation: the first ones still with the seeds of before."""
        seeds = self.accelerator.cells("seeds")
        parts = []
        frames = len(words[0])
        for span, cells in ((slice(self.lag), self.used), (slice(self.lag, frames), seeds)):
            if len(words[0][span]):
                self.emulator._seeds = {node: cells.get(node, (0,) * len(state)) for node, state in seeds.items()}
                parts += self.through([one[span] for one in words])
        self.lag = max(0, self.lag - frames)
        if not self.lag:
            self.used = seeds
        outputs = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        interval, latency = self.entry["interval_cycles"], self.entry["latency_cycles"]
        for number, monitor in enumerate(self.monitors):
            monitor.counters["cycles"] += latency + interval * (frames - 1)
            for stream, arrays in (("input", words), ("output", outputs)):
                if number < len(arrays):
                    monitor.counters[f"{stream}_frames"] += frames
                    monitor.counters[f"{stream}_beats"] += arrays[number].size
            # Without a partner no frame both begins and ends.
            if number < min(len(words), len(outputs)):
                monitor.latency = latency + number
        return outputs
