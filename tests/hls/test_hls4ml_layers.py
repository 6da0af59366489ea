"""Our layers for hls4ml, each alone: their C++ between hls4ml's arrays equals their integer semantics."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.fit.implementation import Limits
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes, width
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.hls4ml.cpp import LayerText
from muxflow.hls.hls4ml.layers import NATIVE_FLAGS
from muxflow.hls.hls4ml.plan import IntegerLayer, Port
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.csim import ap_types

FRAMES = 3


def layer_of(name: str, inputs: Mapping[str, Stream], *nodes: Node, fractions: tuple[int, ...] = ()) -> IntegerLayer:
    """A layer whose arrays have those bits after the point, the output's last; 2 each when absent."""
    streams = dict(inputs)
    for node in nodes:
        streams.update(zip(node.outputs, node.op.infer(*(streams[one] for one in node.inputs)), strict=True))
    output = nodes[-1].outputs[0] if nodes else "y"
    ends = [*inputs, output]
    streams.setdefault(output, inputs[ends[0]])
    fractions = fractions or (2,) * len(ends)
    ports = {end: Port(streams[end], fraction) for end, fraction in zip(ends, fractions, strict=True)}
    graph = Graph(name, (), dict(inputs), tuple(inputs), (output,) if nodes else tuple(inputs))
    return IntegerLayer(name, with_nodes(graph, nodes, "forked"), output, ports)


def single(name: str, op: Op, *inputs: Stream, fractions: tuple[int, ...] = ()) -> IntegerLayer:
    names = [f"x{index}" for index in range(len(inputs))]
    node = Node("n", op, tuple(names), ("y",))
    return layer_of(name, dict(zip(names, inputs, strict=True)), node, fractions=fractions)


def convolution(name: str, x: Stream, rows: int, source: Op | None = None, **window: object) -> IntegerLayer:
    slide = SlidingWindow(**window)
    height, columns = slide.output_size(*x.shape[:2])
    taps = slide.kernel[0] * slide.kernel[1]
    shape = (rows, taps * x.channels // slide.groups)
    weights = np.random.default_rng(rows).integers(-1, 2, shape)
    source = source or RomWeights(weights, slide.groups, height * columns)
    return layer_of(
        name,
        {"x": x},
        Node("window", slide, ("x",), ("patches",)),
        Node("source", source, (), ("weights",)),
        Node("matrix", MatrixVector(slide.groups, taps), ("patches", "weights"), ("y",)),
    )


def mux(name: str, statistic: str, x: Stream, f: Stream) -> IntegerLayer:
    meeting = min(x.channels, f.channels)
    thresholds = np.arange(meeting) * x.hi * (x.pixels if statistic == "sum" else 1) // meeting
    return layer_of(
        name,
        {"x": x, "f": f},
        Node("fork", Fork(2), ("x",), ("xa", "xb")),
        Node("select", ChannelSelect(statistic, thresholds), ("xa",), ("s",)),
        Node("join", MuxJoin("stream"), ("xb", "f", "s"), ("y",)),
    )


CODES, WIDE, SIGNED = Stream((3, 5, 6), 0, 7), Stream((3, 5, 9), 0, 7), Stream((3, 5, 6), -9, 5)
STEPS = np.sort(np.random.default_rng(0).integers(-9, 6, (6, 3)), axis=1)
GENERATED = AutomatonWeights(8, 6, ring=24, repeats=15)
LAYERS = [
    single("thresholds", Threshold(STEPS, [0, 1, 0, 1, 0, 0]), SIGNED, fractions=(5, 3)),
    single("rising_everywhere", Threshold(STEPS[:1], [0], -2), SIGNED, fractions=(0, -1)),
    convolution("groups", CODES, 9, kernel=(3, 3), pads=(1, 1, 1, 1), groups=3),
    convolution("depthwise_multiplier", CODES, 12, kernel=(3, 3), groups=6, stride=(2, 2), pads=(1, 1, 1, 1)),
    convolution("odd_window", CODES, 4, kernel=(2, 3), groups=2, stride=(1, 2), pads=(0, 2, 1, 0)),
    convolution("dilated", Stream((7, 6, 4), -3, 3), 4, kernel=(2, 2), groups=2, dilation=(3, 2)),
    convolution("pointwise_groups", CODES, 4, kernel=(1, 1), groups=2, stride=(2, 3)),
    convolution("generated", CODES, 8, GENERATED, kernel=(1, 1)),
    mux("mux_channel", "max", CODES, WIDE),
    mux("mux_channel_mean", "sum", WIDE, CODES),
    single("mux_element", MuxJoin("element", np.arange(6)), CODES, WIDE),
    single("mux_always", MuxJoin("always"), CODES, CODES),
    single("or", OrJoin(), WIDE, CODES),
    single("add", AddJoin(), SIGNED, CODES),
    single("concat", Concat(), SIGNED, CODES),
    single("sum_pool", Pool((3, 5), "sum"), SIGNED),
    single("odd_pool", Pool((2, 2), "max"), SIGNED),
    single("scale", Scale([1, -2, 3, 4, 5, 6]), SIGNED, fractions=(3, 40)),
    single("wide_sums", ShiftClip([2**40, 0, 1, 2, 3, -(2**41)], 0, -(2**45), 2**45), SIGNED, fractions=(0, 30)),
    layer_of("pass", {"x": Stream((2, 3, 4), -1, 1, bipolar=True)}, fractions=(1, 1)),
]


def kind(port: Port, spare: int) -> str:
    """hls4ml's array type of a port, with spare bits on both sides of the code."""
    bits, signed = width(port.stream.lo, port.stream.hi)
    total = bits + 2 * spare
    return f"nnet::array<ap_{'' if signed else 'u'}fixed<{total}, {total - spare - port.fraction}>, {port.shape[-1]}>"


def case(number: int, layer: IntegerLayer, reuse: int) -> str:
    """The layer's text, its arrays' types, and a function that runs it on constants and says whether all is well."""
    generator = np.random.default_rng(number)
    codes = [random_codes(layer.ports[name].stream, FRAMES, generator) for name in layer.inputs]
    arrays = [*codes, layer.compute(*codes)]
    ports = [layer.ports[name] for name in (*layer.inputs, layer.output)]
    text = LayerText(layer, reuse, "vitis_hls")
    types = [f"type{number}_{index}" for index in range(len(ports))]
    lines = [f'#include "{header}"' for header in text.headers]
    for index, (port, array) in enumerate(zip(ports, arrays, strict=True)):
        lines.append(f"typedef {kind(port, 2 if index < len(codes) else 0)} {types[index]};")
        lines.append(f"static const long long data{number}_{index}[] = {{{', '.join(map(str, array.ravel()))}}};")
    lines.append(text.definition([f"::{name}" for name in types[:-1]], f"::{types[-1]}"))
    lines.append(f"static bool run{number}() {{")
    for index, name in enumerate(types):
        lines.append(f"  hls::stream<{name}> s{index};")
    for index, port in enumerate(ports[:-1]):
        lines.append(f"  send<{port.fraction}>(data{number}_{index}, {codes[index].size}, s{index});")
    streams = ", ".join(f"s{index}" for index in range(len(ports)))
    lines.append(f"  for (int frame = 0; frame < {FRAMES}; ++frame) muxflow_layers::{text.function}({streams});")
    lines.append(f"  return same<{ports[-1].fraction}>(data{number}_{len(codes)}, {arrays[-1].size}, s{len(codes)})")
    lines += ["".join(f" && s{index}.empty()" for index in range(len(codes))) + ";", "}"]
    return "\n".join(lines)


COMMON = """
#include "muxflow/stream.hpp"
#include <cstdio>
#include <ap_fixed.h>
#include "nnet_utils/nnet_types.h"
template <int FRACTION, class A> void send(const long long* codes, int count, hls::stream<A>& stream) {
  for (int i = 0; i < count; i += A::size) {
    A array;
    for (int lane = 0; lane < int(A::size); ++lane) {
      ap_fixed<64, 64 - FRACTION> value;
      value.range(63, 0) = codes[i + lane];
      array[lane] = value;
    }
    stream.write(array);
  }
}
template <int FRACTION, class A> bool same(const long long* codes, int count, hls::stream<A>& stream) {
  if (int(stream.size()) != count / int(A::size)) return false;
  for (int i = 0; i < count; i += A::size) {
    const A array = stream.read();
    for (int lane = 0; lane < int(A::size); ++lane) {
      ap_fixed<64, 64 - FRACTION> value;
      value.range(63, 0) = codes[i + lane];
      if (array[lane] != value) return false;
    }
  }
  return true;
}
"""


@pytest.fixture(scope="module", params=["-O0", f"-O3 {NATIVE_FLAGS}"], ids=["ap_int", "native"])
def failures(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, include: Path
) -> dict[str, bool]:
    """Whether each layer differs: all of them in one program, under three reuse factors in turn."""
    folder: Path = tmp_path_factory.mktemp("layers")
    cases = [case(number, layer, (1, 7, 10**6)[number % 3]) for number, layer in enumerate(LAYERS)]
    calls = "\n".join(f'  std::printf("{layer.name} %d\\n", run{i}());' for i, layer in enumerate(LAYERS))
    (folder / "layers.cpp").write_text(COMMON + "\n".join(cases) + f"\nint main() {{\n{calls}\n}}\n")
    includes = [f"-I{path}" for path in (include, ap_types(), ap_types().parent)]
    command = ["g++", "-std=c++14", "-w", *request.param.split(), *includes, "layers.cpp", "-o", "layers"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    done = subprocess.run([folder / "layers"], capture_output=True, text=True, check=True)
    assert "hls::stream" not in done.stdout + done.stderr
    return {name: passed == "0" for name, passed in (line.split() for line in done.stdout.splitlines())}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layer_alone(layer: IntegerLayer, failures: dict[str, bool]) -> None:
    assert failures[layer.name] is False


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_text_is_read_back(layer: IntegerLayer) -> None:
    again = IntegerLayer.from_json(layer.to_json())
    assert again.to_json() == layer.to_json()
    codes = [random_codes(layer.ports[name].stream, 2, np.random.default_rng(0)) for name in layer.inputs]
    np.testing.assert_array_equal(again.compute(*codes), layer.compute(*codes))


def test_reuse_factor_chooses_the_fold() -> None:
    """The cheapest fold that keeps to the factor: 9 rows of 18 columns in 3 groups are 54 products a group."""
    layer = next(layer for layer in LAYERS if layer.name == "groups")
    cycles = {}
    for reuse in (1, 9, 27, 54, 162):
        folded = LayerText(layer, reuse, "vitis_hls").folded
        cycles[reuse] = folded.cycles(folded.graph.nodes[-1]) / 15
    assert cycles[1] == 1  # all window positions of all groups at once
    assert all(cycles[reuse] <= reuse for reuse in (9, 27, 54, 162))
    assert cycles[162] > cycles[54] > cycles[27]


def test_frame_wait_is_buffered() -> None:
    """x waits inside for the select bits, which come once it has passed: a frame of FIFO, in hardware too."""
    layer = next(layer for layer in LAYERS if layer.name == "mux_channel")
    text = LayerText(layer, 10**6, "vitis_hls").definition(["::a", "::b"], "::c")
    assert "#pragma HLS stream variable=xb depth=92" in text  # 3 x 5 x 6 elements, one lane, and a handshake
    assert "#pragma HLS stream variable=xa depth=2" in text


def test_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(KERNELS), "limits", Limits(stream_bits=4096, unrolled=0))
    layer = single("huge", Threshold(np.arange(50)[None], [0]), Stream((1, 1, 1), 0, 50))
    with pytest.raises(MuxflowError, match=r"layer huge: no fold of it fits the vendor tools' limits"):
        LayerText(layer, 1, "vitis_hls")


def test_nodes_must_fit() -> None:
    with pytest.raises(GraphError):
        single("bad", OrJoin(), SIGNED, CODES)
