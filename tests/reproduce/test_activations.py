"""What Figure 3c is made of: features read from the decoder, and measures of them with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emovoca_cli.data.store import Store
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.model import DESD
from emovoca_cli.reproduce.activations import layer_features, overlap, remainder, responses, vertex_maps
from emovoca_cli.reproduce.fig3 import HOT, _moments, heat
from emovoca_cli.reproduce.scenes import Scenes
from tests.desd.fakes import CONFIG
from tests.nn.toy import plain_conv, toy_hierarchy
from tests.reproduce.fakes import template

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def mixer() -> Mixer:
    torch.manual_seed(5)
    return Mixer(DESD(toy_hierarchy(), CONFIG.sizes, scale=1e-3, symmetric=True), template(), Path("toy"))


def codes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, CONFIG.sizes.latent)).astype(np.float32)


def test_the_features_are_those_that_the_decoder_computes(mixer: Mixer) -> None:
    given = codes(0), codes(1)
    layers = layer_features(mixer, given)
    assert len(layers) == len(mixer.model.decoder.convolutions)
    with torch.no_grad():
        out = mixer.model.decode(*(torch.from_numpy(code) for code in given))
        # (V,3,B) to (B,V,3)
        last = torch.from_numpy(layers[-1]).permute(2, 0, 1) * mixer.model.scale
        torch.testing.assert_close(last, out, rtol=1e-4, atol=1e-8)
        # the last layer again from the one before it, the obvious way: so that one is read after its activation
        layer = mixer.model.decoder.convolutions[-1]
        before = torch.from_numpy(layers[-2]).permute(2, 0, 1)
        again = plain_conv(before, toy_hierarchy().levels[0].spirals, layer.weight, layer.bias)
        torch.testing.assert_close(again * mixer.model.scale, out, rtol=1e-4, atol=1e-8)
    assert all(not layer.operator._forward_hooks for layer in mixer.model.decoder.convolutions)


def test_a_response_is_counted_from_the_face_at_rest(mixer: Mixer) -> None:
    still = np.zeros((2, 357, 3), np.float32)
    talk, felt = mixer.encode_talk(still), mixer.encode_expression(still)
    for features in responses(mixer, {"rest": (talk, felt)})["rest"]:
        assert np.abs(features).max() < 1e-6


def test_overlap_and_remainder_of_known_responses() -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(6, 4, 5))
    left, right = a.copy(), a.copy()
    left[3:], right[:3] = 0, 0
    assert overlap(a, -2 * a) == pytest.approx(1.0)
    assert overlap(left, right) == 0.0
    assert remainder(left + right, left, right) == pytest.approx(0.0, abs=1e-12)
    assert remainder(a, 0.5 * a) == pytest.approx(0.5)


def test_maps_of_equal_features_are_equal_everywhere() -> None:
    hierarchy = toy_hierarchy()
    counts = [len(level.vertices) for level in reversed(hierarchy.levels[:-1])] + [len(hierarchy.levels[0].vertices)]
    maps = vertex_maps([np.full((count, 2, 3), -4.0, np.float32) for count in counts], hierarchy)
    assert [one.shape for one in maps] == [(357,)] * len(counts)
    for one in maps:
        np.testing.assert_allclose(one, 4.0, rtol=1e-5)


def test_moments_are_apart_in_order_and_by_turns_open_and_closed(data: tuple[Store, Store]) -> None:
    (scene,) = Scenes(*data, clips=1, stride=1).all
    chosen = _moments(scene, 4)
    assert chosen == sorted(chosen)
    assert np.diff(chosen).min() >= len(scene.opening) // 12
    assert int(scene.opening.argmax()) in chosen
    assert scene.closing[chosen].any()


def test_heat_runs_between_its_colours() -> None:
    colours = heat(np.array([0.0, 0.25, 1.0, 7.0], np.float32))
    assert np.all(np.diff(colours[:3, :2], axis=0) > 0), "brighter with every step"
    np.testing.assert_allclose(colours[2:], [HOT, HOT], rtol=1e-6)
