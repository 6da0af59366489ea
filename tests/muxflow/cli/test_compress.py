"""`muxflow compress` and `muxflow decompress`: a picture there and back, and what is refused in one line."""

import json

import numpy as np
import pytest
from command_line import run
from PIL import Image

from muxflow.compression.container import Compressed, pack
from muxflow.compression.images import read_image
from muxflow.frontend.training.datasets.pictures import load_photographs

RNG = np.random.default_rng(0)


def test_there_and_back(tmp_path):
    Image.fromarray(load_photographs("test")[2].pixels()[100:170, 100:140]).save(tmp_path / "a.png")
    done = run("compress", "a.png", "-o", "a.mfx", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    assert (entry["width"], entry["height"], entry["planes"]) == (40, 70, 3)
    assert entry["bytes"] == (tmp_path / "a.mfx").stat().st_size == 32 + 32 * (6 + 2 + 2)
    told = run("compress", "a.png", "-o", "a.mfx", cwd=tmp_path).stdout
    assert "muxflow decompress a.mfx -o a_decoded.png" in told  # a.png may be the picture itself
    done = run("decompress", "a.mfx", "-o", "b.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "b.png: 40 x 70 pixels" in done.stdout
    assert read_image(tmp_path / "b.png").shape == (70, 40, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("compress", "clear.png", "-o", "x.mfx"), 3, "transparent pixels"),
        (("compress", "a.png", "-o", "."), 1, "is a folder"),
        (("compress", "a.png", "-o", "./a.png"), 1, "is what the command reads"),
        (("compress", "a.png", "-o", "x.mfx", "--project", "absent"), 1, "absent"),
        (("decompress", "a.png", "-o", "x.png"), 1, "no picture that `muxflow compress` wrote"),
        (("decompress", "other.mfx", "-o", "x.png"), 1, "compressed by the model"),
        (("decompress", "other.mfx", "-o", "x.jpg"), 2, "written as"),
        (("decompress", "colours.mfx", "-o", "x.pgm"), 2, "holds grey values"),
        (("decompress", "a.png", "-o", "a.png"), 1, "is what the command reads"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, code, message):
    pixels = RNG.integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([pixels] * 4), "RGBA").save(tmp_path / "clear.png")
    codes = (np.zeros((2, 2, 64), np.uint8),)
    for name, planes in (("other", codes), ("colours", codes * 3)):
        (tmp_path / f"{name}.mfx").write_bytes(pack(Compressed(32, 32, b"nobody's", planes)))
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    error = done.stderr.strip().splitlines()
    assert message in error[-1] and error[-1].startswith("error: ")
    assert not list(tmp_path.glob("x.*")) and not done.stdout
