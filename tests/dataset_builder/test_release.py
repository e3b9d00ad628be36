"""The authors' layout: written as their loaders, FaceFormer's and CodeTalker's take it apart, and read back as a dataset."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli import __version__
from emovoca_cli.cli.app import run
from emovoca_cli.constants import EMOTIONS_V1
from emovoca_cli.data.checks import Findings
from emovoca_cli.data.store import Store, StoreWriter
from emovoca_cli.dataset_builder.build import Progress, build_dataset
from emovoca_cli.dataset_builder.plan import make_plan
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.dataset_builder.release_names import doubled
from emovoca_cli.dataset_builder.release_reader import open_release, write_dataset
from emovoca_cli.dataset_builder.release_writer import verify_release, write_release
from emovoca_cli.dataset_builder.verify import verify_dataset
from emovoca_cli.errors import DataError, UsageError
from tests.data.fakes import FakeMixer, fake_mixer, grid, write_expression

pytestmark = pytest.mark.unit
TRAIN, TEST = "FaceTalk_170728_03272_TA", "FaceTalk_170809_00138_TA"
SPLITS = {TRAIN: "train", TEST: "test"}
IDENTITIES = {"COMA_CH02": "train", "COMA_CH04": "test", "COMA_CH03": "test"}
EXPRESSIONS = {"Afraid": 0, "Disgust": 1, "Irritated1": 2, "Sad1": 3, "Smile2": 4}


def write_talk(root: Path, *, fps: int) -> Store:
    """Two speakers, two sentences of half a second."""
    template = grid()
    writer = StoreWriter(root, kind="talk", template=template, fps=fps, licence="talk-licence", provenance={})
    rng = np.random.default_rng(0)
    for index, (subject, split) in enumerate(SPLITS.items()):
        writer.add_subject(subject, split, template.vertices * np.float32(1 + 0.02 * index))
        for number in (1, 40):
            name = f"{subject}_sentence{number:02d}"
            wav = root.parent / f"{name}.wav"
            soundfile.write(wav, np.sin(np.arange(11000) * 0.1) * 0.3, 22000)
            writer.add_speech(name, wav, text="", phones=())
            motion = np.cumsum(rng.normal(0, 2e-4, (fps // 2, len(template.vertices), 3)), axis=0)
            writer.add_clip(name, subject, motion.astype(np.float32), sentence=name)
    writer.finish()
    return Store(root)


@pytest.fixture(params=[30, 60])
def written(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Store, Store, FakeMixer]:
    talk = write_talk(tmp_path / "data" / "talk", fps=request.param)
    expression = write_expression(tmp_path / "data" / "expression", splits=IDENTITIES)
    mixer = fake_mixer(tmp_path / "desd")
    report = write_release(talk, expression, mixer, tmp_path / "EmoVOCA", "v1")
    assert (report.sequences, report.whole) == (4 * 5 * 3, True)
    return tmp_path / "EmoVOCA", talk, expression, mixer


@pytest.fixture
def flame(tmp_path: Path) -> Path:
    """A stand-in for FLAME's mesh and landmark files, of the grid's topology."""
    folder, template = tmp_path / "flame", grid()
    folder.mkdir()
    from emovoca_cli.mesh.io import write_mesh

    write_mesh(folder / "FLAME_sample.ply", template.vertices, template.faces)
    where, weights = template.landmark_faces, template.landmark_weights
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps({"lmk_face_idx": where[17:], "lmk_b_coords": weights[17:]}))
    contour = {"lmk_face_idx": [where[:17]], "lmk_b_coords": [weights[:17]]}
    np.save(folder / "flame_dynamic_embedding.npy", np.array(contour, dtype=object), allow_pickle=True)
    return folder


def read_back(
    folder: Path, out: Path, flame: Path, *, fps: float | None = None, progress: Progress | None = None
) -> tuple[EmoDataset, Findings, int]:
    findings = Findings()
    source = open_release(folder, known=grid(), findings=findings, template=flame / "FLAME_sample.ply", flame=flame)
    done = write_dataset(source, out, fps=fps, findings=findings, version=__version__, progress=progress)
    return EmoDataset(out), findings, done.kept


def test_speakers_wear_the_identity_that_the_release_gives_them(written: tuple[Path, Store, Store, FakeMixer]) -> None:
    _, talk, expression, _ = written
    assert make_plan(talk, expression, "v1").partners == {TRAIN: "COMA_CH02", TEST: "COMA_CH04"}


def test_their_own_loaders_find_everything(written: tuple[Path, Store, Store, FakeMixer]) -> None:
    folder, talk, expression, mixer = written
    with (folder / "templates.pkl").open("rb") as stream:
        assert b"numpy._core" not in stream.read()  # their Python has NumPy 1
        stream.seek(0)
        templates = pickle.load(stream, encoding="latin1")
    stems = sorted(path.stem for path in (folder / "sequences").iterdir())
    assert len(stems) == 60
    for kind, suffix in (("label", "npy"), ("intensity", "npy"), ("landmarks_sequences", "npy"), ("wav", "wav")):
        assert sorted(path.name for path in (folder / kind).iterdir()) == [f"{stem}.{suffix}" for stem in stems]
    for stem in stems:
        parts = stem.split("_")
        subject, expression_name, level = "_".join(parts[:-3]), parts[-2], int(parts[-1])
        assert int(np.load(folder / "label" / f"{stem}.npy")) == EXPRESSIONS[expression_name]
        assert int(np.load(folder / "intensity" / f"{stem}.npy")) == level
        vertices = np.load(folder / "sequences" / f"{stem}.npy")
        assert (vertices.dtype, vertices.shape) == (np.float32, (30, 60, 3))
        np.testing.assert_array_equal(templates[subject], talk.neutral(subject))
        landmarks = np.load(folder / "landmarks_sequences" / f"{stem}.npy")
        assert landmarks.shape == (30, 68, 3)
        np.testing.assert_allclose(landmarks.mean(axis=1), 0, atol=1e-6)
        np.testing.assert_allclose((landmarks**2).sum(axis=(1, 2)), 1, atol=1e-5)
        assert soundfile.info(folder / "wav" / f"{stem}.wav").duration == pytest.approx(0.5)
    # one of them in full
    row = talk.clip(f"{TRAIN}_sentence01")
    frames = expression.displacement("COMA_CH02_happy")
    z_expr = mixer.encode_expression(frames[[np.argmax((frames**2).sum(axis=(1, 2)))]])
    mixed = talk.neutral(TRAIN) + mixer.mix(mixer.encode_talk(talk.displacement(row.id)), z_expr[0], 2, 3)
    seen = np.load(folder / "sequences" / f"{TRAIN}_sentence01_Smile2_3.npy")
    np.testing.assert_allclose(seen[:: 60 // int(talk.fps)], mixed, atol=1e-7)


def test_faceformers_and_codetalkers_loaders_find_everything(written: tuple[Path, Store, Store, FakeMixer]) -> None:
    folder = written[0] / "vocaset"
    templates = pickle.loads((folder / "templates.pkl").read_bytes(), encoding="latin1")
    names = sorted(path.name for path in (folder / "wav").iterdir())
    assert len(names) == 60
    chosen = []
    for name in names:  # as both take a name apart
        key = name.replace("wav", "npy")
        subject, sentence = "_".join(key.split("_")[:-1]), int(key.split(".")[0][-2:])
        vertices = np.load(folder / "vertices_npy" / key, allow_pickle=True)[::2, :]
        assert vertices.shape == (15, templates[subject].size)
        chosen.append((subject, sentence))
    assert {pair: chosen.count(pair) for pair in chosen} == {(who, number): 15 for who in SPLITS for number in (1, 40)}


def test_a_stopped_build_continues_and_verify_names_the_bad_file(tmp_path: Path) -> None:
    talk = write_talk(tmp_path / "data" / "talk", fps=30)
    expression = write_expression(tmp_path / "data" / "expression", splits=IDENTITIES)
    mixer = fake_mixer(tmp_path / "desd")

    def stop(done: int, total: int, metrics: object) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_release(talk, expression, mixer, tmp_path / "out", "v1", progress=stop)
    report = write_release(talk, expression, mixer, tmp_path / "out", "v1")
    assert (report.clips_done, report.clips_kept, report.whole) == (2, 2, True)
    whole = write_release(talk, expression, mixer, tmp_path / "whole", "v1")
    assert (whole.clips_done, whole.clips_kept) == (4, 0)
    files = [path.relative_to(tmp_path / "out") for path in sorted((tmp_path / "out").rglob("*.*"))]
    assert all((tmp_path / "out" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes() for path in files if path.suffix)
    assert verify_release(tmp_path / "out").problems == ()
    victim = tmp_path / "out" / "label" / f"{TRAIN}_sentence01_Sad1_2.npy"
    victim.unlink()
    assert verify_release(tmp_path / "out").problems == (f"label/{victim.name}: missing",)
    with pytest.raises(UsageError, match="other inputs or settings"):
        write_release(talk, expression, mixer, tmp_path / "out", "v1", mu_t=1.5)


def test_reading_it_back_gives_the_dataset_that_was_written(
    written: tuple[Path, Store, Store, FakeMixer], tmp_path: Path, flame: Path
) -> None:
    folder, talk, expression, mixer = written

    def stop(done: int, total: int, metrics: object) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_back(folder, tmp_path / "read", flame, fps=talk.fps, progress=stop)
    dataset, findings, kept = read_back(folder, tmp_path / "read", flame, fps=talk.fps)
    assert (findings.problems, kept) == ([], 20)
    assert verify_dataset(tmp_path / "read").problems == ()
    build_dataset(talk, expression, mixer, tmp_path / "own", "v1", store="mesh")
    own = EmoDataset(tmp_path / "own", load_mixer=FakeMixer)
    wanted = {entry.id: entry for entry in own.entries if entry.emotion is not None}
    assert (dataset.fps, dataset.emotions, dataset.splits) == (talk.fps, EMOTIONS_V1, own.splits)
    assert {entry.id for entry in dataset.entries} == set(wanted)
    assert "CC BY-NC" in dataset.licence
    for entry in dataset.entries:
        other = wanted[entry.id]
        assert (entry.subject, entry.split, entry.emotion, entry.intensity, entry.frames, entry.talk) == (
            other.subject, other.split, other.emotion, other.intensity, other.frames, other.talk,
        )  # fmt: skip
        np.testing.assert_allclose(dataset.displacement(entry), own.displacement(other), atol=2e-5)
        np.testing.assert_allclose(dataset.landmarks(entry), own.landmarks(other), atol=2e-5)
        np.testing.assert_array_equal(dataset.neutral(entry.subject), talk.neutral(entry.subject))
        assert soundfile.info(entry.audio).duration == pytest.approx(0.5)
    with pytest.raises(DataError, match="no neutral motion"):
        _ = dataset.talk


def test_broken_sequences_are_named_and_the_rest_is_read(tmp_path: Path, flame: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = write_talk(tmp_path / "data" / "talk", fps=60)
    expression = write_expression(tmp_path / "data" / "expression", splits=IDENTITIES)
    folder = tmp_path / "EmoVOCA"
    write_release(talk, expression, fake_mixer(tmp_path / "desd"), folder, "v1")
    good = tmp_path / "good"
    shutil.copytree(folder, good)
    names = {kind: f"{TRAIN}_sentence01_{kind}_2.npy" for kind in EXPRESSIONS}
    (folder / "sequences" / names["Afraid"]).write_bytes(b"\x93NUMPY broken")
    np.save(folder / "label" / names["Disgust"], 7)
    (folder / "wav" / names["Irritated1"]).with_suffix(".wav").unlink()
    bad = np.load(folder / "sequences" / names["Sad1"])
    bad[3, 3, 0] = np.inf
    np.save(folder / "sequences" / names["Sad1"], bad)
    np.save(folder / "sequences" / names["Smile2"], bad[:20])
    line = ["prep", "release", "--input", str(folder), "--template", str(flame / "FLAME_sample.ply"), "--flame", str(flame)]
    line += ["--out", str(tmp_path / "read"), "--json"]
    assert run(line) == 1
    facts = json.loads(capsys.readouterr().out)
    said = {Path(row["file"]).name: row["problem"] for row in facts["problems"]}
    assert set(said) == set(names.values())
    for kind, word in (
        ("Afraid", "is not an .npy file"),
        ("Disgust", "says 7"),
        ("Irritated1", "no speech"),
        ("Sad1", "frame 3"),
        ("Smile2", "20"),
    ):
        assert word in said[names[kind]], said[names[kind]]
    dataset = EmoDataset(tmp_path / "read" / "emovoca-v1")
    assert len(dataset) == len(dataset.entries) == 55
    for kind in ("sequences", "label", "wav"):
        shutil.copytree(good / kind, folder / kind, dirs_exist_ok=True)
    repaired, findings, kept = read_back(folder, tmp_path / "read" / "emovoca-v1", flame)
    assert (findings.problems, len(repaired)) == ([], 60)
    assert 0 < kept <= 60
    assert verify_dataset(repaired.root).problems == ()


def test_doubling_keeps_every_given_frame() -> None:
    frames = np.arange(5, dtype=np.float32)[:, None] ** 2
    assert doubled(frames)[:, 0].tolist() == [0, 0.5, 1, 2.5, 4, 6.5, 9, 12.5, 16, 16]
    assert doubled(frames[:1])[:, 0].tolist() == [0, 0]
