"""The calls of Keras files: files that Keras wrote pass, in every order, and long chains too."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.keras import architecture
from muxflow.frontend.keras.architecture import check_architecture, check_calls
from muxflow.frontend.keras.process import ENVIRONMENT
from muxflow.frontend.keras.v3.hgq_folder import keras_v3_environment

KNOWN = frozenset("Add Dense DTypePolicy GlorotUniform InputLayer MultiHeadAttention ReLU Zeros linear".split())
NAMES = ("shared", "nested", "sequences", "several", "keywords")


@pytest.fixture(scope="module", params=["2", "3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of either Keras."""
    folder = tmp_path_factory.mktemp("calls")
    program = [sys.executable, Path(__file__).parent / "keras_call_models.py", folder, request.param]
    environment = os.environ | (ENVIRONMENT if request.param == "2" else keras_v3_environment())
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", NAMES)
def test_files_that_keras_wrote_pass(folder: Path, name: str, suffix: str) -> None:
    check_architecture(folder / f"{name}{suffix}", lambda: KNOWN)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_layers_does_not_matter_and_each_call_does(folder: Path, name: str) -> None:
    for config in architecture._architectures(folder / f"{name}.keras"):
        for part in (config["config"], *(layer["config"] for layer in config["config"]["layers"])):
            if "input_layers" not in part:
                continue
            random.Random(0).shuffle(part["layers"])
            check_calls("net", part)
            (gone,) = random.Random(0).sample([one for one in part["layers"] if one["class_name"] == "InputLayer"], 1)
            part["layers"].remove(gone)
            renamed = json.loads(json.dumps(part).replace(json.dumps(gone["name"]), '"gone"'))
            renamed["layers"].append({**gone, "name": "gone", "class_name": "ReLU", "inbound_nodes": []})
            with pytest.raises(MuxflowError, match="is called on a tensor that no layer before it gives"):
                check_calls("net", renamed)


@pytest.mark.parametrize("backwards", [False, True])
def test_chains_of_any_length(backwards: bool) -> None:
    """Backwards, a search that begins anew with each layer would take hours."""
    layers: list[dict[str, Any]] = [{"class_name": "InputLayer", "name": "0", "inbound_nodes": []}]
    layers += [
        {"class_name": "ReLU", "config": {}, "name": str(one), "inbound_nodes": [[[str(one - 1), 0, 0, {}]]]}
        for one in range(1, 100_000)
    ]
    check_calls("net", {"layers": layers[::-1] if backwards else layers})


@pytest.mark.parametrize(("reads", "waits"), [("one", False), ("start", False), ("other", True)])
def test_an_input_that_is_called(reads: str, waits: bool) -> None:
    layers = [
        {"class_name": "InputLayer", "name": "start", "inbound_nodes": [[[reads, 0, 0, {}]]]},
        {"class_name": "ReLU", "config": {}, "name": "one", "inbound_nodes": [[["start", 0, 0, {}]]]},
        {"class_name": "ReLU", "config": {}, "name": "other", "inbound_nodes": []},
    ]
    if not waits:
        check_calls("net", {"layers": layers})
        return
    with pytest.raises(MuxflowError, match="its layer 'start' is called on a tensor that no layer before it gives"):
        check_calls("net", {"layers": layers})
