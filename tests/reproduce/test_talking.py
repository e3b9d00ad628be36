"""How generators are scored: the one-hots they hear, the baseline's sum, which test sequences, and errors known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.constants import MM
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.data.store import Store, spread
from emovoca_cli.dataset_builder.build import build_dataset
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.errors import DataError
from emovoca_cli.reproduce import talkers as talkers_module
from emovoca_cli.reproduce.cells import Cells
from emovoca_cli.reproduce.job import Given, Job
from emovoca_cli.reproduce.scales import SCALES
from emovoca_cli.reproduce.table3 import _by_test
from emovoca_cli.reproduce.talkers import Talker, Talkers
from emovoca_cli.reproduce.talking import neutral_of, offset_of, rest_scores, score_entries, score_given, speak, summary
from emovoca_cli.types import Float
from tests.data.fakes import FakeMixer, fake_mixer, write_expression, write_talk
from tests.generators.fakes import FakeSource

pytestmark = pytest.mark.unit


class Listener:
    """A generator that writes down what it is told, and moves every vertex down by 1 mm times the frame's number."""

    emotions = ("happy", "sad")
    fps = 30.0

    def __init__(self) -> None:
        self.heard: list[tuple[Float, Float]] = []

    def frames(self, speech: Float) -> int:
        return frame_count(len(speech), self.fps)

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        self.heard.append((emotion, intensity))
        return np.arange(len(emotion), dtype=np.float32)

    def vertices(self, motion: Float) -> Float:
        moved = np.zeros((len(motion), 96, 3), np.float32)
        moved[:, :, 1] = -0.001 * motion[:, None]
        return moved


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    return FakeSource(tmp_path)


def entry_of(source: SequenceSource, name: str) -> SequenceEntry:
    return next(entry for entry in source.entries if entry.id == name)


def test_one_hots_follow_the_labels_and_are_zero_for_neutral_speech(source: FakeSource) -> None:
    listener = Listener()
    sad = entry_of(source, "dot_0_sad_3")
    moved = speak(listener, sad)  # type: ignore[arg-type]
    speak(listener, neutral_of(sad))  # type: ignore[arg-type]
    speak(listener, entry_of(source, "dot_0"))  # type: ignore[arg-type]
    frames = frame_count(len(load_speech(sad.audio)), 30.0)
    assert moved.shape == (frames, 96, 3)
    emotion, intensity = listener.heard[0]
    assert np.array_equal(emotion, np.tile([0, 1], (frames, 1)))
    assert np.array_equal(intensity, np.tile([0, 0, 1], (frames, 1)))
    for emotion, intensity in listener.heard[1:]:
        assert emotion.shape == (frames, 2)
        assert intensity.shape == (frames, 3)
        assert not emotion.any()
        assert not intensity.any()


class Built:
    """A v1 dataset over the tiny world whose mixtures are talk + mu_e / 2 expression, exactly."""

    def __init__(self, root: Path) -> None:
        self.talk, self.expression = write_talk(root / "talk", clips=3), write_expression(root / "expression")
        mixer = fake_mixer(root / "mixer")
        build_dataset(self.talk, self.expression, mixer, root / "set", "v1")
        self.data = EmoDataset(root / "set", load_mixer=FakeMixer)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("built"))


def emotional(data: EmoDataset, level: int) -> list[SequenceEntry]:
    return [entry for entry in data.entries if entry.split == "test" and entry.intensity == level]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_baseline_is_exact_where_mixtures_are_sums(built: Built, level: int) -> None:
    """Where the truth is talk + mu_e / 2 expression, the scaled baseline on the true talk has no error, the other a share of it."""
    data, entries = built.data, emotional(built.data, level)

    def baseline(*, scaled: bool) -> dict[str, float]:
        scores = score_entries(
            data,
            entries,
            lambda entry: built.talk.displacement(entry.talk) + offset_of(data, built.expression, entry, scaled=scaled),
        )
        return summary(scores)

    assert baseline(scaled=True)["lve"] == pytest.approx(0, abs=0.05)  # codes are kept as float16
    lips = np.asarray(data.template.regions["lips"])
    off = []
    for entry in entries:
        clip = built.expression.select(subject="dan", label=entry.emotion)[0]
        motion = built.expression.displacement(clip.id)
        peak = motion[np.square(motion).sum(axis=(1, 2)).argmax()]
        off += [np.linalg.norm(peak[lips], axis=1).max() * abs(1 - level / 2)] * entry.frames
    assert baseline(scaled=False)["lve"] == pytest.approx(np.mean(off) * MM, abs=0.05)


def test_a_missing_expression_is_named(built: Built) -> None:
    entry = emotional(built.data, 1)[0]
    silent = Store(built.expression.root)
    silent.clips = tuple(row for row in silent.clips if row.label != entry.emotion)
    with pytest.raises(DataError, match=f"no '{entry.emotion}' for dan"):
        offset_of(built.data, silent, entry, scaled=True)


def test_scores_are_the_papers_in_closed_form(built: Built) -> None:
    """A face at rest errs by the truth itself: mean over frames of its largest displacement on the lips."""
    entries = [entry for entry in built.data.entries if entry.split == "test" and entry.emotion is None]
    rest = summary(score_entries(built.data, entries, lambda entry: np.zeros((entry.frames, 60, 3), np.float32)))
    lips = np.asarray(built.data.template.regions["lips"])
    largest = np.concatenate([np.linalg.norm(built.talk.displacement(entry.id)[:, lips], axis=2).max(axis=1) for entry in entries])
    assert rest["lve"] == pytest.approx(largest.mean() * MM, rel=1e-5)
    assert rest["frames"] == len(largest)
    assert "uve" not in rest, "the grid has no upper face: nothing was measured, so there is no number"
    assert set(rest["groups"]["emotion"]) == {"neutral"}


def test_lengths_that_differ_are_cut_and_said(built: Built) -> None:
    entries = emotional(built.data, 2)[:1]
    short = summary(score_entries(built.data, entries, lambda entry: built.data.displacement(entry)[:-1]))
    assert short["lve"] == pytest.approx(0, abs=1e-6)
    assert short["frames"] == entries[0].frames - 1
    assert any("first" in note for note in short["notes"])


def job_of(built: Built, root: Path, given: Given | None = None) -> Job:
    return Job(
        built.talk, built.expression, SCALES["tiny"], (0,), Cells(root / "cells"), torch.device("cpu"), given=given or Given()
    )


@pytest.fixture
def talkers(built: Built, tmp_path: Path) -> Talkers:
    """Talkers whose dataset is the exact one."""
    made = Talkers(job_of(built, tmp_path))
    made._datasets = {"v1": built.data, "v2": built.data}
    return made


def test_tests_are_spread_over_clips_and_conditions(talkers: Talkers) -> None:
    (one,) = talkers.tests("neutral")
    assert (one.split, one.emotion) == ("test", None)
    chosen = talkers.tests("v1")
    assert [entry.talk for entry in chosen] == [one.talk]
    assert chosen == talkers.tests("v1"), "the same every time"
    talkers.scale = type(talkers.scale)(talkers.scale.s2l, talkers.scale.s2d, talkers.scale.faceformer, test_conditions=5)
    many = talkers.tests("v1")
    counts = {(entry.emotion, entry.intensity): 0 for entry in many}
    assert len(many) == 3 * 5 == len(counts), "three clips, five conditions each, no condition twice before all were used"


def test_scores_are_kept_as_cells(talkers: Talkers, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rest_scores(talkers, "neutral")
    monkeypatch.setattr("emovoca_cli.reproduce.talking.score_entries", lambda *_, **__: pytest.fail("scored twice"))
    assert rest_scores(talkers, "neutral") == first
    assert [done.kept for done in talkers.job.cells.used.values()] == [False]


def test_datasets_are_mixed_by_the_built_in_desd_or_by_one_of_the_data(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SimpleNamespace(path=tmp_path / "cells" / "desd-1")
    mine = SimpleNamespace(template=built.data.template, path=Path("assets"))
    monkeypatch.setattr(talkers_module, "trained", lambda job, name, seed: (job.talk, name, seed))
    monkeypatch.setattr(talkers_module, "mixer_of", lambda job, done: made if done == (built.talk, "DE-SD", 0) else None)
    assert Talkers(job_of(built, tmp_path)).mixer is made, "the built-in model is of another topology"
    assert Talkers(job_of(built, tmp_path)).mixer_words == "a DE-SD trained on this data, seed 0"
    monkeypatch.setattr(talkers_module.Mixer, "load", lambda **_: mine)
    assert Talkers(job_of(built, tmp_path)).mixer is mine
    assert Talkers(job_of(built, tmp_path)).mixer_words == "the built-in DE-SD"


def test_names_of_rows() -> None:
    assert Talker("s2l", "v2").name == "E-S2L+S2D (v2)"
    assert Talker("faceformer", "neutral").name == "FaceFormer (neutral)"


@pytest.mark.parametrize(
    ("rows", "count", "kept"), [("abcde", 2, "ae"), ("abcde", 3, "ace"), ("abc", 5, "abc"), ("abc", None, "abc"), ("abcd", 1, "a")]
)
def test_spread(rows: Sequence[str], count: int | None, kept: str) -> None:
    assert "".join(spread(rows, count)) == kept


def test_a_thinned_store_builds_a_smaller_dataset(built: Built, tmp_path: Path) -> None:
    thin = built.talk.thinned(2)
    assert [row.id for row in thin.select(subject="dan")] == ["dan_s0", "dan_s2"]
    assert len(built.talk.clips) == 12, "the store itself keeps its clips"
    report = build_dataset(thin, built.expression, fake_mixer(tmp_path / "mixer"), tmp_path / "set", "v1")
    assert report.sequences == 8 * 15
    data = EmoDataset(tmp_path / "set", load_mixer=FakeMixer)
    assert len(data.entries) == 8 * 16


def test_given_predictions_find_their_test_set(built: Built, tmp_path: Path) -> None:
    def folder(*names: str) -> Path:
        place = tmp_path / f"p{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        for name in names:
            np.save(place / f"{name}.npy", np.zeros((2, 60, 3), np.float32))
        return place

    def test_of(place: Path, match: str = "{id}") -> str:
        return _by_test(Talkers(job_of(built, tmp_path, Given({"X": place}, match=match))))["X"][1]

    assert test_of(folder("dan_s0")) == "neutral"
    assert test_of(folder("dan_s0_happy_1", "dan_s0_sad_2")) == "v1"
    assert test_of(folder("dan_s0_happy_1", "dan_s0_drunk_2")) == "v2"
    assert test_of(folder("dan_s0_condition_ann", "dan_s0_condition_bob"), "{id}_condition_*") == "neutral"
    with pytest.raises(DataError, match="no prediction of a test clip: the first is ann_s0, expected dan_s0"):
        test_of(folder("ann_s0"))


def test_given_predictions_are_scored_on_what_they_hold(built: Built, tmp_path: Path) -> None:
    entries = [entry for entry in built.data.entries if entry.split == "test" and entry.emotion is None]
    rest = built.data.neutral("dan")
    for entry in entries[:2]:
        np.save(tmp_path / f"{entry.id}.npy", rest + built.talk.displacement(entry.id) + np.float32(0.001))
    result = summary(score_given(built.data, entries, tmp_path, match="{id}"))
    assert result["lve"] == pytest.approx(np.sqrt(3), rel=1e-4), "one millimetre along each axis"
    assert result["sequences"] == 2
    assert any("1 truths have no prediction" in note for note in result["notes"])
