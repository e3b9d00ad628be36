"""Writing whole or not at all, and refusing output places early."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write, check_output, hash_bytes, hash_file, read_json, write_json
from emovoca_cli.types import Clip

pytestmark = pytest.mark.unit


def small_clip(frames: int = 3) -> Clip:
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(4, 3)).astype(np.float32)
    return Clip(
        vertices=rest + rng.normal(size=(frames, 4, 3)).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32),
        template=rest,
        landmarks=rng.normal(size=(frames, 68, 3)).astype(np.float32),
        fps=29.97,
        emotion_names=("sad", "happy"),
        emotion=np.eye(2, dtype=np.float32)[[0, 1, 1][:frames]],
        intensity=np.array([0.5, 1.0, 3.0], dtype=np.float32)[:frames],
        provenance={"seed": 3, "licence": "MIT"},
    )


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match="No space left"), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_the_temporary_file_is_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch = Path.touch

    def interrupted(path: Path, mode: int = 0o666, exist_ok: bool = True) -> None:
        touch(path, mode, exist_ok)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.npy"):
        pass
    assert not list(tmp_path.iterdir())


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_output_places_are_refused_early(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="does not exist"):
        check_output(tmp_path / "none" / "a.npz")
    with pytest.raises(UsageError, match="--overwrite"):
        check_output(tmp_path / "file")
    with pytest.raises(UsageError, match="a folder already"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(UsageError, match="a file already"):
        check_output(tmp_path / "file", directory=True)
    assert check_output(tmp_path / "file", overwrite=True) == tmp_path / "file"


def test_json_goes_round_and_says_what_is_wrong(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None], "a": "ä"})
    assert read_json(tmp_path / "a.json") == {"a": "ä", "b": [1, 2.5, None]}
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError, match=r"b\.json is not readable JSON"):
        read_json(tmp_path / "b.json")
    with pytest.raises(UsageError, match="does not exist"):
        read_json(tmp_path / "c.json")


def test_hashes_know_where_a_part_ends(tmp_path: Path) -> None:
    assert hash_bytes(b"ab", b"c") != hash_bytes(b"a", b"bc")
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_clip_goes_round_whole(tmp_path: Path) -> None:
    clip = small_clip()
    clip.save(tmp_path / "clip.npz")
    back = Clip.load(tmp_path / "clip.npz")
    for name in ("vertices", "faces", "template", "landmarks", "emotion", "intensity"):
        assert np.array_equal(getattr(back, name), getattr(clip, name)), name
    assert (back.fps, back.emotion_names, dict(back.provenance)) == (clip.fps, clip.emotion_names, dict(clip.provenance))


def test_files_that_are_no_clips(tmp_path: Path) -> None:
    (tmp_path / "words.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", schema=np.array([{}], dtype=object))
    np.savez(tmp_path / "newer.npz", schema=np.int64(99))
    for name, word in (
        ("words", "not an emovoca clip"),
        ("other", "not an emovoca clip"),
        ("objects", "holds Python objects, expected numbers"),
        ("newer", "update"),
    ):
        with pytest.raises(DataError, match=word):
            Clip.load(tmp_path / f"{name}.npz")
    with pytest.raises(UsageError, match="does not exist"):
        Clip.load(tmp_path / "none.npz")


def test_a_clip_refuses_shapes_that_do_not_fit() -> None:
    clip = small_clip()
    with pytest.raises(DataError, match=r"landmarks has shape \(2, 68, 3\), expected \(3, 68, 3\)"):
        Clip(**{**vars(clip), "landmarks": clip.landmarks[:2]})
    with pytest.raises(DataError, match="at least one frame"):
        empty = {name: getattr(clip, name)[:0] for name in ("vertices", "landmarks", "emotion", "intensity")}
        Clip(**{**vars(clip), **empty})
