"""Mixtures of which the right scores are known, and that reversing is what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from emovoca_cli.constants import MM
from emovoca_cli.data.store import Store
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.model import DESD
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.reproduce.measures import face_regions, largest_errors
from emovoca_cli.reproduce.mixtures import mixture_scores
from emovoca_cli.reproduce.scenes import Scene, Scenes
from emovoca_cli.reproduce.ways import MixerWay, addition, interpolation, reversed_mixer, truth_way
from emovoca_cli.types import Float
from tests.desd.fakes import CONFIG
from tests.nn.toy import toy_hierarchy
from tests.reproduce.fakes import template

pytestmark = pytest.mark.unit
Stores = tuple[Store, Store]


@dataclass
class Nearest:
    """Takes a face for the emotion whose peak lies nearest: a judge that needs no training."""

    scene: Scene

    def hits(self, displacement: Float, label: str) -> int:
        names = list(self.scene.peaks)
        away = np.stack([np.square(displacement - peak).sum(axis=(1, 2)) for peak in self.scene.peaks.values()])
        return int((away.argmin(axis=0) == names.index(label)).sum())


@pytest.fixture(scope="module")
def scenes(data: Stores) -> Scenes:
    return Scenes(*data, clips=5, stride=3)


def scored(scenes: Scenes, way: object) -> dict[str, dict[str, float]]:
    return mixture_scores(way, scenes, Nearest(scenes.all[0]))  # type: ignore[arg-type]


def mixer(**sizes: object) -> Mixer:
    torch.manual_seed(3)
    from pathlib import Path

    return Mixer(DESD(toy_hierarchy(), replace(CONFIG.sizes, **sizes), scale=1e-3, symmetric=False), template(), Path("toy"))  # type: ignore[arg-type]


def test_a_scene_has_even_frames_and_all_closed_ones(scenes: Scenes) -> None:
    (scene,) = scenes.all
    assert scenes.emotions == ("afraid", "disgust", "angry", "sad", "happy")
    assert (scene.clip, scene.subject, scene.wearer) == ("dora_s", "dora", "dora")
    assert scene.numbers[scene.even].tolist() == list(range(0, 30, 3))
    # "m" lasts a tenth of a second: frames 0, 1, 2
    assert scene.numbers[scene.closing].tolist() == [0, 1, 2]
    assert np.array_equal(scene.speech, scenes.talk.displacement("dora_s")[scene.numbers])
    assert scenes.truth is None
    assert "no ARKit coefficients" in scenes.why_no_truth
    with pytest.raises(DataError, match=r"no true mixture: .*no ARKit coefficients"):
        truth_way(scenes)(scene, "happy", 2.0)


def test_addition_has_the_scores_that_arithmetic_gives(scenes: Scenes) -> None:
    (scene,) = scenes.all
    regions = face_regions(template())
    found = scored(scenes, addition)
    for level, share in (("1", 0.5), ("2", 1.0), ("3", 1.5)):
        row = found[level]
        assert row["slope"] == pytest.approx(1.0, abs=1e-4)
        assert row["upper_share"] == pytest.approx(share, abs=1e-4)
        assert row["corner_share"] == pytest.approx(share, abs=1e-3)
        lips, upper = regions["lips"].indices, regions["upper"].indices
        size = {name: np.linalg.norm(peak, axis=1) for name, peak in scene.peaks.items()}
        assert row["lve_talk"] == pytest.approx(np.mean([share * one[lips].max() for one in size.values()]) * MM, rel=1e-4)
        each = [
            np.linalg.norm(scene.speech[scene.even][:, upper] + (share - 1) * peak[upper], axis=2).max(axis=1).mean()
            for peak in scene.peaks.values()
        ]
        assert row["uve_expression"] == pytest.approx(np.mean(each) * MM, rel=1e-4)
    assert found["2"]["sealed_by_emotion"]["happy"] == 0.0
    assert found["2"]["sealed_by_emotion"]["sad"] == 1.0
    assert found["2"]["sealed"] == pytest.approx(0.8)
    assert found["2"]["leak_mm"] > 0.5
    assert "lip_mm" not in found["2"]


def test_interpolation_halves_both_and_speech_alone_keeps_nothing(scenes: Scenes) -> None:
    found = scored(scenes, interpolation)
    assert found["2"]["slope"] == pytest.approx(0.5, abs=1e-4)
    assert found["2"]["upper_share"] == pytest.approx(0.5, abs=1e-4)
    assert found["1"]["slope"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["3"]["upper_share"] == pytest.approx(3 / 5, abs=1e-4)
    silent = scored(scenes, lambda scene, emotion, mu_e: scene.speech)
    assert silent["2"]["lve_talk"] == 0.0
    assert silent["2"]["sealed"] == 1.0
    assert silent["2"]["upper_share"] == pytest.approx(0.0, abs=1e-6)


def test_the_judge_counts_even_frames_alone(scenes: Scenes) -> None:
    def only_closed(scene: Scene, emotion: str, mu_e: float) -> Float:
        """Right in the frames that are there for their closure, wrong in the others."""
        wrong = next(name for name in scene.peaks if name != emotion)
        return np.stack([scene.peaks[wrong if even else emotion] for even in scene.even])

    assert scored(scenes, only_closed)["2"]["accuracy"] == 0.0
    assert scored(scenes, lambda one, emotion, mu_e: np.stack([one.peaks[emotion]] * len(one.even)))["2"]["accuracy"] == 1.0


def test_errors_to_a_truth_are_means_over_the_region(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    lips = template().regions["lips"]
    shift = np.where(lips[:, None], np.float32([0.003, 0, 0.004]), np.float32(0))
    monkeypatch.setattr(scenes, "true_mixture", lambda scene, emotion, mu_e: addition(scene, emotion, mu_e) + shift)
    row = scored(scenes, addition)["2"]
    assert row["lip_mm"] == pytest.approx(5.0, rel=1e-4)
    assert row["mve_mm"] == pytest.approx(5.0, rel=1e-4)
    assert row["upper_mm"] == pytest.approx(0.0, abs=1e-6)


def test_largest_errors_are_those_of_each_region(scenes: Scenes) -> None:
    truth = np.zeros((2, 357, 3), np.float32)
    regions = face_regions(template())
    guess = truth.copy()
    guess[0, regions["lips"].indices[0]] = [0.003, 0.004, 0]
    guess[1, regions["upper"].indices[-1]] = [0, 0, 0.002]
    found = largest_errors(guess, truth, regions)
    np.testing.assert_allclose(found["mve"], [5, 2], rtol=1e-6)
    np.testing.assert_allclose(found["lve"], [5, 0], rtol=1e-6)
    np.testing.assert_allclose(found["uve"], [0, 2], rtol=1e-6)


def test_reversing_swaps_the_codes_and_leaves_the_network_alone(scenes: Scenes) -> None:
    (scene,) = scenes.all
    one = mixer()
    weight = one.model.decoder.linear.weight.detach().clone()
    talk, felt = one.encode_talk(scene.speech), one.encode_expression(scene.peaks["happy"][None])[0]
    swapped = reversed_mixer(one).mix(talk, felt, 2.0, 3.0)
    with torch.no_grad():
        given = torch.from_numpy(3.0 * np.tile(felt, (len(talk), 1))), torch.from_numpy(2.0 * talk)
        np.testing.assert_allclose(swapped, one.model.decode(*given).numpy(), rtol=1e-4, atol=1e-8)
    assert np.abs(swapped - one.mix(talk, felt, 2.0, 3.0)).max() > 1e-5
    assert one.model.decoder.linear.weight.equal(weight)
    with pytest.raises(UsageError, match="'sum' has no order of codes"):
        reversed_mixer(mixer(features="sum"))


def test_own_scale_halves_both_where_training_doubles_nothing(scenes: Scenes) -> None:
    (scene,) = scenes.all
    for features, gain in (("duplicate", 1.0), ("zero", 0.5)):
        one = mixer(features=features)
        talk, felt = one.encode_talk(scene.speech), one.encode_expression(scene.peaks["sad"][None])[0]
        own = MixerWay(one, own_scale=True)(scene, "sad", 3.0)
        np.testing.assert_array_equal(own, one.mix(talk, felt, 2.0 * gain, 3.0 * gain))
        np.testing.assert_array_equal(MixerWay(one)(scene, "sad", 3.0), one.mix(talk, felt, 2.0, 3.0))
