"""Emotion tracks in files: the same track from YAML, CSV and SubRip, and what is wrong with a file is said with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.animation.cues import parse_timeline
from emovoca_cli.animation.track import Timeline
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.errors import DataError, UsageError

pytestmark = pytest.mark.unit

SAME = {
    "list.yaml": "- {start: 0.5, end: 1.5, emotion: happy, intensity: 3}\n"
    "- {start: 3, emotion: {happy: 0.7, sad: 0.3}, intensity: 2}\n",
    "cues.yml": "cues:\n  - {start: 0.5, end: 1.5, emotion: happy@high}\n"
    "  - {start: 3, emotion: 'happy:7, sad:3', intensity: mid}\n",
    "map.yaml": "0.5: happy@3\n1.5: neutral\n3: happy:0.7+sad:0.3@2\n",
    "comma.csv": 'start,end,emotion,intensity\n0.5,1.5,happy,3\n\n3,,"happy:0.7,sad:0.3",2\n',
    "semicolon.csv": "\ufeffStart;Emotion;End\n0.5;happy@3;1.5\n3;happy:0.7+sad:0.3@2\n",
    "words.srt": (
        "1\n00:00:00,500 --> 00:00:01,500\n<i>[happy@3]</i> Hello!\n\n2\r\n00:00:03,000 --> 00:00:59,000\r\nhappy:0.7+sad:0.3@2\r\n"
    ),
}


def read(path: Path, intensity: str | float = 2.0) -> Timeline:
    return parse_timeline(str(path), intensity, names=EMOTIONS_V2, transition=0.2)


@pytest.mark.parametrize("name", SAME)
def test_every_form_gives_the_same_track(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SAME[name], encoding="utf-8", newline="")
    times = np.arange(0, 5, 0.02)
    expected = parse_timeline(
        "0:neutral, 0.5:happy@3, 1.5:neutral, 3:happy:0.7+sad:0.3@2", 1, names=EMOTIONS_V2, transition=0.2
    ).sample(times, EMOTIONS_V2)
    seen = read(tmp_path / name).sample(times, EMOTIONS_V2)
    np.testing.assert_allclose(seen.emotion, expected.emotion, atol=1e-6)
    np.testing.assert_allclose(seen.intensity, expected.intensity, atol=1e-6)


def test_a_gap_too_short_to_become_neutral_in_is_bridged(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("start,end,emotion\n0,1,happy\n1.1,2,sad\n2.5,3,sad\n")
    assert [cue.start for cue in read(path).cues] == [0, 1.1, 2, 2.5, 3]


def test_an_intensity_file_and_rows_without_their_own(tmp_path: Path) -> None:
    (tmp_path / "level.csv").write_text("start,intensity\n0,1\n2,high\n")
    made = parse_timeline("sad", str(tmp_path / "level.csv"), names=EMOTIONS_V2)
    assert made.levels == ((0.0, 1.0), (2.0, 3.0))
    (tmp_path / "plain.csv").write_text("start,emotion\n0,happy\n")
    assert read(tmp_path / "plain.csv", 1.5).sample([0.0], EMOTIONS_V2).intensity[0] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "", "a.yaml is empty"),
        ("a.yaml", "[]", "holds no entry"),
        ("a.yaml", "happy", "holds str"),
        ("a.yaml", "- happy", "entry 1 is 'happy'"),
        ("a.yaml", "- {start: 0, emotion: happy]", "is not YAML"),
        ("a.yaml", "- {emotion: happy}", "entry 1 has no start"),
        ("a.yaml", "- {start: soon, emotion: happy}", "entry 1 has the start 'soon'"),
        ("a.yaml", "- {start: 0}", "entry 1 has no emotion"),
        ("a.yaml", "- {start: 0, mood: happy}", "entry 1 has 'mood'"),
        ("a.yaml", "- {start: 0, emotion: happy@2, intensity: 1}", "stands there twice"),
        ("a.csv", "0,happy\n", "expected a header"),
        ("a.csv", "start,emotion\n", "holds no entry"),
        ("a.csv", "start,emotion\n0,happy\n1,hapy\n", "line 3: unknown emotion 'hapy'; did you mean happy?"),
        ("a.csv", "start,emotion\n0,happy:1,sad:1\n", "line 2 has 3 cells"),
        ("a.csv", "start,emotion\n2,happy\n1,sad\n", "line 3: the track goes backwards"),
        ("a.csv", "start,end,emotion\n0,2,happy\n1,3,sad\n", "line 3: it starts at 1 s and overlaps"),
        ("a.csv", "start,end,emotion\n2,1,happy\n", "line 2: it ends at 1 s, before it starts"),
        ("a.csv", "start,emotion,intensity\n0,happy,9\n", "line 2: intensity 9 is out of range"),
        ("a.csv", "start,intensity\n0,2\n", "line 2: there is no emotion"),
        ("a.srt", "1\nhappy\n", "subtitle 1 has no line like"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n", "subtitle 1 has no text"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello there\n", "subtitle 1: unknown emotion 'Hello there'"),
        (
            "a.srt",
            "00:00:00,0 --> 00:00:02,0\nsad\n\n00:00:01,5 --> 00:00:03,0\nsad\n",
            "subtitle 2: it starts at 1.5 s and overlaps",
        ),
    ],
)
def test_files_that_hold_no_track(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path / name)
    assert words in str(error.value)
    assert name in str(error.value)


def test_an_end_says_nothing_about_an_intensity(tmp_path: Path) -> None:
    (tmp_path / "level.csv").write_text("start,end,intensity\n0,1,1\n")
    with pytest.raises(DataError, match="line 2 has an end"):
        parse_timeline("sad", str(tmp_path / "level.csv"), names=EMOTIONS_V2)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "track.txt").write_text("happy")
    with pytest.raises(UsageError, match=r"track\.txt is not a track that can be read; give one that ends in \.yaml"):
        read(tmp_path / "track.txt")
