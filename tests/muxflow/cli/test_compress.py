"""`muxflow compress` and `muxflow decompress`: a picture there and back, and what is refused in one line."""

import json
import subprocess
import sys

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


def test_through_a_pipe_goes_only_the_file(tmp_path):
    """What else a command says goes to standard error where `-o` is standard output."""
    Image.fromarray(RNG.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / "a.png")
    done = run("compress", "a.png", "-o", "a.mfx", cwd=tmp_path)
    assert done.returncode == 0 and "a.mfx: 32 x 32 pixels" in done.stdout
    for more in ((), ("--json",)):
        command = [sys.executable, "-m", "muxflow", "compress", "a.png", "-o", "/dev/stdout", *more]
        piped = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        assert piped.stdout == (tmp_path / "a.mfx").read_bytes()
        assert b"/dev/stdout: 32 x 32 pixels" in piped.stderr or json.loads(piped.stderr)["planes"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("compress", "clear.png", "-o", "x.mfx"), 3, "transparent pixels"),
        (("compress", "a.webp", "-o", "x.mfx"), 3, "a.webp: a WebP image; supported: PNG, JPEG, BMP, PPM; convert it"),
        (("compress", "absent.png", "-o", "x.mfx"), 1, "absent.png: no such file; give an image"),
        (("compress", ".", "-o", "x.mfx"), 1, ".: a folder; give an image"),
        (("compress", "a.png", "-o", "."), 1, "is a folder"),
        (("compress", "a.png", "-o", "./a.png"), 1, "is what the command reads"),
        (("compress", "a.png", "-o", "x.mfx", "--project", "absent"), 1, "absent"),
        (("compress", "a.png", "-o", "p/top.cpp", "--project", "p"), 1, "is what the command reads"),
        (("decompress", "a.png", "-o", "x.png"), 1, "no picture that `muxflow compress` wrote"),
        (("decompress", "other.mfx", "-o", "x.png"), 1, "other.mfx: compressed by the models"),
        (("decompress", ".", "-o", "x.png"), 1, ".: a folder; give one that `muxflow compress` wrote"),
        (("decompress", "absent.mfx", "-o", "x.png"), 1, "absent.mfx: no such file; give one that"),
        (("decompress", "huge.mfx", "-o", "x.png"), 1, "(MOST_PIXELS): its header is damaged"),
        (("decompress", "cut.mfx", "-o", "x.png"), 1, "32 x 32 pixels in 1 plane take 32: it is truncated, or"),
        (("decompress", "other.mfx", "-o", "x.jpg"), 2, "written as"),
        (("decompress", "colours.mfx", "-o", "x.pgm"), 2, "holds grey values"),
        (("decompress", "a.png", "-o", "a.png"), 1, "is what the command reads"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, code, message):
    pixels = RNG.integers(0, 256, (32, 32), np.uint8)
    for name in ("a.png", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name)
    Image.fromarray(np.dstack([pixels] * 4), "RGBA").save(tmp_path / "clear.png")
    codes = (np.zeros((2, 2, 64), np.uint8),)
    for name, planes in (("other", codes), ("colours", codes * 3)):
        (tmp_path / f"{name}.mfx").write_bytes(pack(Compressed(32, 32, b"nobody's", planes)))
    packed = (tmp_path / "other.mfx").read_bytes()
    (tmp_path / "huge.mfx").write_bytes(packed[:12] + b"\xff" * 8 + packed[20:])
    (tmp_path / "cut.mfx").write_bytes(packed[:-1])
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / ".muxflow.json").write_text('{"files": ["top.cpp"], "network": "encoder_digits"}')
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    error = done.stderr.strip().splitlines()
    assert message in error[-1] and error[-1].startswith("error: ")
    assert not list(tmp_path.glob("x.*")) and not done.stdout
