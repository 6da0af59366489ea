"""A video picture by picture: windows of the last ones, what is shown and what is said."""

import numpy as np
import pytest
from PIL import Image

import muxflow
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream
from muxflow.demo import run_demo
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.configuration import seeded
from muxflow.frontend.training.zoo_billnet import Billnet, BillnetConfig, randomise
from muxflow.reports.figures.video import plot_video
from muxflow.video import Arrival, check_clips, watch


class Brightest:
    """Stands for an accelerator: the class is the number of the picture with the largest first pixel."""

    def __init__(self):
        self.windows = []

    def classify(self, clips):
        self.windows.append(clips)
        return clips[..., 0, 0, 0].argmax(1)


def test_the_last_pictures_are_classified_as_each_arrives():
    accelerator = Brightest()
    clips = np.zeros((2, 3, 2, 2, 1), np.uint8)
    clips[0, 2], clips[1, 1] = 5, 9
    arrivals = list(watch(accelerator, clips, [1, 0], ("first", "second", "third")))
    assert [arrival.picture for arrival in arrivals] == [1, 2, 3, 4, 5, 6]
    assert [arrival.shown for arrival in arrivals] == ["second"] * 3 + ["first"] * 3
    # Pictures 3 and 5 are bright: where they stand in the windows that end at pictures 3 to 6.
    assert [arrival.label for arrival in arrivals] == ["", "", "third", "second", "third", "second"]
    assert [window.shape for window in accelerator.windows] == [(1, 3, 2, 2, 1)] * 4


def test_a_line_says_picture_and_classes():
    assert Arrival(7, "up", "down").line == "picture   7   shown: down           class: up"
    assert Arrival(12, "", "still").line == "picture  12   shown: still          class: -"


def test_pictures_are_drawn_with_their_classes(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    captions = [f"class {number}" for number in range(20)]
    first, again = (plot_video(pictures, captions, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == again
    assert first.count(b"<image") == 20
    assert b"class 19" in first
    assert plot_video(np.repeat(pictures, 3, -1), captions, tmp_path / "c.png").stat().st_size > 1000


def test_a_caption_covers_no_picture(tmp_path):
    """Where two plots of pictures of another grey differ, there is a picture: whole rectangles, no letters cut out."""
    dark, bright = (
        np.asarray(Image.open(plot_video(pictures, ["rotate right"] * 16, tmp_path / "plot.png")).convert("L"))
        for pictures in (np.full((16, 8, 8, 1), grey, np.uint8) for grey in (100, 200))
    )
    differs = dark != bright
    assert differs.any()
    assert np.array_equal(differs, differs.any(axis=1)[:, None] & differs.any(axis=0))


def test_a_plot_without_a_video_is_refused(tmp_path):
    options = {"board": "pynq-z2", "begin": None}
    with pytest.raises(UsageError, match=r"--plot .*x.png draws a video; add --video"):
        run_demo(tmp_path, plot=tmp_path / "x.png", **options)
    with pytest.raises(UsageError, match="a plot ends in"):
        run_demo(tmp_path, plot=tmp_path / "x.bmp", video=True, **options)
    (tmp_path / "x.png").mkdir()
    with pytest.raises(MuxflowError, match=r"x\.png is a folder; give the name of a file"):
        run_demo(tmp_path, plot=tmp_path / "x.png", video=True, **options)


def test_only_clips_are_played():
    check_clips(Graph("g", (), {"x": Stream((4, 8, 8, 1), 0, 255)}, ("x",), ("x",)))
    with pytest.raises(UsageError, match=r"input has shape \(8, 8, 1\); it needs one of clips"):
        check_clips(Graph("g", (), {"x": Stream((8, 8, 1), 0, 255)}, ("x",), ("x",)))


def test_the_emulator_says_the_class_of_every_window(tmp_path):
    options = dict(
        n=4, multiples=(1,), pools=(True,), group=2, features=6, units=4, classes=3, input_shape=(1, 4, 8, 8)
    )
    model = randomise(seeded(Billnet, BillnetConfig(select="element", **options), 3))
    graph = muxflow.load(export(model, tmp_path / "net.onnx", (1, *model.config.input_shape)))
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 8, 8, 1), np.uint8)
    frames = clips.reshape(12, 8, 8, 1)
    windows = np.stack([frames[end - 4 : end] for end in range(4, 13)]).astype(np.int64)
    expected = ["abc"[number] for number in graph.read_out(graph(windows)).argmax(1)]
    with muxflow.Accelerator.emulate(project.path) as accelerator:
        arrivals = list(watch(accelerator, clips, [0, 1, 2], tuple("abc")))
    assert [arrival.label for arrival in arrivals] == ["", "", "", *expected]
    assert [arrival.shown for arrival in arrivals] == list("aaaabbbbcccc")
