"""The zoo: published sizes, presets, random-weight statistics, bad options."""

import pytest
import torch
from brevitas.nn import QuantIdentity

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.training.joins import MRB
from muxflow.frontend.training.zoo import MEGABIT, PRESETS, Mognet, MognetConfig, build, preset, randomise, storage_bits

SMALL = {"n": 8, "ring": 64, "blocks": 1}


@pytest.mark.parametrize(
    ("n", "ratio", "g", "megabits"), [(64, 1, 8, 0.63), (64, 1, 4, 1.00), (96, 1, 8, 1.41), (128, 0.5, 4, 1.25)]
)
def test_illustrative_sizes(n, ratio, g, megabits):
    assert round(storage_bits(MognetConfig(n=n, m_ratio=ratio, g=g)) / MEGABIT, 2) == megabits


@pytest.mark.parametrize("levels", [3, 5, 7, "binary"])
def test_storage_counts_the_stored_parameters(levels):
    model = build("mognet_digits", weight_levels=levels)
    weights = sum(p.numel() for p in model.parameters() if p.dim() == 4)
    bits = {3: 2, 5: 3, 7: 3, "binary": 1}[levels]
    assert storage_bits(model.config) == weights * bits
    assert storage_bits(model.config, bits_per_weight=8) == weights * 8


def test_cifar10_preset_is_one_megabit_and_has_the_published_shape():
    model = build("mognet_cifar10")
    assert storage_bits(model.config) < 2 * MEGABIT
    assert sum(isinstance(m, MRB) for m in model.modules()) == 6
    assert [m.join.channels for m in model.modules() if isinstance(m, MRB)] == [64, 64, 64, 128, 128, 256]
    model.eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert preset("mognet_cifar100").classes == 100


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_have_good_rings_and_fit_two_megabits(name):
    config = preset(name)
    assert min(config.latent(w) for w in config.widths) >= 24
    assert storage_bits(config) < 2 * MEGABIT


def test_same_seed_same_network_and_the_global_generator_stays():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = (build("mognet_digits", s, **SMALL).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert any(not torch.equal(v, other[k]) for k, v in first.items())


@pytest.mark.parametrize("options", [{}, {"k": 1}, {"k": 4, "select": "or"}, {"weight_levels": "binary", "k": 2}])
def test_randomised_networks_are_alive(options):
    model = randomise(build("mognet_digits", **{**SMALL, **options}), seed=3)
    again = randomise(build("mognet_digits", **{**SMALL, **options}), seed=3)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    assert not model.training
    shares = []
    for layer in model.modules():
        if isinstance(layer, QuantIdentity) and layer is not model.pixels:
            layer.register_forward_hook(lambda _m, _i, y: shares.append((y > 0).float().mean().item()))
    logits = model(torch.randint(0, 256, (8, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 256)
    assert len(shares) == 10
    assert all(0.1 < share < 0.99 for share in shares)
    assert (logits.std(0) > 0).all()


def test_block_seeds_differ_only_when_asked():
    def weights(model):
        return [m.body.project[0].weight for m in model.modules() if isinstance(m, MRB)]

    config = MognetConfig(n=24, g=8, input_shape=(1, 8, 8))
    same = weights(Mognet(config))
    assert torch.equal(same[0], same[1])
    seeded = weights(build("mognet_digits", automaton_seed=1))
    assert not torch.equal(seeded[0], seeded[1])


def test_bad_options_are_named():
    with pytest.raises(MuxflowError, match=r"choose from mognet_cifar10, .*, mognet_digits"):
        build("resnet")
    with pytest.raises(MuxflowError, match="no option width; options are"):
        build("mognet_digits", width=3)
    with pytest.raises(UnsupportedError, match="always, or"):
        build("mognet_digits", select="rows")
    for overrides, message in [
        ({"n": 0}, "n = 0"),
        ({"g": 7}, "7 groups"),
        ({"m_ratio": 0.0}, "latent"),
        ({"input_shape": (1, 6, 8)}, "divisible by 4"),
        ({"input_shape": (8, 8)}, "give a tuple of 3"),
        ({"automaton_seed": 0}, "central cell"),
        ({"k": 5}, "5 bits"),
        ({"weight_levels": 4}, "odd number"),
        ({"rule": 256}, "rule 256"),
    ]:
        with pytest.raises(MuxflowError, match=message):
            build("mognet_digits", **overrides)
