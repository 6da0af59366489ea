"""`muxflow csim --images`: a user's own images, codes or floats, with or without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.images import file_images

COUNT = 6


@pytest.fixture(scope="module")
def graph(residual: Graph) -> Graph:
    return residual


def drawn(graph: Graph) -> np.ndarray:
    stream = graph.streams[graph.inputs[0]]
    return np.random.default_rng(3).integers(stream.lo, stream.hi + 1, (COUNT, *stream.shape))


def test_codes_with_labels_give_the_accuracy(workplace: Path, graph: Graph) -> None:
    """The accuracy is the share of images whose label is the answer of the graph, which gives codes."""
    codes = drawn(graph)
    labels = np.asarray(graph(codes)).reshape(COUNT, -1)[:, 0]
    labels[:2] += 1
    np.savez(workplace / "mine.npz", images=codes.astype(np.uint8), labels=labels)
    arguments = ("csim", "project", "--variant", "native", "--images", "mine.npz")
    done = run(*arguments, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert f"66.67 % on mine.npz, 4 of {COUNT} images" in done.stdout
    assert done.stdout.rstrip().endswith("next: muxflow report project")
    few = json.loads(run(*arguments, "--count", "2", "--json", cwd=workplace).stdout)
    assert (few["accuracy"]["correct"], few["accuracy"]["images"]) == (0, 2)
    both = run(*arguments, "--data", "digits", cwd=workplace)
    assert both.returncode == 2 and "both --data digits and --images mine.npz are given" in both.stderr


def test_floats_become_the_nearest_codes(tmp_path: Path, graph: Graph) -> None:
    codes = drawn(graph)
    (name,) = graph.inputs
    stream = graph.streams[name]
    scale = (*stream.scale, 1.0)[0]
    np.save(tmp_path / "x.npy", ((codes + 0.4) * scale).astype(np.float32))
    found = file_images(graph, tmp_path / "x.npy", None)
    assert np.array_equal(found.codes[name], codes) and found.labels is None  # type: ignore[index]
    assert found.dataset == "x.npy, floats rounded to codes"
    np.save(tmp_path / "far.npy", np.full(codes.shape, (stream.hi + 9.0) * scale))
    found = file_images(graph, tmp_path / "far.npy", 1)
    assert (found.codes[name] == stream.hi).all() and len(found.codes[name]) == 1  # type: ignore[index]
    assert found.dataset.endswith("100 % of them clipped")


def test_files_that_do_not_fit_are_named_and_channels_first_is_hinted(tmp_path: Path, graph: Graph) -> None:
    codes = drawn(graph)
    shape = ", ".join(map(str, codes.shape[1:]))
    for arrays, message in [
        ({"images": codes.transpose(0, 3, 1, 2)}, r"is channels first; .* save images.transpose\(0, 2, 3, 1\)"),
        ({"images": codes[:, :-1]}, rf"expected \(N, {shape}\), channels last"),
        ({"images": codes + 1000}, "the input holds"),
        ({"images": codes / 0.0 if codes.all() else np.full(codes.shape, np.nan)}, "NaN or infinity"),
        ({"images": codes, "labels": np.zeros(COUNT - 1, int)}, rf"a class index for each of {COUNT} images"),
        ({"images": codes, "labels": np.zeros((COUNT, 4), int)}, "expected a class index"),
        ({"a": codes, "b": codes}, "holds a, b; expected images, and labels for the accuracy"),
        ({"images": codes.astype(str)}, "expected arrays of numbers"),
        ({"images": np.array([None])}, "cannot be read as arrays of NumPy"),
    ]:
        np.savez(tmp_path / "mine.npz", **arrays)
        with pytest.raises(MuxflowError, match=rf"mine.npz: .*{message}|{message}"):
            file_images(graph, tmp_path / "mine.npz", None)
    with pytest.raises(MuxflowError, match=r"none\.npz: no such file"):
        file_images(graph, tmp_path / "none.npz", None)
    (tmp_path / "text.npz").write_text("not a file of arrays")
    with pytest.raises(MuxflowError, match="cannot be read as arrays of NumPy"):
        file_images(graph, tmp_path / "text.npz", None)


def test_axes_of_one_element_need_not_be_there(tmp_path: Path) -> None:
    pretrained = Path(__file__).parents[3] / "frontend" / "training" / "pretrained"
    graph = muxflow.load(pretrained / "mognet_digits.onnx")
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 8))
    for shape in [(3, 8, 8), (3, 8, 8, 1), (3, 1, 8, 8)]:
        np.save(tmp_path / "grey.npy", grey.reshape(shape).astype(np.uint8))
        found = file_images(graph, tmp_path / "grey.npy", None)
        assert np.array_equal(found.codes[graph.inputs[0]], grey[..., None])  # type: ignore[index]
