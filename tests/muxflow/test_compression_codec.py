"""Pictures through the shipped encoder and decoder: the code of every tile, whole pictures, other models, the commands."""

import json

import numpy as np
import pytest
import torch

import muxflow
from muxflow.compression.codec import (
    Codec,
    code_output,
    codes_of,
    opened_codec,
    read_compressed,
    shipped_codec,
    shipped_graph,
    tiles_of,
)
from muxflow.compression.container import Compressed, pack, unpack
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.pictures import load_photographs
from muxflow.frontend.training.frame_decoder import DecoderConfig, FrameDecoder, decoder_bytes, fingerprint
from muxflow.frontend.training.measures import blockiness, psnr
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.trained import load_trained

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
FACTS = json.loads((PRETRAINED / "encoder_digits.json").read_text(encoding="utf-8"))


@pytest.fixture
def model(tmp_path):
    """A codec whose encoder gives the highest bits of pixels, and whose decoder is small and random."""

    def encode(tiles):
        places = tiles[:, ::16, ::16, 0].astype(int)
        return places[..., None] >> (np.arange(64) % 8) & 1

    torch.manual_seed(0)
    file = tmp_path / "x.decoder"
    file.write_bytes(decoder_bytes(FrameDecoder(DecoderConfig(hidden=8, features=8, widths=(4, 4), blocks=(0, 0)))))
    return Codec(encode, file, bytes(8))


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 70)])
def test_tiles_and_codes_keep_their_places(size):
    plane = RNG.integers(0, 256, size, np.uint8)
    tiles, shape = tiles_of(plane)
    assert shape == (-(-size[0] // 32), -(-size[1] // 32)) and tiles.shape == (shape[0] * shape[1], 32, 32, 1)
    whole = np.pad(plane, [(0, -side % 32) for side in size], mode="edge")
    codes = np.repeat(tiles[:, ::16, ::16], 64, axis=3)
    assert np.array_equal(codes_of(codes, shape)[..., 5], whole[::16, ::16])


@pytest.mark.parametrize("shape", [(1, 1), (20, 45), (33, 7, 3), (64, 64, 3)])
def test_pictures_of_every_size(model, shape):
    pixels = RNG.integers(0, 256, shape, np.uint8)
    told = []
    compressed = model.compress(pixels, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    again = unpack("x", pack(compressed))
    decoded = model.decompress(again, lambda done, total: told.append((done, total)))
    assert decoded.shape == shape and decoded.dtype == np.uint8
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    "pixels",
    [
        *(np.zeros(shape, np.uint8) for shape in ((5,), (5, 5, 4), (5, 5, 1), (1, 5, 5, 3))),
        *(np.zeros((5, 5), kind) for kind in (np.uint16, np.float64)),
        *([[1, 2]], None),
    ],
)
def test_what_are_no_pixels_is_refused(model, pixels):
    with pytest.raises(MuxflowError, match=r"^picture: .*; give an array of uint8"):
        model.compress(pixels)


def test_pictures_of_another_model_are_refused(model):
    compressed = model.compress(RNG.integers(0, 256, (32, 32), np.uint8))
    other = Compressed(32, 32, bytes(7) + b"\1", compressed.codes)
    with pytest.raises(MuxflowError, match="x: compressed by the models 0000000000000001; these are 0000000000000000"):
        model.decompress(other, name="x")


def test_an_encoder_without_a_code_is_refused():
    graph = muxflow.load(PRETRAINED / "ern_mnist.onnx")
    with pytest.raises(MuxflowError, match="no encoder of pictures"):
        code_output(graph)


def test_the_shipped_files_belong_together():
    codec, encoder = shipped_codec(), load_trained(PRETRAINED / "encoder_digits")
    assert codec.fingerprint == fingerprint(encoder, codec.decoder)
    assert (PRETRAINED / "encoder_digits.decoder").stat().st_size < 1_500_000
    trained_on = FACTS["compression"]["pictures"]
    assert trained_on.items() > {one.name: one.digest() for one in load_photographs("train")}.items()
    assert len(trained_on) == 69
    held_out = {one.digest() for split in ("validation", "test") for one in load_photographs(split)}
    assert not held_out & set(trained_on.values())


def test_graph_and_torch_give_the_same_codes():
    encoder = load_trained(PRETRAINED / "encoder_digits")
    tiles = tiles_of(load_photographs("test")[1].luma())[0][::7]
    with torch.no_grad():
        codes = encoder.code(torch.from_numpy(tiles.transpose(0, 3, 1, 2) / np.float32(256)))
    graph = shipped_graph()
    met = graph.run(tiles, keep=(code_output(graph),))[code_output(graph)]
    assert np.array_equal(met, codes.numpy().transpose(0, 2, 3, 1))


def test_a_held_out_photograph_is_as_good_as_reported():
    picture, codec = load_photographs("test")[1], shipped_codec()
    plane = picture.luma()
    decoded = codec.decompress(codec.compress(plane))
    assert psnr(plane, decoded) == pytest.approx(FACTS["compression"]["psnr"][picture.name], abs=0.01)
    assert blockiness(decoded, plane) < 1.2


def test_a_file_too_large_to_be_one_is_not_read_whole(tmp_path):
    with (tmp_path / "x.mfx").open("wb") as file:
        file.write(pack(Compressed(32, 32, bytes(8), (np.zeros((2, 2, 64), np.uint8),))))
        file.truncate(1 << 40)
    with pytest.raises(MuxflowError, match="1,099,511,627,776 bytes, and no picture that"):
        read_compressed(tmp_path / "x.mfx")


def test_a_project_codes_as_the_graph_does(tmp_path):
    project = muxflow.write(muxflow.fit(shipped_graph(), "pynq-z2"), tmp_path / "project").path
    plane = load_photographs("test")[3].luma()[100:160, 200:300]
    with opened_codec(project) as simulated:
        first = simulated.compress(plane)
    second = shipped_codec().compress(plane)
    assert pack(first) == pack(second)
    with (project / "src" / "top.cpp").open("a") as file:
        file.write("// mine\n")
    with (
        pytest.raises(MuxflowError, match=r"edited .*src/top\.cpp.* mean nothing to the decoder"),
        opened_codec(project),
    ):
        pass
    other = muxflow.write(muxflow.fit(muxflow.load(PRETRAINED / "ern_mnist.onnx"), "pynq-z2"), tmp_path / "other").path
    with pytest.raises(MuxflowError, match="another network than the shipped"), opened_codec(other):
        pass
