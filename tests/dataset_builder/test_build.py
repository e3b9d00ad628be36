"""Datasets: the plan's counts, sequences equal to the mixer's own answers, resume, shards, verification."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.constants import EMOTIONS_V1, EMOTIONS_V2
from emovoca_cli.data.folder import MANIFEST
from emovoca_cli.data.sequences import SequenceSource
from emovoca_cli.data.store import Store
from emovoca_cli.dataset_builder.build import build_dataset, peak_frame
from emovoca_cli.dataset_builder.plan import make_plan
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.dataset_builder.verify import verify_dataset
from emovoca_cli.desd.seal import closedness, face_scale
from emovoca_cli.errors import DataError, OutputError, TopologyError, UsageError
from emovoca_cli.mesh.landmarks import lip_opening
from tests.data.fakes import SPLITS, FakeMixer, fake_mixer, grid, write_expression, write_talk

pytestmark = pytest.mark.unit


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    return write_talk(tmp_path / "data" / "talk"), write_expression(tmp_path / "data" / "expression")


@pytest.fixture
def mixer(tmp_path: Path) -> FakeMixer:
    return fake_mixer(tmp_path / "desd")


def reader(root: Path) -> EmoDataset:
    return EmoDataset(root, load_mixer=FakeMixer)


@pytest.mark.parametrize(("version", "labels"), [("v1", EMOTIONS_V1), ("v2", EMOTIONS_V2)])
def test_the_plan_is_every_clip_with_every_label_and_intensity(
    stores: tuple[Store, Store], version: str, labels: tuple[str, ...]
) -> None:
    plan = make_plan(*stores, version)
    planned = list(plan)
    assert len(plan) == len(planned) == len({item.id for item in planned}) == 8 * len(labels) * 3
    assert {(item.talk.id, item.emotion, item.intensity) for item in planned} == {
        (row.id, label, level) for row in stores[0].clips for label in labels for level in (1, 2, 3)
    }
    assert all(item.mu_e == item.intensity and item.expression_subject == item.talk.subject for item in planned)
    assert planned[0].id == "ann_s0_afraid_1"


def test_twelve_by_forty_clips_make_the_papers_counts(stores: tuple[Store, Store]) -> None:
    for version, wanted in (("v1", 7200), ("v2", 15840)):
        plan = make_plan(*stores, version)
        assert len(replace(plan, clips=plan.clips[:1] * 480)) == wanted


def test_a_stranger_wears_the_expressions_of_its_own_split(tmp_path: Path) -> None:
    talk = write_talk(tmp_path / "talk", splits={"ann": "train", "tom": "train", "val1": "val"})
    expression = write_expression(tmp_path / "expression", splits={"ann": "train", "eve": "train", "val2": "val"})
    assert make_plan(talk, expression, "v1").partners == {"ann": "ann", "tom": "eve", "val1": "val2"}
    lonely = write_expression(tmp_path / "lonely", splits={"ann": "train"})
    with pytest.raises(DataError, match=r"val1 \(val\) has no expressions"):
        make_plan(talk, lonely, "v1")


def test_stores_that_do_not_fit_are_named(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer) -> None:
    talk, expression = stores
    with pytest.raises(UsageError, match="version 'v3'; choose v1 or v2"):
        make_plan(talk, expression, "v3")
    with pytest.raises(UsageError, match="mu_e"):
        make_plan(talk, expression, "v1", mu_e={})
    five = write_expression(tmp_path / "five", labels=EMOTIONS_V1)
    make_plan(talk, five, "v1")
    with pytest.raises(DataError, match="no 'drunk' of ann, which v2 needs"):
        make_plan(talk, five, "v2")
    other = write_expression(tmp_path / "other", template=grid(7, 9))
    with pytest.raises(TopologyError, match=r"60 vertices, expression .* 63"):
        make_plan(talk, other, "v1")
    with pytest.raises(TopologyError, match="mixer was trained on 63 vertices, the data has 60"):
        build_dataset(talk, expression, fake_mixer(tmp_path / "m63", grid(7, 9)), tmp_path / "out", "v1")
    swapped = write_expression(tmp_path / "swapped", splits=SPLITS | {"ann": "test"})
    with pytest.raises(DataError, match="ann is in split train of one set and test"):
        build_dataset(talk, swapped, mixer, tmp_path / "out", "v1")
    lipless = fake_mixer(tmp_path / "lipless", replace(grid(), regions={}))
    with pytest.raises(DataError, match="no region 'lips'"):
        build_dataset(talk, expression, lipless, tmp_path / "out", "v1", seal=True)
    with pytest.raises(UsageError, match="unknown store"):
        build_dataset(talk, expression, mixer, tmp_path / "out", "v1", store="zip")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("store", ["latent", "mesh"])
@pytest.mark.parametrize("seal", [False, True])
def test_sequences_are_the_mixers_answers(
    tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer, store: str, seal: bool
) -> None:
    talk, expression = stores
    report = build_dataset(talk, expression, mixer, tmp_path / "out", "v1", store=store, seal=seal)  # type: ignore[arg-type]
    assert (report.sequences, report.clips_done, report.whole) == (120, 8, True)
    data: SequenceSource = reader(tmp_path / "out")
    t = grid()
    emotional = [entry for entry in data.entries if entry.emotion is not None]
    assert len(emotional) == 120
    assert len(data.entries) == 128
    assert data.licence == "talk-licence + expression-licence"
    for entry in emotional[::7]:
        peak = peak_frame(expression, f"{entry.subject}_{entry.emotion}")[1]
        feel = 1 - closedness(lip_opening(talk.landmarks(entry.talk)), 0.0, scale=face_scale(t)) if seal else np.ones(entry.frames)
        expected = talk.displacement(entry.talk) + entry.intensity / 2 * feel[:, None, None] * peak
        seen = data.displacement(entry)
        assert seen.shape == (entry.frames, 60, 3)
        np.testing.assert_allclose(seen, expected, atol=5e-5)
        np.testing.assert_array_equal(data.displacement(entry, [3, 1]), seen[[3, 1]])
        lines = np.einsum("tlkc,lk->tlc", seen[:, t.faces[t.landmark_faces]], t.landmark_weights)
        np.testing.assert_allclose(data.landmarks(entry), lines, atol=1e-6)
    for entry in data.entries:
        if entry.emotion is None:
            np.testing.assert_array_equal(data.displacement(entry), talk.displacement(entry.id))
            np.testing.assert_array_equal(data.landmarks(entry), talk.landmarks(entry.id))
            np.testing.assert_array_equal(data.neutral(entry.subject), talk.neutral(entry.subject))
            assert (entry.audio.name, entry.phones, entry.intensity) == (f"{entry.id[-2:]}.wav", talk.phones(entry.id), 0)


def test_the_peak_is_the_largest_displacement(stores: tuple[Store, Store]) -> None:
    frame, peak = peak_frame(stores[1], "bob_sad")
    assert frame == 4
    np.testing.assert_array_equal(peak, stores[1].displacement("bob_sad")[4])


def test_the_manifest_says_what_it_is(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer) -> None:
    build_dataset(*stores, mixer, tmp_path / "out", "v2", intensities={1: 0.5, 2: 2.5}, mu_t=1.5, seal=True)
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["counts"] == {
        "sequences": 8 * 11 * 2,
        "talk_clips": 8,
        "emotions": 11,
        "intensities": 2,
        "frames": sum(row.frames for row in stores[0].clips) * 22,
    }
    assert manifest["intensities"] == {"1": 0.5, "2": 2.5}
    assert manifest["sources"]["talk"] == {"hash": stores[0].content_hash, "licence": "talk-licence"}
    assert set(manifest["sources"]["mixer"]["files"]) == {"model.safetensors", "config.json"}
    data = reader(tmp_path / "out")
    assert (data.mu_t, data.mu_e, data.seal, len(data)) == (1.5, {1: 0.5, 2: 2.5}, True, 176)
    assert "mixer/model.safetensors" in data.files


class _StopError(Exception):
    pass


@pytest.mark.parametrize("store", ["latent", "mesh"])
def test_a_stopped_build_continues(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer, store: str) -> None:
    def stop(done: int, _total: int, _metrics: object) -> None:
        if done == 3:
            raise _StopError

    with pytest.raises(_StopError):
        build_dataset(*stores, mixer, tmp_path / "out", "v1", store=store, progress=stop)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="unfinished"):
        reader(tmp_path / "out")
    report = build_dataset(*stores, mixer, tmp_path / "out", "v1", store=store)  # type: ignore[arg-type]
    assert (report.clips_kept, report.clips_done) == (3, 5)
    build_dataset(*stores, mixer, tmp_path / "unbroken", "v1", store=store)  # type: ignore[arg-type]
    assert reader(tmp_path / "out").files == reader(tmp_path / "unbroken").files
    before = mixer.encoded
    assert build_dataset(*stores, mixer, tmp_path / "out", "v1", store=store).clips_kept == 8  # type: ignore[arg-type]
    assert mixer.encoded == before
    with pytest.raises(UsageError, match="--overwrite"):
        build_dataset(*stores, mixer, tmp_path / "out", "v1", store=store, seal=True)  # type: ignore[arg-type]
    build_dataset(*stores, mixer, tmp_path / "out", "v1", store=store, seal=True, overwrite=True)  # type: ignore[arg-type]
    assert verify_dataset(tmp_path / "out").problems == ()


@pytest.mark.parametrize("store", ["latent", "mesh"])
def test_shards_make_the_same_dataset(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer, store: str) -> None:
    build_dataset(*stores, mixer, tmp_path / "one", "v1", store=store)  # type: ignore[arg-type]
    whole = [
        build_dataset(*stores, mixer, tmp_path / "three", "v1", store=store, shard=(index, 3)).whole  # type: ignore[arg-type]
        for index in (2, 0, 1)
    ]
    assert whole == [False, False, True]
    assert reader(tmp_path / "three").files == reader(tmp_path / "one").files
    assert not list((tmp_path / "three").glob(".*"))
    with pytest.raises(UsageError, match="shard 3/3"):
        build_dataset(*stores, mixer, tmp_path / "x", "v1", shard=(3, 3))


def test_verify_names_every_bad_file(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer) -> None:
    build_dataset(*stores, mixer, tmp_path / "out", "v1")
    report = verify_dataset(tmp_path / "out")
    assert (report.problems, report.sequences) == ((), 120)
    (tmp_path / "out" / "talk" / "ann_s0.npy").unlink()
    (tmp_path / "out" / "mixer" / "config.json").write_text("[]")
    (stores[0].root / "speech" / "s1.wav").write_bytes(b"")
    problems = verify_dataset(tmp_path / "out").problems
    assert [line.split(":")[0] for line in problems] == ["mixer/config.json", "talk/ann_s0.npy", "talk store talk/speech/s1.wav"]
    (stores[0].root / "speech" / "s1.wav").write_bytes((stores[0].root / "speech" / "s0.wav").read_bytes())
    assert build_dataset(*stores, mixer, tmp_path / "out", "v1").clips_done == 1  # building again repairs it
    assert verify_dataset(tmp_path / "out").problems == ()
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    manifest["counts"]["sequences"] = 7
    del manifest["files"]["opening/bob_s1.npy"]
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(manifest))
    problems = verify_dataset(tmp_path / "out").problems
    assert "manifest.json: counts 7 sequences, its plan has 8 x 15" in problems
    assert "opening/bob_s1.npy: not listed in manifest.json" in problems


def test_a_moved_or_changed_talk_store_is_noticed(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer) -> None:
    build_dataset(*stores, mixer, tmp_path / "out", "v1")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "data", tmp_path / "elsewhere" / "data")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere" / "out")
    moved = tmp_path / "elsewhere"
    assert len(reader(moved / "out").entries) == 128  # both moved together
    shutil.move(moved / "data", moved / "renamed")
    with pytest.raises(DataError, match="which is not there"):
        _ = reader(moved / "out").entries
    assert len(EmoDataset(moved / "out", talk=moved / "renamed" / "talk", load_mixer=FakeMixer).entries) == 128
    manifest = moved / "renamed" / "talk" / MANIFEST
    manifest.write_text(manifest.read_text().replace("talk-licence", "other"))
    with pytest.raises(DataError, match="has changed since"):
        _ = EmoDataset(moved / "out", talk=moved / "renamed" / "talk").entries


def test_bad_dataset_folders_are_named(tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer) -> None:
    with pytest.raises(UsageError, match=r"not a folder.*build-dataset"):
        EmoDataset(tmp_path / "none")
    with pytest.raises(DataError, match="holds talk data, expected dataset"):
        EmoDataset(stores[0].root)
    build_dataset(*stores, mixer, tmp_path / "out", "v1")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    for change, message in (({"schema": 2}, "schema 2"), ({"places": {}}, "garbles"), ({"clips": [[1]]}, "garbles")):
        (tmp_path / "out" / MANIFEST).write_text(json.dumps(manifest | change))
        with pytest.raises(DataError, match=message):
            EmoDataset(tmp_path / "out")


def test_no_space_is_an_output_error(
    tmp_path: Path, stores: tuple[Store, Store], mixer: FakeMixer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_extras: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        build_dataset(*stores, mixer, tmp_path / "out", "v1")
    assert not (tmp_path / "out" / MANIFEST).exists()
