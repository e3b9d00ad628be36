"""Motion measured by itself: lips against phones, jitter, silence, lips that pass through each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.assets import ASSETS
from emovoca_cli.audio.io import load_speech
from emovoca_cli.cli.app import run
from emovoca_cli.errors import DataError
from emovoca_cli.evaluation import lipsync
from emovoca_cli.evaluation.align import align
from emovoca_cli.evaluation.crossing import crossings, lip_triangles
from emovoca_cli.evaluation.lipsync import LipTrack, chance_above, runs
from emovoca_cli.evaluation.metrics import NotMeasuredError
from emovoca_cli.evaluation.motion import MOTION, Motion, Speech, quiet_frames
from emovoca_cli.evaluation.regions import LIPS, Region
from emovoca_cli.evaluation.speech import Source, find_sources, match_speech, read_speech
from emovoca_cli.evaluation.takes import Take
from tests.evaluation import worked

pytestmark = pytest.mark.unit
PHONES = (
    ("SIL", 0.0, 0.4), ("M", 0.4, 0.5), ("AA", 0.5, 0.8), ("P", 0.8, 0.9), ("AE", 0.9, 1.2), ("B", 1.2, 1.3), ("UW", 1.3, 1.6),
    ("IY", 1.6, 1.9), ("SIL", 1.9, 2.4),
)  # fmt: skip
FPS = 100.0


def spoken(shift: int = 0) -> LipTrack:
    """Lips that do what the phones ask, `shift` frames late; the corners apart as the vowel asks."""
    landmarks = np.zeros((241, 68, 3), np.float32)
    landmarks[:, 54, 0] = 0.05
    for name, start, end in PHONES:
        frames = slice(int(start * FPS) + shift, int(end * FPS) + shift)
        landmarks[frames, 61:64, 1] = 0.02 * lipsync.OPENNESS[name] if name != "SIL" else 0.0
        landmarks[frames, 54, 0] = 0.03 if name in lipsync.ROUNDED else 0.06
    return LipTrack(landmarks, FPS, PHONES)


def ratio(measured: tuple[float, float]) -> float:
    assert measured[1] > 0
    return measured[0] / measured[1]


def test_lips_that_follow_the_phones() -> None:
    track = spoken()
    assert lipsync.closure(track) == (3.0, 3.0)
    assert ratio(lipsync.bilabial_gap(track)) == 0.0
    assert ratio(lipsync.open_chance(track)) == 1.0
    assert ratio(lipsync.round_chance(track)) == 1.0
    assert ratio(lipsync.lag(track)) == 0.0
    assert ratio(lipsync.sync(track)) > 0.9
    assert ratio(lipsync.precision(track)) == 1.0


def test_late_lips_are_found_late_and_open_lips_do_not_close() -> None:
    assert ratio(lipsync.lag(spoken(12))) == pytest.approx(120.0)
    open_at_p = spoken()
    open_at_p.landmarks[80:91, 61:64, 1] = 0.019
    assert lipsync.closure(open_at_p) == (2.0, 3.0)
    assert ratio(lipsync.bilabial_gap(open_at_p)) == pytest.approx(19 / 3, rel=1e-4)
    closed_at_vowel = spoken()
    closed_at_vowel.landmarks[100:110, 61:64, 1] = 0.0
    assert lipsync.precision(closed_at_vowel)[1] == lipsync.precision(spoken())[1] + 1
    assert ratio(lipsync.precision(closed_at_vowel)) < 1


def test_nothing_is_measured_on_still_lips_or_absent_phones() -> None:
    still = LipTrack(np.ones((100, 68, 3), np.float32), FPS, PHONES)
    for measured in (lipsync.closure, lipsync.lag, lipsync.sync, lipsync.precision):
        with pytest.raises(NotMeasuredError, match="do not move"):
            measured(still)
    silent = LipTrack(spoken().landmarks, FPS, (("SIL", 0.0, 2.4),))
    assert lipsync.closure(silent) == (0.0, 0.0)
    assert lipsync.open_chance(silent)[1] == 0
    for measured in (lipsync.lag, lipsync.sync, lipsync.precision):
        with pytest.raises(NotMeasuredError, match="phones"):
            measured(silent)
    late = LipTrack(spoken().landmarks[:30], FPS, PHONES)  # every bilabial lies after its end
    late.landmarks[5:15, 61:64, 1] = 0.01
    assert lipsync.closure(late) == (0.0, 0.0)


def test_small_helpers() -> None:
    assert chance_above(np.array([1.0, 2.0]), np.array([1.0])) == pytest.approx(0.75)
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, dtype=np.bool_)) == []


def moving(vertices: np.ndarray, speech: Speech | None = None, *, fps: float | None = 30.0) -> Motion:
    lips = Region(LIPS, np.arange(vertices.shape[1]), "all")
    return Motion(Take(Path("x.npy"), vertices, 1.0, fps), {LIPS: lips}, speech)


def test_jitter_is_the_third_derivative() -> None:
    seconds = np.arange(20)[:, None, None] / 30.0
    along = np.array([1.0, 2.0, 2.0]) * np.ones((4, 1))
    assert ratio(MOTION["jitter_m_s3"].measure(moving(0.01 * seconds**3 * along))) == pytest.approx(0.06 * 3)
    assert ratio(MOTION["jitter_m_s3"].measure(moving(0.01 * seconds**2 * along))) == pytest.approx(0, abs=1e-8)
    long = np.random.default_rng(0).normal(size=(300, 4, 3))
    expected = np.linalg.norm(np.diff(long, n=3, axis=0), axis=2).mean() * 30**3
    assert ratio(MOTION["jitter_m_s3"].measure(moving(long))) == pytest.approx(expected)
    with pytest.raises(NotMeasuredError, match="--fps"):
        MOTION["jitter_m_s3"].measure(moving(long, fps=None))


def test_motion_in_silence() -> None:
    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    samples = np.concatenate([tone, np.zeros(16000, np.float32)])
    quiet = quiet_frames(samples, 70, 30.0)
    assert not quiet[:30].any()
    assert quiet[31:].all()
    vertices = np.zeros((60, 4, 3))
    vertices[:, :, 0] = np.cumsum(np.where(np.arange(60) < 33, 0.002, 0.0005))[:, None]
    for speech in (Speech(samples), Speech(None, (("AA", 0.0, 1.0), ("SIL", 1.0, 2.0)))):
        motion = moving(vertices, speech)
        assert ratio(MOTION["silence_speed_mm_s"].measure(motion)) == pytest.approx(15.0)
        assert 0.2 < ratio(MOTION["silence_share"].measure(motion)) < 0.3
    assert MOTION["silence_speed_mm_s"].measure(moving(vertices, Speech(np.concatenate([tone, tone]))))[1] == 0
    with pytest.raises(NotMeasuredError, match="--speech"):
        MOTION["silence_speed_mm_s"].measure(moving(vertices))


def crosses(first: np.ndarray, second: np.ndarray) -> bool:
    """The slow twin: an edge of one has its ends on both sides of the other, and passes inside its three edges."""

    def volume(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
        return float(np.linalg.det(np.stack([b - a, c - a, d - a])))

    for one, other in ((first, second), (second, first)):
        for index in range(3):
            start, end = one[index], one[(index + 1) % 3]
            if volume(*other, start) * volume(*other, end) >= 0:
                continue
            sides = [volume(start, end, other[k], other[(k + 1) % 3]) for k in range(3)]
            if all(side > 0 for side in sides) or all(side < 0 for side in sides):
                return True
    return False


def test_crossing_triangles_as_the_slow_twin_finds_them() -> None:
    generator = np.random.default_rng(3)
    vertices = generator.normal(size=(36, 3))
    triangles = np.arange(36).reshape(12, 3)
    triangles[1, 0] = triangles[0, 0]  # these two share a corner, and never count
    expected = sum(
        crosses(vertices[triangles[a]], vertices[triangles[b]])
        for a in range(12)
        for b in range(a + 1, 12)
        if not set(triangles[a]) & set(triangles[b])
    )
    assert expected > 5
    assert crossings(vertices, triangles) == expected
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]], np.float64)
    assert crossings(flat, np.array([[0, 1, 2], [3, 4, 5]])) == 0
    assert crossings(flat, np.zeros((0, 3), np.int64)) == 0
    assert lip_triangles(np.array([[0, 1, 2], [1, 2, 3]], np.int32), np.array([0, 1, 2])).tolist() == [[0, 1, 2]]


def test_frames_whose_lips_cross_more_than_at_rest() -> None:
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    rest = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.2, 0.2, 1], [0.3, 0.2, 1], [0.2, 0.3, 2]], np.float64)
    sunk = rest.copy()
    sunk[3:5, 2] = -0.5
    take = Take(Path("x"), np.stack([rest, sunk, sunk, rest]), 1.0, 30.0, rest=rest, faces=faces)
    motion = Motion(take, {LIPS: Region(LIPS, np.arange(6), "all")}, None)
    assert MOTION["lips_crossing_frames"].measure(motion) == (2.0, 4.0)
    assert MOTION["lips_crossing_pairs"].measure(motion) == (2.0, 4.0)


def test_speech_is_found_by_name(tmp_path: Path) -> None:
    sources = find_sources(ASSETS / "speech")
    assert match_speech("abel_s01_happy_2", sources) == "s01"
    assert match_speech("abel", sources) is None
    with pytest.raises(DataError, match="may say"):
        match_speech("s01_s02", sources)
    made = read_speech(["abel_s01", "other"], sources, load_speech)
    assert list(made) == ["abel_s01"]
    assert len(made["abel_s01"].phones) > 10
    with pytest.raises(DataError, match="named after"):
        read_speech(["other"], sources, load_speech)
    (tmp_path / "a.txt").write_text("hello")
    assert find_sources(tmp_path) == {"a": Source(None, "hello", None)}
    (tmp_path / "b.json").write_text('{"phones": [["AA1", 0.0, 1.0]], "text": "ah"}')
    assert find_sources(tmp_path)["b"].phones == (("AA", 0.0, 1.0),)


@pytest.mark.parametrize("times", ["0.5, 0.2", "-0.1, 0.2", "0.0, NaN", "NaN, 0.2", "0.0, Infinity", '"x", 0.2'])
def test_phones_at_no_time_are_named(tmp_path: Path, times: str) -> None:
    (tmp_path / "b.json").write_text(f'{{"phones": [["SIL", 0.0, 0.1], ["AA1", {times}]]}}')
    with pytest.raises(DataError, match=r"b\.json has (the phone AA from|phones that are not)"):
        find_sources(tmp_path)


def test_the_aligner_finds_what_the_corpus_knows() -> None:
    pytest.importorskip("pocketsphinx", reason='the aligner is not installed: pip install "emovoca[align]"')
    sources = find_sources(ASSETS / "speech")
    samples = load_speech(sources["s01"].audio or Path())
    found = align(samples, sources["s01"].text or "")
    assert found == align(samples, sources["s01"].text or "")
    known = [phone for phone in sources["s01"].phones or () if phone[0] in {"M", "B", "P"}]
    heard = [phone for phone in found if phone[0] in {"M", "B", "P"}]
    assert [phone[0] for phone in heard] == [phone[0] for phone in known]
    assert np.median([abs(a[1] - b[1]) for a, b in zip(heard, known, strict=True)]) < 0.04
    with pytest.raises(DataError, match="pronunciation"):
        align(samples, "xqzzt hello")
    with pytest.raises(DataError, match="empty"):
        align(samples, "...")


def test_motion_without_a_truth_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    worked.write_clip(tmp_path / "clips" / "a.npz", worked.REST + generator.normal(0, 0.01, (60, 4, 3)))
    (tmp_path / "said").mkdir()
    soundfile.write(tmp_path / "said" / "a.wav", np.sin(np.arange(32000) * 0.3) * (np.arange(32000) < 16000), 16000)
    (tmp_path / "said" / "a.json").write_text(json.dumps({"phones": [["P", 0.2, 0.3], ["AA", 0.3, 0.9]]}))
    head = ["evaluate", "score", "--pred", "clips", "--lips", "mouth"]
    assert run(head) == 2
    capsys.readouterr()
    (tmp_path / "lips.txt").write_text("0 1 2")
    (tmp_path / "upper.txt").write_text("3")
    head = ["evaluate", "score", "--pred", "clips", "--lips", "lips.txt", "--upper", "upper.txt", "--speech", "said", "--json"]
    assert run(head) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"] == {}
    assert found["presets"] == {}
    assert {"jitter_m_s3", "silence_speed_mm_s", "silence_share", "lips_overlap_mm"} <= set(found["motion"])
    assert "closure" not in found["motion"]
    assert "do not move" in found["not_measured"]["closure"][0]
    assert run([*head, "--preset", "paper"]) == 2
    assert "--truth" in capsys.readouterr().err
