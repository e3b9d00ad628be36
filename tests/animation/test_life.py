"""Blinks, gaze and head motion: shut lids, rigid skulls, still neck bases, and the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.animation.lids import Lids, landmark_lids
from emovoca_cli.animation.life import add_life, head_motion, openness, turn_head, with_life
from emovoca_cli.animation.rhythm import BLINK_REST, CLOSED, CLOSING, OPENING, Life, blink_curve, blink_times, draw_life, energy
from emovoca_cli.audio.io import load_speech
from emovoca_cli.cli.faces import builtin_template, lids_of
from emovoca_cli.demo.identities import identity
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.render.parts import part_motions
from emovoca_cli.types import Clip, Float, MeshTemplate
from tests.generators.fakes import strip_template
from tests.helpers import shared_data

pytestmark = pytest.mark.unit
FPS = 30.0


@pytest.fixture(scope="module")
def head() -> MeshTemplate:
    return builtin_template()


@pytest.fixture(scope="module")
def speech() -> Float:
    return load_speech(Path(__file__).resolve().parents[2] / "examples" / "speech.wav")


def points(template: MeshTemplate, vertices: Float) -> Float:
    return landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)


def still(template: MeshTemplate, frames: int, *, rest: Float | None = None, fps: float = FPS) -> Clip:
    rest = template.vertices if rest is None else rest
    vertices = np.repeat(rest[None], frames, axis=0)
    track = np.zeros((frames, 1), np.float32), np.zeros(frames, np.float32)
    return Clip(vertices, template.faces, rest, points(template, vertices), fps, ("happy",), *track, {"a": 1})


def layers(frames: int, *, blink: float = 0.0, gaze: float = 0.0, head: tuple[float, float, float] = (0, 0, 0)) -> Life:
    return Life(0, np.full(frames, blink), np.full(frames, gaze), np.tile(np.array(head, float), (frames, 1)), ())


def test_the_same_seed_and_speech_give_the_same_life_at_any_rate(speech: Float) -> None:
    times = np.arange(150) / FPS
    first, again, other = (draw_life(speech, times, seed=seed) for seed in (3, 3, 4))
    fast = draw_life(speech, np.arange(300) / (2 * FPS), seed=3)
    for name in ("blink", "gaze", "head"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
        np.testing.assert_allclose(getattr(fast, name)[::2], getattr(first, name), atol=1e-9)
    assert first.blinks != draw_life(speech / 2, times, seed=3).blinks, (
        "other speech, other life, even if it is as loud in its own terms"
    )


def test_blinks_are_smooth_come_as_often_as_people_blink_and_end_with_the_clip() -> None:
    silence = np.zeros(60 * 100)
    counts = []
    for seed in range(20):
        begins = blink_times(np.random.default_rng(seed), 60.0, silence)
        assert min(np.diff(begins)) >= BLINK_REST - 1e-9
        assert begins[-1] + CLOSING + CLOSED + OPENING <= 60 + 1e-9
        counts.append(len(begins))
    assert 15 <= np.mean(counts) <= 24
    fine = blink_curve((1.0,), np.linspace(0, 2, 20001))
    assert fine.max() == 1
    assert fine[[0, -1]].tolist() == [0, 0]
    assert np.abs(np.diff(fine)).max() <= 1.5 * 1e-4 / CLOSING + 1e-9
    for start in np.linspace(1, 1.1, 11):
        assert blink_curve((float(start),), np.arange(60) / 30).max() > 0.98, "no frame rate misses the shut eye"


def test_a_blink_falls_into_a_pause() -> None:
    loud = np.ones(1000)
    for seed in range(10):
        (begin, *_) = blink_times(np.random.default_rng(seed), 10.0, loud)
        pause = loud.copy()
        place = round((begin + 0.2) * 100)
        pause[place - 5 : place + 6] = 0
        assert blink_times(np.random.default_rng(seed), 10.0, pause)[0] == pytest.approx(begin + 0.2, abs=0.03)


def test_energy_is_high_where_it_is_loud() -> None:
    rng = np.random.default_rng(0)
    wave = np.concatenate([0.3 * rng.normal(size=16000), 1e-6 * rng.normal(size=16000)]).astype(np.float32)
    seen = energy(wave)
    assert seen[20:80].min() > 0.9
    assert seen[120:].max() == 0


def test_the_head_moves_more_in_speech_and_begins_at_rest() -> None:
    rng = np.random.default_rng(0)
    wave = np.concatenate([1e-6 * rng.normal(size=20 * 16000), 0.3 * rng.normal(size=20 * 16000)]).astype(np.float32)
    times = np.arange(0, 40, 1 / 30)
    quiet, loud = [], []
    for seed in range(8):
        turned = draw_life(wave, times, seed=seed).head
        assert not turned[0].any()
        assert np.abs(turned).max() < 5
        assert np.abs(np.diff(turned, axis=0)).max() < 0.5, "no frame jumps"
        quiet.append(turned[60:540].std())
        loud.append(turned[660:].std())
    assert np.mean(loud) > 1.8 * np.mean(quiet)


@pytest.mark.parametrize("name", ["emovoca-head", "egon", "yuki", "landmarks"])
def test_lids_shut_and_open_again(head: MeshTemplate, name: str) -> None:
    rest = identity(name).neutral if name in {"egon", "yuki"} else head.vertices
    lids = landmark_lids(head, rest) if name == "landmarks" else lids_of(name, head)
    assert lids is not None
    clip = still(head, 5, rest=rest)
    shut = np.array([0, 0.5, 1, 0.5, 0])
    made = with_life(clip, head, Life(0, shut, np.zeros(5), np.zeros((5, 3)), ()), lids=lids)
    seen = openness(made.landmarks, points(head, rest))
    assert np.array_equal(made.vertices[[0, 4]], clip.vertices[[0, 4]])
    assert seen[2].max() < 0.12
    assert (np.abs(seen[[1, 3]] - 0.5) < 0.12).all()
    moved = np.abs(made.vertices[2] - rest).max(axis=1) > 1e-5
    assert not (moved & head.regions["mouth"]).any()
    corners = points(head, made.vertices[2])[[36, 39, 42, 45]] - points(head, rest)[[36, 39, 42, 45]]
    assert np.linalg.norm(corners, axis=1).max() < 1e-3, "the corners stay"


def test_an_eye_that_is_half_shut_already_blinks_half_the_way(head: MeshTemplate) -> None:
    lids = lids_of(head.name, head)
    assert lids is not None
    squint = still(head, 1)
    narrow = squint.vertices + 0.5 * lids.blink.sum(axis=0)
    clip = Clip(narrow, head.faces, head.vertices, points(head, narrow), FPS, ("happy",), squint.emotion, squint.intensity, {})
    made = with_life(clip, head, layers(1, blink=1.0), lids=lids)
    shut = head.vertices + lids.blink.sum(axis=0)
    assert np.linalg.norm(made.vertices[0] - shut, axis=1).max() < 0.6e-3


@pytest.mark.parametrize("own", [True, False])
def test_the_renderer_sees_the_gaze_and_the_turn_of_the_head(head: MeshTemplate, own: bool) -> None:
    lids = lids_of(head.name, head) if own else landmark_lids(head, head.vertices)
    assert lids is not None
    for degrees in (-8.0, 8.0):
        made = with_life(still(head, 1), head, layers(1, gaze=degrees, head=(3, -2, 1)), lids=lids)
        motions = dict(zip([part.name for part in head.parts], part_motions(head, head.vertices, made.vertices), strict=True))
        eye = next(motions[part.name] for part in head.parts if part.drive == "eye_left")[0, :3, :3]
        skull = next(motions[part.name] for part in head.parts if part.drive == "head")[0, :3, :3]
        turned = np.radians(np.array([3, -2, 1]))
        angle = np.linalg.norm(turned)
        assert np.arccos((np.trace(skull) - 1) / 2) == pytest.approx(angle, rel=0.01)
        looking = np.linalg.inv(skull) @ eye @ np.array([0, 0, 1.0])
        assert np.degrees(np.arctan2(looking[0], looking[2])) == pytest.approx(degrees, rel=0.3)


def test_the_skull_turns_rigidly_and_the_base_of_the_neck_stays(head: MeshTemplate) -> None:
    rest = points(head, head.vertices)
    shares, pivot = head_motion(head.vertices, rest)
    vertices = head.vertices[None].copy()
    turn_head(vertices, np.array([[2.0, 3.0, -1.0]]), shares, pivot)
    above = head.vertices[:, 1] > rest[8, 1]
    assert (shares[above] == 1).all()
    before, after = head.vertices[above][::50].astype(float), vertices[0][above][::50].astype(float)
    spread = [np.linalg.norm(part[:, None] - part[None], axis=2) for part in (before, after)]
    np.testing.assert_allclose(spread[1], spread[0], atol=1e-6)
    base = head.vertices[:, 1] < head.vertices[:, 1].min() + 0.005
    assert np.array_equal(vertices[0][base], head.vertices[base])
    edges = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]]])
    lengths = [np.linalg.norm(part[edges[:, 0]] - part[edges[:, 1]], axis=1) for part in (head.vertices, vertices[0])]
    assert np.abs(lengths[1] / lengths[0] - 1).max() < 0.15, "nothing tears in the neck"


def test_nodding_goes_down_and_a_face_without_a_neck_turns_as_a_whole(head: MeshTemplate) -> None:
    rest = points(head, head.vertices)
    cut = np.where(head.vertices[:, 1] > rest[8, 1] - 0.01)[0]
    shares, pivot = head_motion(head.vertices[cut], rest)
    assert (shares == 1).all()
    nose = rest[None, 30:31].copy()
    turn_head(nose, np.array([[2.0, 0, 0]]), np.ones(1), pivot)
    assert nose[0, 0, 1] < rest[30, 1]


def test_layers_say_what_they_are_and_change_nothing_else(head: MeshTemplate, speech: Float) -> None:
    clip = still(head, 140)
    made, again = (add_life(clip, head, speech, seed=5, lids=lids_of(head.name, head)) for _ in range(2))
    assert np.array_equal(made.vertices, again.vertices)
    assert made.provenance["a"] == 1
    assert made.provenance["life"]["seed"] == 5
    assert made.provenance["life"]["blinks"]
    json.dumps(dict(made.provenance))
    assert np.array_equal(clip.vertices, still(head, 140).vertices), "the clip that was given is left alone"
    np.testing.assert_array_equal(made.landmarks, points(head, made.vertices))


def test_a_mesh_without_eyes_is_left_without_blinks() -> None:
    strip = strip_template()
    lids = landmark_lids(strip, strip.vertices)
    assert isinstance(lids, Lids)
    assert np.isfinite(lids.blink).all()
    made = with_life(still(strip, 2), strip, layers(2, blink=1.0, gaze=3.0, head=(1, 1, 1)), lids=lids)
    assert np.isfinite(made.vertices).all()


def test_lids_of_a_strange_topology_shut_and_leave_the_eyeballs_alone() -> None:
    folder = shared_data() / "ict_facekit"
    with np.load(folder / "ict_facekit.npz") as data:
        vertices, polygons = data["neutral"].astype(np.float32) / 100, data["polygons"]
    numbers = np.array(json.loads((folder / "vertex_indices.json").read_text())["idx_to_landmark_verts"])
    faces = np.concatenate([polygons[:, :3], polygons[polygons[:, 3] >= 0][:, [0, 2, 3]]]).astype(np.int32)
    rows = np.array([np.flatnonzero((faces == number).any(axis=1))[0] for number in numbers], np.int32)
    face = MeshTemplate("ict", vertices, faces, rows, (faces[rows] == numbers[:, None]).astype(np.float32))
    lids = landmark_lids(face, vertices)
    shut = vertices + lids.blink.sum(axis=0)
    assert openness(points(face, shut)[None], points(face, vertices)).max() < 0.1
    assert not lids.blink[:, 21451:24591].any(), "the eyeballs"
    assert np.linalg.norm(lids.blink, axis=2).max() < 15e-3
