"""The displacement store: what goes in comes out, whole or not at all, and bad folders are named."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli import files
from emovoca_cli.data.folder import MANIFEST
from emovoca_cli.data.store import Store, StoreWriter, open_data
from emovoca_cli.errors import DataError, OutputError, TopologyError, UsageError
from tests.data.fakes import SHAPES, SPLITS, grid, shapes, write_expression, write_talk

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("coefficients", [True, False])
def test_displacements_come_back(tmp_path: Path, coefficients: bool) -> None:
    store = write_talk(tmp_path / "talk", coefficients=coefficients)
    rng, template = np.random.default_rng(1), grid()
    for number in range(2):
        for index, subject in enumerate(SPLITS):
            values = rng.uniform(0, 1, (5 + number + index, len(SHAPES))).astype(np.float32)
            expected = np.einsum("tk,kvc->tvc", values, shapes(template, index))
            seen = store.displacement(f"{subject}_s{number}")
            assert seen.dtype == np.float32
            np.testing.assert_allclose(seen, expected, atol=2e-5)  # float16 of centimetres
            np.testing.assert_array_equal(store.displacement(f"{subject}_s{number}", slice(1, 4)), seen[1:4])
            np.testing.assert_allclose(store.displacement(f"{subject}_s{number}", [-1, 0]), seen[[-1, 0]], atol=1e-8)
    np.testing.assert_allclose(store.neutral("cat"), template.vertices * np.float32(1.02), rtol=1e-6)


def test_landmarks_equal_those_of_the_dense_displacement(tmp_path: Path) -> None:
    store, t = write_talk(tmp_path / "talk"), grid()
    dense = store.displacement("bob_s1")
    expected = np.einsum("tlkc,lk->tlc", dense[:, t.faces[t.landmark_faces]], t.landmark_weights)
    np.testing.assert_allclose(store.landmarks("bob_s1"), expected, atol=1e-7)
    np.testing.assert_allclose(store.landmarks("bob_s1", slice(2, 3)), expected[2:3], atol=1e-7)


def test_rows_speech_and_splits(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk")
    assert store.splits == {"train": ("ann", "bob"), "val": ("cat",), "test": ("dan",)}
    assert [row.id for row in store.select(split="val")] == ["cat_s0", "cat_s1"]
    assert store.phones("ann_s1") == (("SIL", 0.0, 0.1), ("AA", 0.1, 0.5))
    assert store.text("ann_s1") == "words 1"
    assert store.audio_path("ann_s1") == tmp_path / "talk" / "speech" / "s1.wav"
    assert len(list((tmp_path / "talk" / "speech").iterdir())) == 2  # once an utterance, not once an identity
    assert store.licence == "talk-licence"


def test_two_writings_are_equal(tmp_path: Path) -> None:
    first, second = write_talk(tmp_path / "a" / "talk"), write_talk(tmp_path / "b" / "talk")
    assert first.files == second.files
    assert first.content_hash == second.content_hash


def test_verify_names_each_bad_file(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk")
    assert store.verify() == []
    (store.root / "clips" / "ann_s0.npy").unlink()
    damaged = store.root / "neutral" / "bob.npy"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with (store.root / "speech.json").open("a") as stream:
        stream.write(" ")
    problems = Store(store.root).verify()
    assert [line.split(":")[0] for line in problems] == ["clips/ann_s0.npy", "neutral/bob.npy", "speech.json"]
    assert "missing" in problems[0]
    assert "hash" in problems[1]
    with pytest.raises(DataError, match=r"ann_s0.npy does not exist; run the command that wrote it again"):
        store.displacement("ann_s0")


class _StopError(Exception):
    pass


def _write_stopped(root: Path, after: int, *, provenance: str = "x", overwrite: bool = False) -> list[str]:
    """Write 6 clips, stop before clip `after`; returns the clips that were really written."""
    template, written = grid(), []
    writer = StoreWriter(
        root,
        kind="talk",
        template=template,
        fps=30,
        licence="l",
        provenance={"p": provenance},
        coefficient_names=SHAPES,
        overwrite=overwrite,
    )
    writer.add_subject("ann", "train", template.vertices, shapes(template, 0))
    for number in range(6):
        if number == after:
            raise _StopError
        if writer.has_clip(f"c{number}"):
            writer.keep_clip(f"c{number}", "ann")
            continue
        writer.add_clip(f"c{number}", "ann", np.full((number + 1, 3), number / 10, np.float32))
        written.append(f"c{number}")
    writer.finish()
    return written


def test_a_stopped_run_continues_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(_StopError):
        _write_stopped(tmp_path / "s", 3)
    with pytest.raises(DataError, match="unfinished"):
        Store(tmp_path / "s")
    journal = next((tmp_path / "s").glob(".build-*.jsonl"))
    with journal.open("a") as stream:
        stream.write('["clips/c3.npy", "ab')  # killed in the middle of a line
    (tmp_path / "s" / "clips" / "c1.npy").write_bytes(b"cut")  # and a file that was cut off
    assert _write_stopped(tmp_path / "s", 99) == ["c1", "c3", "c4", "c5"]
    whole = Store(tmp_path / "s")
    _write_stopped(tmp_path / "unbroken", 99)
    assert whole.files == Store(tmp_path / "unbroken").files
    assert whole.verify() == []
    assert sorted(path.name for path in whole.root.iterdir()) == ["basis", "clips", MANIFEST, "neutral", "template.npz"]
    assert _write_stopped(tmp_path / "s", 99) == []


def test_what_a_killed_run_left_half_written_is_swept_away(tmp_path: Path) -> None:
    _write_stopped(tmp_path / "whole", 99)
    half = tmp_path / "whole" / "clips" / ".c1-0123abcd.npy"
    mine = [tmp_path / "whole" / "clips" / name for name in (".notes-0123abcd.txt", ".c1-old.npy", ".other-0123abcd.npy")]
    for file in (half, *mine):
        file.write_bytes(b"half")
    _write_stopped(tmp_path / "whole", 99)
    assert not half.exists()
    assert all(file.exists() for file in mine)


def test_another_build_is_not_mixed_in(tmp_path: Path) -> None:
    _write_stopped(tmp_path / "s", 99)
    with pytest.raises(UsageError, match="--overwrite"):
        _write_stopped(tmp_path / "s", 99, provenance="y")
    assert Store(tmp_path / "s").verify() == []
    with pytest.raises(_StopError):
        _write_stopped(tmp_path / "s", 2, provenance="y", overwrite=True)
    with pytest.raises(DataError, match="unfinished"):
        Store(tmp_path / "s")
    assert len(_write_stopped(tmp_path / "s", 99, provenance="y")) == 4
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        _write_stopped(tmp_path / "other", 99, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        _write_stopped(tmp_path / "file", 99)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        Store(tmp_path / "none")
    with pytest.raises(UsageError, match=r"has no manifest.json.*emovoca prep"):
        Store(tmp_path)
    store = write_talk(tmp_path / "talk")
    with pytest.raises(DataError, match="holds talk data, expected expression"):
        Store(store.root, kind="expression")
    manifest = json.loads((store.root / MANIFEST).read_text())
    for change, message in (
        ({"schema": 99}, "schema 99, this version reads up to 1"),
        ({"schema": "one"}, "schema one"),
        ({"splits": {"train": ["ann", "bob"], "val": ["cat"], "test": ["ann", "dan"]}}, "ann is in the splits train and test"),
        ({"clips": [["x"]]}, "garbles"),
        ({"fps": None}, "garbles"),
    ):
        (store.root / MANIFEST).write_text(json.dumps(manifest | change))
        with pytest.raises(DataError, match=message):
            Store(store.root)
    (store.root / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        Store(store.root)


def test_topologies_must_agree(tmp_path: Path) -> None:
    write_talk(tmp_path / "talk")
    write_expression(tmp_path / "expression", template=grid(7, 9))
    with pytest.raises(TopologyError, match="60 vertices and expression 63"):
        open_data(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        open_data(tmp_path / "none")


def test_bad_clips_are_refused(tmp_path: Path) -> None:
    template = grid()
    writer = StoreWriter(
        tmp_path / "s", kind="talk", template=template, fps=30, licence="", provenance={}, coefficient_names=SHAPES
    )
    with pytest.raises(TopologyError, match="neutral of ann"):
        writer.add_subject("ann", "train", template.vertices[1:], None)
    with pytest.raises(TopologyError, match="basis of ann"):
        writer.add_subject("ann", "train", template.vertices, None)
    with pytest.raises(DataError, match=r"clip a has shape \(2, 4\)"):
        writer.add_clip("a", "ann", np.zeros((2, 4)))
    with pytest.raises(DataError, match="at least one frame"):
        writer.add_clip("a", "ann", np.zeros((0, 3)))
    with pytest.raises(DataError, match="not finite"):
        writer.add_clip("a", "ann", np.full((1, 3), np.nan))
    with pytest.raises(DataError, match="no clips"):
        writer.finish()
    with pytest.raises(UsageError, match=r"gone.wav does not exist"):
        writer.add_speech("u", tmp_path / "gone.wav", text="", phones=[])


def test_no_space_is_an_output_error_and_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_extras: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        write_talk(tmp_path / "talk")
    assert not (tmp_path / "talk" / MANIFEST).exists()
    assert not list((tmp_path / "talk" / "neutral").iterdir())
    assert files.hash_bytes(b"") == files.hash_bytes(b"")


def test_missing_audio_is_named(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk")
    (store.root / "speech" / "s0.wav").unlink()
    with pytest.raises(DataError, match=r"speech .*s0.wav of clip ann_s0 is missing"):
        store.audio_path("ann_s0")
    with pytest.raises(DataError, match="no clip 'zoe'"):
        store.clip("zoe")
    with pytest.raises(DataError, match="no subject 'zoe'"):
        store.neutral("zoe")


def test_five_thousand_clips_open_at_once(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk")
    manifest = json.loads((store.root / MANIFEST).read_text())
    manifest["clips"] = [[f"ann_{number:05d}", "ann", 90, None, "s0"] for number in range(5000)] + manifest["clips"]
    manifest["files"] |= {f"clips/ann_{number:05d}.npy": ["0" * 64, 1234] for number in range(5000)}
    files.write_json(store.root / MANIFEST, manifest)
    start = time.perf_counter()
    assert len(Store(store.root).clips) == 5008
    assert time.perf_counter() - start < 0.5  # some 20 ms on an idle core
