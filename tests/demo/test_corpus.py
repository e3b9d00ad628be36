"""The demo corpus and its truth, on a small stand-in for the rig."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.store import Store
from emovoca_cli.demo.arkit import ARKIT_INDEX
from emovoca_cli.demo.corpus import EVERYONE, PEAK_FRAMES, _cast, expression_track, lip_gap_gains, write_demo_corpus
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.truth import DemoTruth
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.types import Float
from tests.data.fakes import grid, write_expression, write_talk

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Who:
    name: str
    neutral: Float
    basis: Float
    split: str


@dataclass(frozen=True)
class Said:
    id: str
    path: Path
    text: str
    phones: tuple[tuple[str, float, float], ...]


def people() -> list[Who]:
    template = grid()
    rng = np.random.default_rng(0)
    return [
        Who(
            name,
            template.vertices * np.float32(1 + rng.normal(0, 0.02)),
            rng.normal(0, 0.003, (52, 60, 3)).astype(np.float32),
            split,
        )
        for name, split in (("ada", "train"), ("ben", "val"), ("cyd", "test"))
    ]


def sayings(folder: Path, count: int = 2) -> list[Said]:
    phones = (
        ("SIL", 0.0, 0.2),
        ("M", 0.2, 0.3333333),
        ("AA", 0.3333333, 0.6),
        ("B", 0.6, 0.7),
        ("IY", 0.7, 0.9),
        ("SIL", 0.9, 1.2),
    )
    made = []
    for number in range(count):
        path = folder / f"u{number:03d}.wav"
        if number < 2:
            soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 16000 + 3200 * (number % 2)), 16000)
        else:
            path = folder / "u000.wav"
        made.append(Said(f"u{number:03d}", path, "mabi", phones))
    return made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    folder = tmp_path_factory.mktemp("corpus")
    return write_demo_corpus(folder / "data", sayings(folder), identities=people(), template=grid())


def test_everyone_speaks_everything_and_shows_every_label(corpus: tuple[Store, Store]) -> None:
    talk, expression = corpus
    assert [row.id for row in talk.clips] == [f"{who}_{what}" for what in ("u000", "u001") for who in ("ada", "ben", "cyd")]
    assert [row.frames for row in talk.select(subject="ada")] == [30, 36]  # round(duration x fps)
    assert {(row.subject, row.label) for row in expression.clips} == {
        (who, label) for who in ("ada", "ben", "cyd") for label in EMOTIONS_V2
    }
    assert {row.frames for row in expression.clips} == {60}
    assert expression.labels == EMOTIONS_V2
    assert talk.splits == {"train": ("ada",), "val": ("ben",), "test": ("cyd",)} == expression.splits
    assert len(list((talk.root / "speech").iterdir())) == 2
    assert "MIT" in talk.licence
    assert talk.verify() == expression.verify() == []


def test_expressions_rise_to_one_peak_and_return(corpus: tuple[Store, Store]) -> None:
    expression = corpus[1]
    emotions = load_emotions()
    for row in expression.clips:
        track = expression.coefficients(row.id)
        peak = int(np.argmax(np.square(track).sum(axis=1)))
        assert PEAK_FRAMES[0] <= peak <= PEAK_FRAMES[1]
        assert not track[[0, -1]].any()
        assert (np.diff(track[: peak + 1], axis=0) >= 0).all()
        assert (np.diff(track[peak:], axis=0) <= 0).all()
        assert np.abs(np.diff(track, axis=0)).max() < 0.12  # no jump
        natural = emotions[row.label or ""]
        assert ((track[peak] > 0) == (natural > 0)).all()
        assert np.abs(track[peak] / np.where(natural > 0, natural, 1) - (natural > 0)).max() < 0.5
    ada, ben = (expression.coefficients(f"{who}_happy") for who in ("ada", "ben"))
    assert np.abs(ada - ben).max() > 0.01  # each their own way


def test_expression_tracks_come_from_the_seed_alone() -> None:
    emotion = load_emotions()["sad"]
    first, second, third = (expression_track(emotion, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - third).max() > 0.01


def test_truth_without_emotion_is_the_talk_itself(corpus: tuple[Store, Store]) -> None:
    talk = corpus[0]
    truth = DemoTruth(talk.root.parent)
    for row in talk.clips:
        np.testing.assert_array_equal(truth.coefficients(row.id, None), talk.coefficients(row.id))
        np.testing.assert_allclose(truth(row.id, "happy", 0), talk.displacement(row.id), atol=1e-7)


def test_truth_is_the_identitys_own_emotion(corpus: tuple[Store, Store]) -> None:
    talk, expression = corpus
    truth = DemoTruth(talk.root.parent)
    brow = ARKIT_INDEX["browInnerUp"]
    track = expression.coefficients("ben_sad")
    for intensity in (1.0, 2.0):
        mixed = truth.coefficients("ben_u000", "sad", intensity)
        np.testing.assert_allclose(mixed[:, brow], track[:, brow].max() * intensity / 2, rtol=1e-5)  # speech leaves brows alone
    basis = talk.basis("ben")
    np.testing.assert_allclose(truth("ben_u000", "sad", 2.0), np.einsum("tk,kvc->tvc", mixed, basis), atol=1e-6)
    assert truth.articulation("ben_u000").closure[7:10].max() == 1  # the m of 0.2-0.33 s
    with pytest.raises(DataError, match="no 'bored' of ben"):
        truth("ben_u000", "bored", 2)


def test_two_writings_are_equal_and_resume_keeps_clips(tmp_path: Path, corpus: tuple[Store, Store]) -> None:
    said = sayings(tmp_path)

    class StopError(Exception):
        pass

    def stop(done: int, total: int, _metrics: object) -> None:
        assert total == 33 + 6
        if done == 35:
            raise StopError

    with pytest.raises(StopError):
        write_demo_corpus(tmp_path / "data", said, identities=people(), template=grid(), progress=stop)
    kept = tmp_path / "data" / "talk" / "clips" / "ada_u000.npy"
    stamp = kept.stat().st_mtime_ns
    talk, expression = write_demo_corpus(tmp_path / "data", said, identities=people(), template=grid())
    assert kept.stat().st_mtime_ns == stamp
    assert talk.files == corpus[0].files
    assert expression.files == corpus[1].files
    with pytest.raises(UsageError, match="--overwrite"):
        write_demo_corpus(tmp_path / "data", said, identities=people(), template=grid(), seed=1)


def test_the_built_in_corpus_is_twelve_by_forty() -> None:
    everyone = [replace(people()[0], name=f"p{number}") for number in range(12)]
    pairs = _cast(everyone, None)
    assert len({(who.name, utterance.id) for who, utterance in pairs}) == 480
    assert len({utterance.voice for _, utterance in pairs}) >= 5  # type: ignore[attr-defined]


def test_large_speech_is_dealt_out(tmp_path: Path) -> None:
    said = sayings(tmp_path, EVERYONE + 1)
    talk, _ = write_demo_corpus(tmp_path / "data", said, identities=people(), template=grid())
    assert len(talk.clips) == EVERYONE + 1
    assert [row.subject for row in talk.clips[:5]] == ["ada", "ben", "cyd", "ada", "ben"]


def test_bad_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no utterances"):
        write_demo_corpus(tmp_path / "data", [], identities=people(), template=grid())
    with pytest.raises(UsageError, match=r"folder .* does not exist"):
        write_demo_corpus(tmp_path / "no" / "data", sayings(tmp_path), identities=people(), template=grid())
    write_talk(tmp_path / "plain" / "talk")
    write_expression(tmp_path / "plain" / "expression")
    with pytest.raises(DataError, match="not rig data"):
        DemoTruth(tmp_path / "plain")


def test_gap_gains_are_the_vertical_opening_a_unit() -> None:
    template, who = grid(), people()[0]
    gain, rest = lip_gap_gains(template, who.neutral, who.basis)
    corners = template.faces[template.landmark_faces]
    points = (who.neutral[corners] * template.landmark_weights[..., None]).sum(1)
    opened = ((who.neutral + 0.5 * who.basis[17])[corners] * template.landmark_weights[..., None]).sum(1)

    def gap(p: Float) -> float:
        return float(np.mean([p[a, 1] - p[b, 1] for a, b in ((61, 67), (62, 66), (63, 65))]))

    assert rest == pytest.approx(gap(points), abs=1e-7)
    assert gap(opened) == pytest.approx(rest + 0.5 * float(gain[17]), abs=1e-6)
