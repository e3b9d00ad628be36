"""The weights that ship: they follow human speech that they never heard, keep lips closed under a smile, and look alive."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from emovoca_cli.animation.animate import animate
from emovoca_cli.cli.app import run
from emovoca_cli.generators.load import SpeechGenerator, load_generator
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Clip
from tests.helpers import shared_data

pytestmark = pytest.mark.pipeline
SPEECH = Path(__file__).resolve().parents[2] / "examples" / "speech.wav"


@pytest.fixture(scope="module", params=["s2l", "faceformer"])
def generator(request: pytest.FixtureRequest) -> SpeechGenerator:
    """Each built-in generator in turn."""
    return load_generator(str(request.param))


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    pytest.importorskip("pocketsphinx", reason="the aligner is not installed: pip install pocketsphinx")
    path = shared_data().parent / "tools" / "lipsync_score.py"
    if not path.is_file():
        pytest.skip("the reference scorer is not beside the sample data")
    spec = importlib.util.spec_from_file_location("lipsync_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(generator: SpeechGenerator, scorer: ModuleType, emotion: str, intensity: float, *, shift: int = 0) -> dict[str, float]:
    """Mean scores over the human recordings; `shift` scores each against the words of another one."""
    files = sorted((shared_data() / "ljspeech").glob("*.wav"))
    assert len(files) == 8
    phones = [scorer.align(str(path), path.with_suffix(".txt").read_text()) for path in files]
    rows = []
    for index, path in enumerate(files):
        clip = animate(path, generator, emotion=emotion, intensity=intensity)
        rows.append(scorer.score(clip.landmarks.astype(float), clip.fps, phones[(index + shift) % len(files)]))
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def test_neutral_speech_follows_a_human_voice(generator: SpeechGenerator, scorer: ModuleType) -> None:
    seen = scores(generator, scorer, "neutral", 0)
    assert seen["closure"] >= 0.80
    assert seen["open_auc"] >= 0.90
    assert seen["round_auc"] >= 0.80
    assert seen["corr"] >= 0.60
    assert abs(seen["lag_ms"]) <= 2 * 1000 / generator.fps


def test_lips_still_close_when_happy(generator: SpeechGenerator, scorer: ModuleType) -> None:
    assert scores(generator, scorer, "happy", 2)["closure"] >= 0.75


def test_the_words_of_another_recording_do_not_fit(generator: SpeechGenerator, scorer: ModuleType) -> None:
    assert scores(generator, scorer, "neutral", 0, shift=1)["corr"] < 0.35


def corners(clip: Clip, generator: SpeechGenerator) -> float:
    """Mean height of the mouth's corners over rest, metres."""
    rest = generator.template
    points = landmark_points(rest.vertices, rest.faces, rest.landmark_faces, rest.landmark_weights)
    return float(clip.landmarks[:, [48, 54], 1].mean() - points[[48, 54], 1].mean())


def test_emotions_are_seen_and_grow_with_intensity(generator: SpeechGenerator) -> None:
    heights = [corners(animate(SPEECH, generator, emotion="happy", intensity=level), generator) for level in (0, 1, 2, 3)]
    assert all(low + 0.5e-3 < high for low, high in itertools.pairwise(heights)), heights
    assert heights[3] - heights[0] > 4e-3
    assert corners(animate(SPEECH, generator, emotion="sad", intensity=3), generator) < heights[0] - 1e-3


def test_the_mouth_rests_in_silence_and_moves_in_speech(generator: SpeechGenerator) -> None:
    clip = animate(SPEECH, generator, emotion="neutral", intensity=0)
    opening = lip_opening(clip.landmarks)
    assert opening.max() > 6e-3
    assert np.isfinite(clip.vertices).all()
    assert abs(float(opening[-3:].mean())) < 2.5e-3


def test_same_input_same_clip(generator: SpeechGenerator) -> None:
    first, second = (animate(SPEECH, generator, emotion="angry", intensity=2.5) for _ in range(2))
    assert np.array_equal(first.vertices, second.vertices)
    assert first.emotion.shape == (first.frames, 11)


@pytest.mark.parametrize(("name", "networks"), [("s2l", {"s2l", "s2d"}), ("faceformer", {"faceformer"})])
def test_a_built_in_model_is_chosen_by_its_name(name: str, networks: set[str], tmp_path: Path) -> None:
    out = tmp_path / "clip.npz"
    line = ["animate", str(SPEECH), "--emotion", "happy", "--intensity", "3", "--model", name, "--out", str(out), "--quiet"]
    assert run(line) == 0
    clip = Clip.load(out)
    assert set(clip.provenance["models"]) == networks
    assert np.abs(clip.vertices - clip.template).max() > 5e-3
    assert np.array_equal(clip.vertices, animate(SPEECH, load_generator(name), emotion="happy", intensity=3).vertices)


def test_the_two_generators_speak_alike_and_are_not_one() -> None:
    first, second = (
        lip_opening(animate(SPEECH, load_generator(name), emotion="neutral", intensity=0).landmarks)
        for name in ("s2l", "faceformer")
    )
    assert np.corrcoef(first, second)[0, 1] > 0.8
    assert np.abs(first - second).max() > 1e-4


def test_other_frame_rates_keep_the_motion(generator: SpeechGenerator) -> None:
    slow, fast = (animate(SPEECH, generator, emotion="happy", intensity=3, fps=fps) for fps in (30, 60))
    assert abs(fast.frames - 2 * slow.frames) <= 1
    shared = min(slow.frames, (fast.frames + 1) // 2) - 1
    np.testing.assert_allclose(fast.vertices[: 2 * shared : 2], slow.vertices[:shared], atol=1e-5)
