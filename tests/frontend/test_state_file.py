"""Files of trained networks, their decoders and checkpoints as hostile input: one message that names the file."""

import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.frontend.brevitas.export import read_metadata
from muxflow.frontend.training.frame_decoder import DecoderConfig, FrameDecoder, decoder_bytes, load_decoder
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.stages import Stage, read_checkpoint, run_stages
from muxflow.frontend.training.state_file import read_state, write_state
from muxflow.frontend.training.trained import export_trained, load_trained

NAME, TENSOR = "ern_mnist", "stages.0.act.0.bias"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A trained network's files, `net.pt` and `net.json`, by their name without a suffix."""
    for suffix in (".pt", ".json"):
        shutil.copyfile(PRETRAINED / f"{NAME}{suffix}", tmp_path / f"net{suffix}")
    return tmp_path / "net"


def no_number(tensor: Tensor) -> Tensor:
    return tensor * float("nan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_number, f"{TENSOR} holds numbers that are not finite"),
        (torch.Tensor.half, f"{TENSOR} is torch.float16"),
        (torch.Tensor.bool, f"{TENSOR} is torch.bool"),
        (lambda t: t[:-1], rf"{TENSOR} is torch.float32 of shape \(31,\); expected torch.float32 of shape \(32,\)"),
        (torch.Tensor.to_sparse, "holds no plain tensor"),
        (lambda t: t.to("meta"), "holds no plain tensor"),
        (lambda _: "x", "holds no plain tensor"),
        (lambda _: torch.zeros(1).expand(1 << 20, 1 << 20), r"\(MOST_ELEMENTS\)"),
    ],
)
def test_tensors_that_a_network_does_not_have(trained: Path, change: Callable[[Tensor], Any], message: str) -> None:
    state = read_state(trained.with_suffix(".pt"))
    write_state(trained.with_suffix(".pt"), {**state, TENSOR: change(state[TENSOR])})
    with pytest.raises(MuxflowError, match=rf"net\.pt: does not fit .*net\.json \(.*{message}"):
        load_trained(trained)


def test_a_file_that_holds_code_is_refused_without_advice_to_run_it(tmp_path: Path) -> None:
    torch.save({"recipe": Path}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"^it holds more than plain values and tensors, or is damaged$"):
        read_state(tmp_path / "state.pt")


def test_tensors_that_are_not_there_or_too_many(trained: Path) -> None:
    state = read_state(trained.with_suffix(".pt"))
    write_state(trained.with_suffix(".pt"), {name: value for name, value in state.items() if name != TENSOR})
    with pytest.raises(MuxflowError, match=rf"{TENSOR} is absent; expected torch\.float32"):
        load_trained(trained)
    write_state(trained.with_suffix(".pt"), {**state, "a\x1b[2J\nb": torch.zeros(1)})
    with pytest.raises(MuxflowError, match="Unexpected key") as caught:
        load_trained(trained)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("blocks", [60_000, 1]), ("widths", [60_000, 60_000]), ("stem_width", 1 << 16), ("classes", 60_000)],
)
def test_a_network_of_more_weights_than_the_file_holds_is_not_built(trained: Path, field: str, value: Any) -> None:
    report = json.loads(trained.with_suffix(".json").read_text())
    assert field in report["network"]
    report["network"][field] = value
    trained.with_suffix(".json").write_text(json.dumps(report))
    with pytest.raises(MuxflowError, match=r"does not fit .*(more parameters than the|allocate|Storage size|overflow)"):
        load_trained(trained)


@pytest.mark.parametrize("size", [10**5, 10**30, 0, -1, 28.0, True, "28", None])
def test_an_input_that_no_tensor_of_the_file_tells(trained: Path, size: Any) -> None:
    """It would be traced."""
    report = json.loads(trained.with_suffix(".json").read_text())
    report["network"]["input_shape"][1] = size
    trained.with_suffix(".json").write_text(json.dumps(report))
    with pytest.raises(MuxflowError, match=r"net\.pt: does not fit .*net\.json"):
        load_trained(trained)


@pytest.mark.parametrize("field", ["bits", "stem", "blocks", "bottleneck"])
def test_truth_values_are_no_numbers(trained: Path, field: str) -> None:
    report = json.loads(trained.with_suffix(".json").read_text())
    report["network"][field] = [True] if isinstance(report["network"][field], list) else True
    trained.with_suffix(".json").write_text(json.dumps(report))
    with pytest.raises(
        MuxflowError,
        match=r"net\.pt: does not fit" if field == "bottleneck" else "give (a|a tuple, each a) whole number",
    ):
        load_trained(trained)


def test_facts_that_no_file_can_hold(trained: Path) -> None:
    report = json.loads(trained.with_suffix(".json").read_text())
    trained.with_suffix(".json").write_text(json.dumps({**report, "split": "\ud800\x1b[2J"}))
    path = export_trained(trained, trained.with_suffix(".onnx"))
    assert read_metadata(path)["split"] == "??[2J"


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", "{", '{"network": {"widths": 1}}', '{"preset": "\\u001b[2J"}'])
def test_settings_that_make_no_sense(trained: Path, text: str) -> None:
    trained.with_suffix(".json").write_text(text)
    with pytest.raises(MuxflowError, match=r"net\.pt: does not fit .*net\.json"):
        load_trained(trained)


def test_a_damaged_byte_is_noticed(trained: Path) -> None:
    """PyTorch itself reads other weights then."""
    data = bytearray(trained.with_suffix(".pt").read_bytes())
    data[len(data) // 2] ^= 0x40
    trained.with_suffix(".pt").write_bytes(data)
    torch.load(trained.with_suffix(".pt"), weights_only=True)
    with pytest.raises(MuxflowError, match=r"the checksum of .* does not fit"):
        load_trained(trained)


def test_a_file_that_would_fill_the_memory(trained: Path) -> None:
    path = trained.with_suffix(".pt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0000", bytes(1 << 20))
        archive.infolist()[-1].file_size = MOST_BYTES  # as if of that many zeros, which would take a while to write
    with pytest.raises(MuxflowError, match="MOST_BYTES"):
        load_trained(trained)


SMALL = DecoderConfig(8, 8, 8, (4, 4), (1, 0))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden": 60_000}, "more parameters than the"),
        ({"blocks": (60_000, 0)}, "more parameters than the"),
        ({"hidden": 10**7}, "use 1 to 65,536"),
        ({"hidden": 2**70}, "a whole number of 64 bits"),
        ({"widths": "x"}, "widths is 'x'; give a tuple of 2"),
        ({"more": 1}, "TypeError"),
    ],
)
def test_decoders_of_other_sizes(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.decoder"
    path.write_bytes(decoder_bytes(FrameDecoder(SMALL)))
    assert load_decoder(path).config == SMALL
    stored = read_state(path)
    write_state(path, {**stored, "config": {**stored["config"], **config}})
    with pytest.raises(MuxflowError, match=rf"net\.decoder: cannot be read \(.*({message})"):
        load_decoder(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stage": 1}, "stage 1; expected a whole number from 0 to 0"),
        ({"step": 501}, "step 501; expected a whole number from 1 to 500"),
        ({"step": "x"}, "step 'x'; expected"),
        ({"step": 7.5}, r"step 7\.5; expected"),
        ({"model": {}}, "weight is absent"),
        (
            {"model": {"weight": torch.ones(1, 2, dtype=torch.float64), "bias": torch.ones(1)}},
            "weight is torch.float64",
        ),
        ({"model": {"weight": torch.full((1, 2), math.nan), "bias": torch.ones(1)}}, "weight holds .* not finite"),
        ({"optimizer": {}}, ""),
        ({"exp_avg": torch.ones(7)}, "averages of another shape"),
        ({"exp_avg": torch.ones(1, 2, dtype=torch.float64)}, "averages of another shape or type"),
        ({"exp_avg": torch.full((1, 2), math.inf)}, "exp_avg holds numbers that are not finite"),
        ({"exp_avg_sq": -torch.ones(1, 2)}, "an average of squares below 0"),
        ({"max_exp_avg_sq": torch.ones(1, 2)}, "averages of parameter 0; expected exp_avg, exp_avg_sq, step"),
        ({"step_of_adam": torch.tensor(-5.0)}, "-5 steps of the optimizer; expected a whole number from 1 to 500"),
        ({"step_of_adam": torch.tensor(501.0)}, "501 steps of the optimizer"),
        ({"step_of_adam": torch.tensor(7.5)}, "7.5 steps of the optimizer"),
        ({"step_of_adam": 500.0}, "holds no plain tensor"),
    ],
)
def test_checkpoints_of_stages_that_make_no_sense(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    stage = Stage("one", 500, 0.1, (model,), lambda _, __: model(torch.ones(1, 2)).square().mean())
    path = tmp_path / "checkpoint.pt"
    run_stages(model, [stage], path, "recipe", 0)
    state = read_state(path)
    for name, value in changed.items():
        part = state if name in state else state["optimizer"]["state"][0]
        part["step" if name == "step_of_adam" else name] = value
    write_state(path, state)
    with pytest.raises(MuxflowError, match=rf"checkpoint .*checkpoint\.pt is unreadable \(.*{message}.*; delete it"):
        run_stages(model, [stage], path, "recipe", 0)


def test_a_checkpoint_has_no_word_in_the_recipe(tmp_path: Path) -> None:
    """Rates, factors and settings of the optimizer are the recipe's, whatever those in the file are."""

    def trained(path: Path, edit: dict[str, Any]) -> Tensor:
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        stage = Stage("one", 510, 0.1, (model,), lambda _, __: model(torch.ones(1, 2)).square().mean())
        if edit:
            state = read_state(path)
            state["optimizer"]["param_groups"][0] |= edit
            write_state(path, state)
        run_stages(model, [stage], path, "recipe", 0)
        return model.weight.detach()

    path = tmp_path / "checkpoint.pt"
    expected = trained(path, {})
    for edit in (
        {"factor": 0.0},
        {"betas": (0.9, 2.0)},
        {"maximize": True},
        {"lr": 1e9, "eps": -1.0},
        {"amsgrad": True},
    ):
        assert torch.equal(trained(path, edit), expected), edit
    state = read_state(path)
    del state["optimizer"]["param_groups"]
    write_state(path, state)
    assert torch.equal(trained(path, {}), expected)


def test_a_checkpoint_that_is_a_pipe(tmp_path: Path) -> None:

    os.mkfifo(tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="it is no file"):
        read_state(tmp_path / "checkpoint.pt")


def test_a_recipe_that_is_no_text(tmp_path: Path) -> None:
    recipe: list[Any] = []
    for _ in range(64):  # in a message it would have 2^64 brackets
        recipe = [recipe, recipe]
    write_state(tmp_path / "checkpoint.pt", {"recipe": recipe})
    with pytest.raises(MuxflowError, match=r"is unreadable .*no text"):
        read_checkpoint(tmp_path / "checkpoint.pt", "recipe")
