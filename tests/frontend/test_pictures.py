"""Pictures to train compression on: which, from where, their crops; folders as of Kodak and CLIC."""

import functools
import operator

import numpy as np
import pytest
import torch
from PIL import Image

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training.crops import Crops
from muxflow.frontend.training.datasets.pictures import (
    PHOTOGRAPHS,
    Picture,
    load_photographs,
    load_picture_folder,
)

RNG = np.random.default_rng(0)


def saved(path, size=(40, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode).save(path)
    return path


def test_no_photograph_is_in_two_splits():
    names = [[one.name for one in load_photographs(split)] for split in PHOTOGRAPHS]
    assert [len(part) for part in names] == [4, 1, 16]
    assert len(set(functools.reduce(operator.iadd, names, []))) == 21
    assert names[0] == ["camera", "chelsea", "coffee", "rocket"]
    with pytest.raises(UsageError, match="split 'all'"):
        load_photographs("all")


def test_photographs_differ_between_splits():
    """A picture and its twin, as the two of a stereo pair, are in one split."""
    small = {
        (split, one.name): np.asarray(Image.fromarray(one.luma()).resize((16, 16))).astype(float).ravel()
        for split in PHOTOGRAPHS
        for one in load_photographs(split)
    }
    for (split, name), first in small.items():
        for (other, twin), second in small.items():
            alike = np.corrcoef(first, second)[0, 1]
            assert split == other or alike < 0.9, (name, twin)


def test_pictures_are_decoded_when_they_are_asked_for(tmp_path):
    picture = Picture(saved(tmp_path / "a.png"))
    assert (picture.name, picture.pixels().shape, picture.luma().shape) == ("a", (30, 40, 3), (30, 40))
    grey = Picture(saved(tmp_path / "b.png", mode="L"))
    assert (grey.pixels() == grey.luma()[..., None]).all()
    picture.path.write_bytes(b"no image")
    with pytest.raises(MuxflowError, match=r"a\.png: a text file; supported: JPEG, PNG; give an image"):
        picture.luma()


def test_kodak_and_clic_folders(tmp_path):
    for name in ("kodim02.png", "kodim01.png", "notes.txt"):
        saved(tmp_path / "k" / name.replace("txt", "png"))
    (tmp_path / "k" / "readme.txt").write_text("x")
    assert [one.name for one in load_picture_folder("kodak", tmp_path / "k", "test")] == ["kodim01", "kodim02", "notes"]
    for place in ("train/a.png", "train/more/b.jpg", "valid/c.png"):
        saved(tmp_path / "c" / place)
    assert [one.name for one in load_picture_folder("clic", tmp_path / "c", "train")] == ["a", "b"]
    assert [one.name for one in load_picture_folder("clic", tmp_path / "c", "test")] == ["c"]


def test_picture_folders_that_do_not_fit(tmp_path):
    with pytest.raises(UsageError, match="'nothing' is unknown; choose from kodak, clic, photographs"):
        load_picture_folder("nothing", tmp_path, "test")
    with pytest.raises(UsageError, match="for tests only"):
        load_picture_folder("kodak", tmp_path, "train")
    with pytest.raises(UsageError, match="split 'valid'"):
        load_picture_folder("clic", tmp_path, "valid")
    with pytest.raises(MuxflowError, match=r"no folder .*valid nor .*test"):
        load_picture_folder("clic", tmp_path, "test")
    with pytest.raises(MuxflowError, match="no pictures in"):
        load_picture_folder("kodak", tmp_path, "test")


def test_crops_depend_on_the_generator_only(tmp_path):
    crops = Crops((Picture(saved(tmp_path / "a.png", (80, 70))), Picture(saved(tmp_path / "b.png", (33, 200)))), 32)
    first, again, other = (crops.draw(20, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (20, 1, 32, 32)
    assert torch.equal(first * 256, (first * 256).round()) and first.min() >= 0 and first.max() < 1
    with pytest.raises(MuxflowError, match="no picture of 96x96"):
        Crops(crops.pictures, 96).draw(1, torch.Generator())
