"""A video frame by frame: windows of the last frames, what is shown and what is said."""

import numpy as np
import pytest

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream
from muxflow.video import Arrival, check_clips, watch


class Brightest:
    """Stands for an accelerator: the class is the number of the frame with the largest first pixel."""

    def __init__(self):
        self.windows = []

    def classify(self, clips):
        self.windows.append(clips)
        return clips[..., 0, 0, 0].argmax(1)


def test_the_last_frames_are_classified_as_each_arrives():
    accelerator = Brightest()
    clips = np.zeros((2, 3, 2, 2, 1), np.uint8)
    clips[0, 2], clips[1, 1] = 5, 9
    arrivals = list(watch(accelerator, clips, [1, 0], ("first", "second", "third")))
    assert [arrival.frame for arrival in arrivals] == [1, 2, 3, 4, 5, 6]
    assert [arrival.shown for arrival in arrivals] == ["second"] * 3 + ["first"] * 3
    # Frames 3 and 5 are bright: where they stand in the windows that end at frames 3 to 6.
    assert [arrival.label for arrival in arrivals] == ["", "", "third", "second", "third", "second"]
    assert [window.shape for window in accelerator.windows] == [(1, 3, 2, 2, 1)] * 4


def test_a_line_says_frame_and_classes():
    assert Arrival(7, "up", "down").line == "frame   7   shown: down           class: up"
    assert Arrival(12, "", "still").line == "frame  12   shown: still          class: -"


def test_only_clips_are_played():
    check_clips(Graph("g", (), {"x": Stream((4, 8, 8, 1), 0, 255)}, ("x",), ("x",)))
    with pytest.raises(UsageError, match=r"input has shape \(8, 8, 1\); it needs one of clips"):
        check_clips(Graph("g", (), {"x": Stream((8, 8, 1), 0, 255)}, ("x",), ("x",)))
