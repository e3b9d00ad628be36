"""Mixing with a trained toy model, sealing, and what a loaded checkpoint keeps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.seal import CORNER_SHARE, FALLOFF, HELD, closedness, face_scale, seal_mask
from emovoca_cli.desd.train import DesdTraining
from emovoca_cli.errors import CheckpointError, DataError, TopologyError, UsageError
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float, MeshTemplate
from tests.desd.fakes import emotions, talk_motion
from tests.nn.toy import toy_template

pytestmark = pytest.mark.unit
SHUT = np.linspace(1, 0, 30).astype(np.float32)


@pytest.fixture(scope="module")
def mixer(trained: DesdTraining) -> Mixer:
    return trained.mixer


@pytest.fixture(scope="module")
def codes(mixer: Mixer) -> tuple[Float, Float]:
    return mixer.encode_talk(talk_motion()), mixer.encode_expression(emotions()["happy"][None])[0]


def points(displacement: Float) -> Float:
    template = toy_template()
    return landmark_points(template.vertices + displacement, template.faces, template.landmark_faces, template.landmark_weights)


def size(displacement: Float) -> float:
    return float(np.linalg.norm(displacement, axis=-1).max())


def test_one_frame_equals_many(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    talk, felt = codes
    whole = mixer.mix(talk, felt, closedness=SHUT)
    each = np.concatenate([mixer.mix(talk[i : i + 1], felt, closedness=SHUT[i : i + 1]) for i in range(len(talk))])
    np.testing.assert_allclose(each, whole, atol=1e-8)
    singles = np.concatenate([mixer.encode_talk(frame[None]) for frame in talk_motion()])
    np.testing.assert_allclose(singles, talk, atol=1e-5)


def test_neutral_mixes_to_nearly_nothing(mixer: Mixer) -> None:
    still = np.zeros((1, *toy_template().vertices.shape), np.float32)
    mixed = mixer.mix(mixer.encode_talk(still), mixer.encode_expression(still)[0])
    assert size(mixed) < 0.1 * size(talk_motion())


def test_two_is_the_natural_strength_of_speech(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    talk, felt = codes
    speech = talk_motion()
    assert size(mixer.mix(talk, felt, 2.0, 0.0) - speech) < 0.25 * size(speech)


def test_the_emotion_grows_with_mu(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    """Each step of mu_e adds about half of the emotion (desd-mixing: gains mu / 2, but for the decoder's bend)."""
    talk, felt = codes
    peak = emotions()["happy"]
    shares = [float((mixer.mix(talk[:1], felt, 2.0, mu)[0] * peak).sum() / np.square(peak).sum()) for mu in (0.0, 1.0, 2.0, 3.0)]
    assert np.diff(shares) == pytest.approx([0.5] * 3, abs=0.2)


def test_landmarks_and_single_vertices_equal_the_full_decode(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    template = toy_template()
    for shut in (None, SHUT):
        whole = mixer.mix(*codes, 2.0, 3.0, closedness=shut)
        wanted = landmark_points(whole, template.faces, template.landmark_faces, template.landmark_weights)
        np.testing.assert_allclose(mixer.mix_landmarks(*codes, 2.0, 3.0, closedness=shut), wanted, atol=1e-8)
        some = np.array([300, 5, 77])
        np.testing.assert_allclose(mixer.mix(*codes, 2.0, 3.0, closedness=shut, vertices=some), whole[:, some], atol=1e-8)


def test_sealing_closes_closed_lips_and_leaves_the_rest(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    talk, felt = codes
    still = points(np.zeros((1, *toy_template().vertices.shape), np.float32))
    rest = float(lip_opening(still)[0])
    shut = closedness(lip_opening(points(talk_motion())), rest)
    assert np.all(shut[:3] == 1)
    shut[10] = 0
    plain, sealed = mixer.mix(talk, felt), mixer.mix(talk, felt, closedness=shut)
    speech = mixer.mix(talk, felt, 2.0, 0.0)
    mask = seal_mask(toy_template())
    # outside the mask and in frames that nothing holds: no change, to the bit
    assert np.array_equal(sealed[:, mask == 0], plain[:, mask == 0])
    assert np.array_equal(sealed[shut == 0], plain[shut == 0])
    # where the lips are shut, the lips region is the speech alone
    np.testing.assert_allclose(sealed[:3][:, mask == 1], speech[:3][:, mask == 1], atol=1e-8)
    gaps = [lip_opening(points(motion))[:3].mean() - rest for motion in (plain, sealed)]
    assert gaps[0] > 2e-3
    assert gaps[1] < 0.3 * gaps[0]


def test_sealing_by_nothing_is_plain_mixing(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    assert np.array_equal(mixer.mix(*codes, closedness=np.zeros(30, np.float32)), mixer.mix(*codes))


def test_the_hold_of_speech_falls_smoothly_from_closed_to_open() -> None:
    gap = np.linspace(0, 6e-3, 601)
    closed = np.concatenate([closedness(frame, 0.5e-3) for frame in gap[:, None]])
    assert np.all(closed[gap <= 0.8e-3] == 1)
    assert np.all(closed[gap >= 4.5e-3] == HELD)
    assert np.all(np.diff(closed) <= 0)
    assert np.abs(np.diff(closed)).max() < 0.005
    assert closedness(np.array([2.65e-3]), 0.5e-3)[0] == pytest.approx((1 + HELD) / 2)
    assert closedness(np.array([5.3e-3]), 1e-3, scale=2.0)[0] == pytest.approx((1 + HELD) / 2)


def test_lips_that_speech_closes_are_sealed_and_lips_that_rest_are_not() -> None:
    fps, times = 30.0, np.arange(120) / 30.0
    # a pause, a second of talk with one closed tenth of a second in it, a pause
    opening = np.where((times > 1.5) & (times < 2.5), 6e-3, 0.0)
    opening[(times > 1.9) & (times < 2.0)] = -1e-3
    closed = closedness(opening, 0.0, fps=fps)
    assert np.all(closed[(times > 1.9) & (times < 2.0)] == 1)
    np.testing.assert_allclose(closed[(times > 1.7) & (times < 2.3) & (opening > 4e-3)], HELD)
    assert np.all(closed[(times < 1.0) | (times > 3.0)] == 0)
    assert np.all(np.diff(closed[times < 1.5]) >= 0)
    assert np.abs(np.diff(closed[times < 1.5])).max() < 0.2


def test_the_mask_is_one_on_the_lips_weaker_at_their_corners_and_fades_with_distance() -> None:
    template = toy_template()
    mask = seal_mask(template)
    lips = template.regions["lips"]
    assert face_scale(template) == pytest.approx(1.0, abs=1e-3)
    middle = lips & (np.abs(template.vertices[:, 0]) < 0.005)
    assert np.all(mask[middle] == 1)
    assert np.all(mask[lips] >= CORNER_SHARE - 1e-6)
    assert mask[lips & (np.abs(template.vertices[:, 0]) > 0.015)].min() == pytest.approx(CORNER_SHARE)
    away = np.linalg.norm(template.vertices[:, None] - template.vertices[lips][None], axis=-1).min(axis=1)
    assert np.all(mask[away > FALLOFF] == 0)
    between = mask[~lips & (away < 0.8 * FALLOFF)]
    assert len(between)
    assert np.all((between > 0) & (between < 1))


def test_a_face_without_lips_cannot_be_sealed() -> None:
    whole = toy_template()
    bare = MeshTemplate("bare", whole.vertices, whole.faces, whole.landmark_faces, whole.landmark_weights)
    with pytest.raises(DataError, match="'bare' has no region 'lips'"):
        seal_mask(bare)


def test_wrong_shapes_are_named(mixer: Mixer, codes: tuple[Float, Float]) -> None:
    talk, felt = codes
    with pytest.raises(TopologyError, match=r"shape \(1, 5, 3\), expected \(frames, 357, 3\)"):
        mixer.encode_talk(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(UsageError, match=r"codes have shape \(30, 3\), this model's have 8 numbers"):
        mixer.mix(talk[:, :3], felt)
    with pytest.raises(UsageError, match="30 talk and 4 expression codes"):
        mixer.mix(talk, np.stack([felt] * 4))
    with pytest.raises(UsageError, match=r"closedness has shape \(2,\), expected one number for each of the 30 frames"):
        mixer.mix(talk, felt, closedness=SHUT[:2])


def test_a_checkpoint_says_where_it_comes_from(mixer: Mixer) -> None:
    assert mixer.licence == "MIT; CC0"
    assert set(mixer.provenance) == {"emovoca", "torch", "data", "settings"}
    assert mixer.template.topology_hash == toy_template().topology_hash


def test_a_loaded_checkpoint_needs_no_hierarchy_built(
    mixer: Mixer, codes: tuple[Float, Float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emovoca_cli.mesh.hierarchy.decimate", None)
    assert np.array_equal(Mixer.load(mixer.path).mix(*codes), mixer.mix(*codes))


def test_a_checkpoint_without_its_hierarchy_is_refused(mixer: Mixer, tmp_path: Path) -> None:
    shutil.copytree(mixer.path, tmp_path / "copy")
    (tmp_path / "copy" / "hierarchy.npz").unlink()
    with pytest.raises(CheckpointError, match=r"misses hierarchy\.npz"):
        Mixer.load(tmp_path / "copy")
