"""Which recordings are meant, and what their clips are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from emovoca_cli.audio.find import find_recordings, is_pattern, short_names
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.wav", "a.WAV", "c.flac", "notes.txt", "deep/d.wav", "[odd].wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs: str) -> list[str]:
    return [str(path) for path in find_recordings(inputs)]


def test_files_folders_and_patterns(tree: Path) -> None:
    assert names("b.wav") == ["b.wav"]
    assert names(".") == ["[odd].wav", "a.WAV", "b.wav", "c.flac"]
    assert names("**/*.wav") == ["[odd].wav", "b.wav", "deep/d.wav"]
    assert names("deep", "b.wav", "?.wav", "./b.wav", "gone.wav") == ["deep/d.wav", "b.wav", "gone.wav"]
    assert names("[odd].wav") == ["[odd].wav"]
    assert is_pattern("[ab].wav")
    assert not is_pattern("[odd].wav")


def test_what_gives_none(tree: Path) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match="the folder empty holds no recording"):
        find_recordings(["empty"])
    with pytest.raises(UsageError, match="no file fits"):
        find_recordings(["x*.wav"])


def test_names_are_as_short_as_they_can_be() -> None:
    paths = [Path("x/a.wav"), Path("x/b.wav")]
    assert short_names(paths) == ("a", "b")
    assert short_names([*paths, Path("y/a.wav")]) == ("x-a", "x-b", "y-a")
    assert short_names([Path("x/a.wav"), Path("x/a.flac")]) == ("a-wav", "a-flac")
    assert short_names([Path("x/a.wav"), Path("y/A.wav")]) == ("x-a", "y-A")
    with pytest.raises(UsageError, match="same name"):
        short_names([Path("1/x/a.wav"), Path("2/x/a.wav")])
