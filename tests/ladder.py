"""The proof ladder of one op: slow reference == numpy == kernel on native types == kernel on ap_int, for every legal fold,
== the op on each target."""

import re
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from op_cases import Case, OpTarget

from muxflow.dataflow.access import Pattern
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold, Op, Ports
from muxflow.hls.emit import beat_type, loaded_type, template_arguments
from muxflow.hls.headers import copy_headers
from muxflow.hls.kernels import KERNELS, Table
from muxflow.hls.tables import table_definition, table_type
from muxflow.hls.vitis.csim import ap_types

# Those besides vitis, whose kernels are the ladder's own; the fixture `<name>_cases` gives the `OpTarget`.
TARGETS = ("finn", "hls4ml")

IntArray = npt.NDArray[np.int64]
Slow = Callable[..., Sequence[IntArray]]
Order = Callable[[Fold, tuple[IntArray, ...]], tuple[IntArray, ...]]

# A stream that logs the order in which its ports are used and fails on a read of nothing; stands in for the vendor's.
# It holds plain elements, not beats: a queue for every type of beat would take most of the compiler's time.
HLS_STREAM = r"""
#ifndef LADDER_HLS_STREAM
#define LADDER_HLS_STREAM
#include <cstdio>
#include <cstdlib>
#include <vector>
#include "muxflow/images.hpp"
static std::vector<char> ladder_events;
class LadderQueue {
  const char* const name;
  const char port;
  const int lanes;
  std::vector<long long> held;
  std::vector<long long>::size_type next;
  void expect(bool good, const char* met) const {
    if (!good) { std::fprintf(stderr, "%s %s\n", name, met); std::exit(5); }
  }
 protected:
  void event() { ladder_events.push_back(port); }
  template <class E> void put(const E& element) {
    for (int image = 0; image < MUXFLOW_IMAGES; ++image) {
      held.push_back(static_cast<long long>(muxflow::of_image(element, image)));
    }
  }
  template <class E> void take(E& element) {
    expect(next < held.size(), "is read too often");
    for (int image = 0; image < MUXFLOW_IMAGES; ++image) muxflow::set_image(element, image, held[next++]);
  }
 public:
  LadderQueue(const char* name_, char port_, int lanes_) : name(name_), port(port_), lanes(lanes_), next(0) {}
  void load(std::FILE* file, long beats) {
    held.assign(beats * lanes * MUXFLOW_IMAGES, 0);
    next = 0;
    expect(std::fread(held.data(), 8, held.size(), file) == held.size(), "ends early in the input file");
  }
  bool done() const { return next == held.size(); }
  void expect_empty() const { expect(done(), "is not read whole"); }
  void dump(std::FILE* file) {
    const long long beats = held.size() / lanes / MUXFLOW_IMAGES;
    std::fwrite(&beats, 8, 1, file);
    std::fwrite(held.data(), 8, held.size(), file);
    held.clear();
  }
};
namespace hls {
template <class T> class stream : public LadderQueue {
 public:
  stream(const char* name, char port) : LadderQueue(name, port, T::LANES) {}
  T read() {
    event();
    T value;
    for (int lane = 0; lane < T::LANES; ++lane) {
      typename T::element element;
      take(element);
      value.set(lane, element);
    }
    return value;
  }
  bool empty() const { return done(); }
  void write(const T& value) {
    event();
    for (int lane = 0; lane < T::LANES; ++lane) put(value.get(lane));
  }
};
}
#endif
"""

MAIN = r"""
int main(int, char** argv) {
  std::FILE* in = std::fopen(argv[1], "rb");
  std::FILE* out = std::fopen(argv[2], "wb");
%s
  if (std::fgetc(in) != EOF) { std::fprintf(stderr, "input is left over\n"); return 5; }
  std::fclose(in);
  std::fclose(out);
  return 0;
}
"""

# Images side by side; a kernel's frames stand in them, the last one again where there are fewer.
IMAGES = {"native": 4, "reference": 1}

# What compiles fastest: most of a ladder's time is the compiler's.
COMPILED = ("-O0", "-fno-exceptions", "-fno-asynchronous-unwind-tables")

# Sanitizers for overflow and bounds, as calls where that is less code; what the address sanitizer sees is left to it.
# Variables that nobody set hold a pattern, so that reading one shows.
NATIVE = (
    "-DMUXFLOW_NATIVE",
    f"-DMUXFLOW_IMAGES={IMAGES['native']}",
    *COMPILED,
    "-fsanitize=address,signed-integer-overflow,shift,integer-divide-by-zero,bounds,bool,return",
    "--param=asan-instrumentation-with-call-threshold=0",
    "-fno-sanitize-recover=all",
    "-ftrivial-auto-var-init=pattern",
)


@dataclass(frozen=True)
class Rung:
    """One op under one fold with its frames in stream order."""

    op: Op
    ports: Ports
    fold: Fold
    inputs: tuple[IntArray, ...]
    outputs: tuple[IntArray, ...]

    def deal(self, side: int) -> list[list[int]]:
        """Which frames stand side by side in each run of the kernel, the last one again where there are no more."""
        frames = max((len(values) for values in self.inputs), default=2)
        return [[min(first + place, frames - 1) for place in range(side)] for first in range(0, frames, side)]


def _events(patterns: Sequence[Pattern], names: str) -> list[str]:
    """Ports used, iteration by iteration; iterations that use none are left out."""
    masks = np.stack([pattern.mask() for pattern in patterns])
    return ["".join(name for name, used in zip(names, row, strict=True) if used) for row in masks.T if row.any()]


def in_beats(values: IntArray, stream: Stream) -> IntArray:
    """One frame in the order of the beats, from that of its pixels; weights as often as they are sent. In plain loops."""
    flat, pixels = values.reshape(-1).tolist(), stream.beat_pixels
    if stream.repeats > 1:
        return np.array(flat * (stream.repeats // pixels))
    if pixels == 1:
        return np.array(flat)
    channels, part = stream.channels, stream.lanes // pixels
    return np.array(
        [
            flat[(group + pixel) * channels + first + lane]
            for group in range(0, stream.pixels, pixels)
            for first in range(0, channels, part)
            for pixel in range(pixels)
            for lane in range(part)
        ]
    )


def load_words(codes: Sequence[int], stream: Stream) -> list[int]:
    """Words of 64 bits that load beats of codes: each beat from the lowest bit of a word on."""
    words = []
    for first in range(0, len(codes), stream.lanes):
        beat = 0
        for lane, code in enumerate(codes[first : first + stream.lanes]):
            bits = code > 0 if stream.bipolar else code & (1 << stream.bits) - 1
            beat |= bits << lane * stream.bits
        words += [beat >> low & (1 << 64) - 1 for low in range(0, stream.lanes * stream.bits, 64)]
    return words


class Ladder:
    """Collects ops, then compiles all their kernels as two programs (native, ap_int) and compares; then the targets."""

    def __init__(
        self, folder: Path, variants: Sequence[str] = ("native", "reference"), targets: Sequence[OpTarget] = ()
    ) -> None:
        self.folder = folder
        self.variants = variants
        self.targets = targets
        self.rungs: list[Rung] = []
        self.cases: list[Case] = []

    def add(
        self,
        op: Op,
        streams: Sequence[Stream],
        slow: Slow,
        *,
        frames: int = 3,
        values: Sequence[IntArray] | None = None,
        folds: Sequence[Fold] | None = None,
        order: Order | None = None,
        whole: bool = True,
        tight: bool = False,
    ) -> None:
        """Checks the numpy semantics against the slow reference and keeps every legal fold for `climb`.

        `slow(*inputs)` gives the outputs of one frame from plain loops. `values`: input frames, random (with the
        interval's ends among them) when absent. `order(fold, inputs)` brings flat frames into the order of the port.
        `tight`: the interval's ends are reached by the values.
        """
        outputs = op.infer(*streams)
        ports = Ports(tuple(streams), outputs)
        given = tuple(values) if values is not None else tuple(self.random(s, frames) for s in streams)
        count = max((len(v) for v, s in zip(given, streams, strict=True) if s.constant is None), default=1)
        batch = tuple(s.constant if s.constant is not None else v for v, s in zip(given, streams, strict=True))
        met = op.compute(*batch)
        frames_in = [
            tuple(v if s.constant is not None else v[i] for v, s in zip(batch, streams, strict=True))
            for i in range(count)
        ]
        results = [slow(*frame) for frame in frames_in]
        expected = [np.stack([np.asarray(y, np.int64) for y in ys]) for ys in zip(*results, strict=True)]
        for stream, want, got in zip(outputs, expected, met, strict=True):
            assert want.shape[1:] == stream.shape, (op, want.shape, stream)
            np.testing.assert_array_equal(got, want if streams else want[0], err_msg=str(op))
            assert want.min() >= stream.lo, (op, want.min(), stream)
            assert want.max() <= stream.hi, (op, want.max(), stream)
            if tight:
                assert (want.min(), want.max()) == (stream.lo, stream.hi), op
        legal = list(op.folds(ports)) if folds is None else list(folds)
        assert legal
        self.cases.append(Case(op, ports.inputs, batch, tuple(expected), tuple(legal)))
        for fold in legal:
            beats_in, beats_out = op.beats(ports, fold)
            folded = Ports(
                tuple(s.with_beat(beat) for s, beat in zip(streams, beats_in, strict=True)),
                tuple(s.with_beat(beat) for s, beat in zip(outputs, beats_out, strict=True)),
            )
            kernel = KERNELS.of(op)
            loop, cost = kernel.access(op, folded, fold), kernel.cost(op, folded, fold)
            for pattern, stream in zip(loop.reads + loop.writes, folded.inputs + folded.outputs, strict=True):
                assert pattern.beats == stream.beats, (op, fold, stream)
                assert pattern.trips == len(pattern.mask()) == loop.trips
                assert pattern.mask().sum() == pattern.beats
            assert min(cost.interval, cost.depth) >= 1
            assert min(cost.lut, cost.ff, cost.dsp) >= 0
            assert cost.unrolled >= 1
            arranged = []
            for i in range(count):
                flat = tuple(v.reshape(1, -1) for v in frames_in[i])
                flat = order(fold, flat) if order else flat
                arranged.append([in_beats(v, s) for v, s in zip(flat, folded.inputs, strict=True)])
            inputs = tuple(np.stack(rows) for rows in zip(*arranged, strict=True))
            self.rungs.append(Rung(op, folded, fold, inputs, tuple(expected)))

    @staticmethod
    def random(stream: Stream, frames: int) -> IntArray:
        """Seeded codes; the first frame also holds the interval's ends where there is room."""
        rng = np.random.default_rng([stream.size, frames, abs(stream.lo), abs(stream.hi)])
        values = random_codes(stream, frames, rng)
        flat = values.reshape(frames, -1)
        flat[0, 0], flat[-1, -1] = stream.lo, stream.hi
        return values

    def climb(self, refused: Collection[str] = ()) -> int:
        """Compiles, runs and compares; returns how many kernels were checked.

        Each target carries a case of every op at least, but those named in `refused`, which carry none.
        """
        assert self.rungs
        (self.folder / "hls_stream.h").write_text(HLS_STREAM)
        copy_headers(self.folder / "muxflow")
        (self.folder / "main.cpp").write_text(self._program())
        for variant in self.variants:
            with (self.folder / "in").open("wb") as file:
                for rung in self.rungs:
                    for images in rung.deal(IMAGES[variant]):
                        for values in rung.inputs:
                            file.write(np.ascontiguousarray(values[images].T, "<i8").tobytes())
            flags = NATIVE if variant == "native" else (*COMPILED, "-w", f"-I{ap_types()}")
            command = ["g++", "-std=c++14", "-I.", *flags, "main.cpp", "-o", variant]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:6000]
            done = subprocess.run(
                [f"./{variant}", "in", f"out_{variant}"], cwd=self.folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr[:6000]
            self._compare(variant)
        for target in self.targets:
            self._climb(target, target.name in refused)
        return len(self.rungs)

    def _climb(self, target: OpTarget, refused: bool) -> None:
        answers = target.climb(self.cases)
        carried = {case.op.kind for case, answer in zip(self.cases, answers, strict=True) if not answer}
        for case, answer in zip(self.cases, answers, strict=True):
            known = not answer or any(re.search(pattern, answer) for pattern in target.refusals)
            assert known, f"{target.name} refuses {case.op} of {case.streams}: {answer}"
            assert refused or case.op.kind in carried, f"{target.name} carries no case of {case.op.kind}: {answer}"
        assert not (refused and carried), f"{target.name} carries cases of {', '.join(carried)}, so it refuses not all"

    def _program(self) -> str:
        headers = sorted({KERNELS.unit(rung.op, rung.ports, rung.fold).header for rung in self.rungs})
        parts = ["#include <hls_stream.h>"]
        parts += [f'#include "muxflow/{header}"' for header in headers]
        for number, rung in enumerate(self.rungs):
            kernel = KERNELS.unit(rung.op, rung.ports, rung.fold)
            frames = max((len(values) for values in rung.inputs), default=2)
            lines = [f"static void rung{number}(std::FILE* in, std::FILE* out) {{", f"  // {rung.op.kind} {rung.fold}"]
            names = []
            for letter, streams in (("x", rung.ports.inputs), ("y", rung.ports.outputs)):
                for i, s in enumerate(streams):
                    lines.append(f"  typedef muxflow::{beat_type(s)} {letter}{i}_t;")
                    port = chr(ord("a" if letter == "x" else "A") + i)
                    lines.append(f"  hls::stream<{letter}{i}_t> {letter}{i}(\"rung {number}: {letter}{i}\", '{port}');")
                    names.append(f"{letter}{i}")
            if rung.op.loaded:
                parts += [*lines, *self._loaded(rung, kernel.tables[0]), "}"]
                continue
            for table in kernel.tables:
                assert table.lo <= int(table.values.min()) and int(table.values.max()) <= table.hi
                lines.append(table_definition(table.name, table))
            types = [f"muxflow::{table_type(table)}" for table in kernel.tables]
            template = template_arguments(kernel, lambda _, block=number % 2 == 1: block, types)
            arguments = ", ".join([table.name for table in kernel.tables] + names)
            lines.append(f"  for (int frame = 0; frame < {frames}; frame += MUXFLOW_IMAGES) {{")
            lines += [f"    x{i}.load(in, {s.beats});" for i, s in enumerate(rung.ports.inputs)]
            lines.append("    ladder_events.clear();")
            lines.append(f"    muxflow::{kernel.function}<{template}>({arguments});")
            lines += [f"    x{i}.expect_empty();" for i in range(len(rung.ports.inputs))]
            lines.append("    const long long events = ladder_events.size();")
            lines.append("    std::fwrite(&events, 8, 1, out);")
            lines.append("    std::fwrite(ladder_events.data(), 1, events, out);")
            lines += [f"    y{i}.dump(out);" for i in range(len(rung.ports.outputs))]
            lines += ["  }", "}"]
            parts += lines
        return "\n".join(parts) + MAIN % "\n".join(f"  rung{number}(in, out);" for number in range(len(self.rungs)))

    @staticmethod
    def _loaded(rung: Rung, table: Table) -> list[str]:
        """Runs a source that is loaded: first other contents, then its own, which come to their end before a frame begins."""
        kernel, (y,) = KERNELS.unit(rung.op, rung.ports, rung.fold), rung.ports.outputs
        codes = Ladder.source_order(rung, rung.outputs[0][0])[: y.size]
        own = load_words(codes, y)
        words = [*load_words([y.lo if code != y.lo else y.hi for code in codes], y), 0, *own, 0]
        checksum = 0
        for word in own:
            checksum = (checksum << 1 | checksum >> 63) & (1 << 64) - 1 ^ word
        ((_, repeats),) = kernel.arguments
        return [
            f"  typedef {loaded_type(table, 'lutram', f'muxflow::{beat_type(y)}')} table_t;",
            f"  typedef muxflow::LoadedReader<{repeats}, 0, true, table_t> reader_t;",
            "  static table_t::Data weights;",
            "  static reader_t::State state;",
            "  hls::stream<muxflow::LoadBeat> load(\"load\", '0'), loaded(\"loaded\", '1');",
            "  hls::stream<y0_t> x(\"x\", '2');",
            "  x.write(y0_t());",
            f"  static const unsigned long long words[] = {{{', '.join(f'{word}ULL' for word in words)}}};",
            f"  for (int i = 0; i < {len(words)}; ++i) load.write(muxflow::LoadPort<muxflow::LoadBeat>::of(words[i]));",
            "  for (int frame = 0; frame < 2; frame += MUXFLOW_IMAGES) {",
            "    reader_t reader(weights, state);",
            "    reader.begin(x, load, loaded);",
            "    if (frame == 0) {",
            "      loaded.read();",
            f"      if ((unsigned long long)loaded.read().get(0) != {checksum}ULL) std::exit(5);",
            "    }",
            "    loaded.expect_empty();",
            "    ladder_events.clear();",
            "    for (long i = 0; i < reader_t::BEATS; ++i) {",
            "      const reader_t::W w = reader.read();",
            "      y0_t y;",
            "      for (int lane = 0; lane < y0_t::LANES; ++lane) y.set(lane, w.get(lane));",
            "      y0.write(y);",
            "    }",
            "    const long long events = ladder_events.size();",
            "    std::fwrite(&events, 8, 1, out);",
            "    std::fwrite(ladder_events.data(), 1, events, out);",
            "    y0.dump(out);",
            "  }",
        ]

    def _compare(self, variant: str) -> None:
        data = (self.folder / f"out_{variant}").read_bytes()
        position = 0

        def number() -> int:
            nonlocal position
            position += 8
            return int.from_bytes(data[position - 8 : position], "little")

        for rung in self.rungs:
            loop = KERNELS.of(rung.op).access(rung.op, rung.ports, rung.fold)
            lower, upper = "abcdef"[: len(loop.reads)], "ABCDEF"[: len(loop.writes)]
            iterations = _events(loop.reads + loop.writes, lower + upper)
            for images in rung.deal(IMAGES[variant]):
                label = f"{variant}: {rung.op} {rung.fold} frames {images}"
                events = number()
                met = data[position : position + events].decode()
                position += events
                assert events == sum(map(len, iterations)), label
                start = 0
                for iteration in iterations:
                    assert sorted(met[start : start + len(iteration)]) == sorted(iteration), f"{label}: event {start}"
                    start += len(iteration)
                for stream, expected in zip(rung.ports.outputs, rung.outputs, strict=True):
                    beats = number()
                    assert beats == stream.beats, label
                    size = beats * stream.lanes * len(images)
                    values = np.frombuffer(data, "<i8", size, position).reshape(-1, len(images)).T
                    position += 8 * size
                    if rung.inputs:
                        values = rung.op.from_stream_order(rung.ports, rung.fold, stream.in_order(values))
                        met = values.reshape(-1, *stream.shape)
                        np.testing.assert_array_equal(met, expected[images], err_msg=label)
                    else:
                        for row in values:
                            self.check_source(rung, row, expected[0], label)
        assert position == len(data)

    @staticmethod
    def check_source(rung: Rung, values: IntArray, matrix: IntArray, label: str) -> None:
        """Weights: each repeat sends, beat by beat, what the matrix-vector loop asks for."""
        assert values.tolist() == Ladder.source_order(rung, matrix), label

    @staticmethod
    def source_order(rung: Rung, matrix: IntArray) -> list[int]:
        """What the matrix-vector loop asks for in a frame, in plain loops."""
        fold, stream = rung.fold, rung.ports.outputs[0]
        groups = getattr(rung.op, "groups", 1)
        rows, columns = matrix.shape
        group_rows = rows // groups
        return [
            int(matrix[(g * fold.groups + gl) * group_rows + n * fold.pe + p, k * fold.simd + c])
            for _ in range(stream.repeats // fold.pixels)
            for g in range(groups // fold.groups)
            for n in range(group_rows // fold.pe)
            for k in range(columns // fold.simd)
            for c in range(fold.simd)
            for gl in range(fold.groups)
            for p in range(fold.pe)
        ]
