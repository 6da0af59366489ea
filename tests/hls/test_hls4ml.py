"""hls4ml out: its C simulation of our designs equals the graph; what it writes, and errors that say what to do."""

import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

import muxflow
from muxflow.dataflow import packages
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig
from muxflow.frontend.training.zoo_mobilenet import Mobilenet, MobilenetConfig
from muxflow.hls import hls4ml
from muxflow.hls.hls4ml.execution import simulation
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.csim import ap_types
from muxflow.hls.vitis.writing import write_project
from muxflow.proof.compare import compare

# An assertion in compiled code ends the process: the simulation has one of its own.
# Without Keras, which hls4ml would load where it finds it: our models need none, and it takes seconds.
PREDICT = """
import sys
sys.modules.update(keras=None, tensorflow=None)
from pathlib import Path
import numpy as np
from muxflow.hls.hls4ml import convert
from muxflow.hls.vitis.project import load_project

folder, backend = Path(sys.argv[1]), sys.argv[2]
model = convert(load_project(folder).design, folder / "hls4ml", backend=backend)
model.compile()
outputs = model.predict(np.load(folder / "images.npy"))
np.savez(folder / "outputs.npz", *(outputs if isinstance(outputs, list) else [outputs]))
"""


def predict(design, folder, backend, images):
    """Output codes of hls4ml's own write, compile and predict, in the graph's shape; a tuple of several outputs."""
    write_project(design, folder)
    np.save(folder / "images.npy", images.astype(np.float32))
    command = [sys.executable, "-c", PREDICT, str(folder), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    # hls::stream of the simulation complains of beats that nobody reads, and of reads of nothing.
    assert "hls::stream" not in (done.stdout + done.stderr).lower()
    graph = design.graph
    with np.load(folder / "outputs.npz") as saved:
        outputs = [
            saved[f"arr_{number}"].reshape(len(images), *graph.streams[name].shape)
            for number, name in enumerate(graph.outputs)
        ]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def images_of(design, count):
    return random_codes(design.graph.streams[design.graph.inputs[0]], count, np.random.default_rng(0))


@pytest.fixture(scope="module")
def small(make_graph, device):
    """A bipolar input, tables of both forms, and names that hls4ml or the doors of its model use as well."""
    graph = make_graph(Stream((2, 3, 2), -1, 1, bipolar=True), Scale([2, 3]), Threshold([[-2, 2], [0, 3]], [0, 1]))
    nodes = [replace(node, name=name) for node, name in zip(graph.nodes, ("input", "frame"), strict=True)]
    folds = {"input": Fold(1), "frame": Fold(2)}
    return build_design(with_nodes(graph, nodes), folds, KERNELS, device=device, board="pynq-z2", clock_mhz=100)


@pytest.fixture(scope="module")
def written(small, tmp_path_factory):
    """The small design's model, written for Vitis."""
    folder = tmp_path_factory.mktemp("hls4ml") / "p"
    model = hls4ml.convert(small, folder)
    assert not folder.exists()
    model.write()
    return folder


@pytest.mark.parametrize("backend", ["Vitis", "Vivado"])
def test_predict_equals_the_graph(residual, device, tmp_path, backend):
    """Grouped and generated convolutions, a MUX join that holds a frame, pools."""
    design = fit(residual, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    images = images_of(design, 9)
    np.testing.assert_array_equal(predict(design, tmp_path / "p", backend, images), design.graph(images))


def test_accelerator_back_end(small, tmp_path):
    images = images_of(small, 9)
    np.testing.assert_array_equal(predict(small, tmp_path / "p", "VivadoAccelerator", images), small.graph(images))
    firmware = tmp_path / "p" / "hls4ml" / "firmware"
    assert (firmware / "chain_axi.cpp").exists()


def test_random_design(make_random_design, tmp_path):
    """Forks, OR, MUX and add joins, concatenation, under random folds."""
    design = make_random_design(15)
    images = images_of(design, 9)
    np.testing.assert_array_equal(predict(design, tmp_path / "p", "Vivado", images), design.graph(images))


def test_digits_network(tmp_path):
    """The shipped MOGNET, from its QONNX file."""
    model = Path(hls4ml.__file__).parents[2] / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"
    design = muxflow.fit(muxflow.load(model), fps=1000)
    images = images_of(design, 3)
    np.testing.assert_array_equal(predict(design, tmp_path / "p", "Vitis", images), design.graph(images))


def test_an_encoder_of_two_outputs(tmp_path):
    """Bit shifts in place of thresholds, quinary weights, classes and codes."""
    config = EncoderConfig(widths=(4, 8, 8, 8), groups=2, levels=(5,), classes=3, code=16)
    model = export(randomise(seeded(Encoder, config, 2)), tmp_path / "encoder.onnx", (1, *config.input_shape))
    design = muxflow.fit(muxflow.load(model), fps=1000)
    images = images_of(design, 3)
    for met, wanted in zip(predict(design, tmp_path / "p", "Vitis", images), design.graph(images), strict=True):
        np.testing.assert_array_equal(met, wanted)


@pytest.mark.parametrize("banks", ["pointwise", "all"])
def test_hybrid_filter_banks(tmp_path, banks):
    """Two products of one input, joined: of a pointwise layer, with "all" of a window and of a classifier too."""
    config = MobilenetConfig((32, 32), (2, 1), banks=banks, classes=12, input_shape=(2, 8, 8))
    model = export(randomise(seeded(Mobilenet, config, 1)), tmp_path / "bank.onnx", (1, *config.input_shape))
    design = muxflow.fit(muxflow.load(model), fps=20000)
    assert sum(node.op.kind == "Concat" for node in design.graph.nodes) == (3 if banks == "all" else 1)
    images = images_of(design, 3)
    np.testing.assert_array_equal(predict(design, tmp_path / "p", "Vitis", images), design.graph(images))


DOORS = r"""
#include <cstdio>
#include "muxflow/hls4ml/array.h"
#include "nnet_utils/nnet_types.h"

template <int ELEMENTS, int SIZE, int LANES> int round_trip() {
  typedef nnet::array<ap_int<9>, SIZE> Array;
  typedef muxflow::Beat<9, true, LANES> Beat;
  hls::stream<Array> in, out;
  hls::stream<Beat> beats;
  for (int frame = 0; frame < 2; ++frame) {
    for (int i = 0; i < ELEMENTS; i += SIZE) {
      Array array;
      for (int lane = 0; lane < SIZE; ++lane) array[lane] = frame - i - lane;
      in.write(array);
    }
    muxflow::array_to_beats<ELEMENTS>(in, beats);
    if (!in.empty() || int(beats.size()) != ELEMENTS / LANES) return 1;
    hls::stream<Beat> copy;
    for (int i = 0; i < ELEMENTS; i += LANES) {
      const Beat beat = beats.read();
      for (int lane = 0; lane < LANES; ++lane) if (beat.get(lane) != frame - i - lane) return 2;
      copy.write(beat);
    }
    muxflow::beats_to_array<ELEMENTS>(copy, out);
    if (!copy.empty() || int(out.size()) != ELEMENTS / SIZE) return 3;
    for (int i = 0; i < ELEMENTS; i += SIZE) {
      const Array array = out.read();
      for (int lane = 0; lane < SIZE; ++lane) if (array[lane] != frame - i - lane) return 4;
    }
  }
  return 0;
}

int main() {
  const int failed[] = {round_trip<24, 1, 8>(), round_trip<24, 6, 4>(), round_trip<24, 4, 6>(),
                        round_trip<24, 12, 3>(), round_trip<24, 24, 1>(), round_trip<7, 7, 7>()};
  for (int code : failed) if (code) return code;
  return 0;
}
"""


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_doors(tmp_path, include, standard):
    """Arrays to beats and back, where neither size divides the other too, frame after frame."""
    (tmp_path / "doors.cpp").write_text(DOORS)
    vivado = ap_types().parent
    command = ["g++", f"-std={standard}", "-w", f"-I{include}", f"-I{ap_types()}", f"-I{vivado}", "doors.cpp"]
    done = subprocess.run([*command, "-o", "doors"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    assert subprocess.run([tmp_path / "doors"], check=False).returncode == 0


def test_parameters_and_top(written, golden):
    """Tables, functions with their pragmas, calls and FIFO depths, as hls4ml's writer sets them."""
    golden("hls4ml_parameters.h", (written / "firmware" / "parameters.h").read_text())
    golden("hls4ml_top.cpp", (written / "firmware" / "chain.cpp").read_text())


def test_headers_stand_alone(written, include):
    """hls4ml's scripts give the compiler no folder of ours: every include is found from where it stands."""
    headers = sorted(file for file in (written / "firmware" / "muxflow").rglob("*") if file.is_file())
    sources = sorted(file for file in (include / "muxflow").rglob("*") if file.is_file())
    assert [file.name for file in headers] == [file.name for file in sources]
    found = 0
    for header in [*headers, written / "firmware" / "parameters.h"]:
        for include in re.findall(r'#include "(.*(?:hpp|array\.h))"', header.read_text()):
            assert (header.parent / include).is_file(), (header, include)
            found += 1
    assert found > len(headers) // 2


def test_other_models_get_no_headers(tmp_path):
    hls4ml.register()
    from hls4ml.model.graph import ModelGraph
    from hls4ml.utils.config import create_config

    config = create_config(str(tmp_path / "p"), "other", "Vitis", io_type="io_stream")
    config["HLSConfig"] = {"Model": {"Precision": {"default": "fixed<8,4>"}, "ReuseFactor": 1}}
    layers = [
        {"class_name": "InputLayer", "name": "x", "input_shape": [4]},
        {"class_name": "Activation", "name": "y", "activation": "relu", "n_in": 4, "inputs": ["x"]},
    ]
    ModelGraph.from_layer_list(config, layers).write()
    assert (tmp_path / "p" / "firmware" / "other.cpp").exists()
    assert not (tmp_path / "p" / "firmware" / "muxflow").exists()


def test_same_bytes(small, written, tmp_path):
    """All but the stamp that hls4ml draws for each write, and the folder in its configuration."""
    hls4ml.convert(small, tmp_path / "p").write()

    def texts(folder):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        own = re.compile(r"Stamp: .*|LIB_STAMP=.*|OutputDir: .*")
        return {file.relative_to(folder): own.sub("", file.read_text()) for file in files}

    assert texts(written) == texts(tmp_path / "p")


def test_accelerator_board_is_named(small, tmp_path):
    with pytest.raises(MuxflowError, match=r"board 'none'; .* of hls4ml knows .*pynq-z2, zcu102: fit the model to one"):
        hls4ml.convert(replace(small, board="none"), tmp_path, backend="VivadoAccelerator")


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of hls4ml, which leaves its list of boards open
@pytest.mark.parametrize(("name", "backend"), [("d", "VivadoAccelerator"), ("Defines", "Vitis"), ("nnet", "Vitis")])
def test_a_network_is_named_as_hls4ml_s_own_parts(small, tmp_path, name, backend):
    """hls4ml writes "end(" and `defines.h` itself, and takes them for the network's."""
    graph = replace(small.folded.graph, name=name)
    design = replace(small, folded=replace(small.folded, graph=graph))
    folder = hls4ml.write(design, tmp_path / "p", backend=backend)
    assert (folder / "firmware" / f"{name}_top.cpp").is_file()
    images = np.ones((1, *graph.streams[graph.inputs[0]].shape), np.int64)
    with simulation(folder, graph) as execution:
        outcome = compare(graph, [execution], graph.check_codes(images)).outcomes[0]
    assert outcome.images == 1


@pytest.mark.parametrize("name", ["digits", "model", "net", "top", "myproject", "mognet_digits"])
def test_other_names_stay(name):
    from muxflow.hls.hls4ml.conversion import top_function

    assert top_function(name) == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "Quartus"}, r"back end 'Quartus'; supported: 'Vitis', 'Vivado', 'VivadoAccelerator'"),
        ({"project_name": "my net"}, r"project name 'my net'; it becomes a C\+\+ function, for example 'my_net'"),
        ({"project_name": "end"}, r"project name 'end'; it becomes a C\+\+ function, for example 'end_top'"),
    ],
)
def test_bad_options(small, tmp_path, options, message):
    with pytest.raises(MuxflowError, match=message):
        hls4ml.convert(small, tmp_path, **options)


def test_output_beyond_floating_point(make_graph, device, tmp_path):
    def design(factor):
        graph = make_graph(Stream((1, 1, 2), 0, 1), Scale([factor]))
        return build_design(graph, {"n0": Fold(1)}, KERNELS, device=device, board="b", clock_mhz=100)

    hls4ml.convert(design(2**24), tmp_path)
    with pytest.warns(UserWarning, match=r"float32 is exact up to 16777216: call predict\(\) with float64"):
        hls4ml.convert(design(2**24 + 1), tmp_path)
    with pytest.raises(MuxflowError, match=r"exact up to 9007199254740992: use target vitis"):
        hls4ml.convert(design(2**53 + 1), tmp_path)


def test_hls4ml_absent_or_another(monkeypatch, small, tmp_path):
    monkeypatch.setattr(packages, "version", lambda name: "1.2.0")
    with pytest.raises(ToolError, match=r"hls4ml 1\.2\.0 is installed; supported: 1\.3\.\*: .* -m pip install"):
        hls4ml.convert(small, tmp_path)

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "version", absent)
    with pytest.raises(ToolError, match=r"hls4ml is not installed: .* -m pip install 'hls4ml==1\.3\.\*'"):
        hls4ml.register()
