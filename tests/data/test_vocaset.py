"""VOCASET in its three layouts: one content, every fault named by its file, interrupted and repaired runs."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.data.checks import Findings
from emovoca_cli.data.store import Store
from emovoca_cli.data.vocaset import open_vocaset, write_vocaset
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.io import read_mesh
from tests.data import real_layouts as real
from tests.data.real_layouts import FIRST, FRAMES, SECOND

pytestmark = pytest.mark.unit
LAYOUTS: dict[str, Callable[[Path], None]] = {
    "mapped": real.write_mapped,
    "arrays": real.write_arrays,
    "meshes": real.write_meshes,
}


@pytest.fixture(scope="module")
def flame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.write_flame_files(tmp_path_factory.mktemp("flame"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copies")
    for name, write in LAYOUTS.items():
        write(root / name)
    return root


def prepare(folder: Path, out: Path, flame: Path, *, fps: float | None = None, stop: int = 10**9) -> tuple[Store, Findings, int]:
    findings = Findings()
    source = open_vocaset(folder, known=builtin_template(), findings=findings, template=flame, flame=flame.parent)

    def progress(done: int, total: int, metrics: object) -> None:
        if done >= stop:
            raise KeyboardInterrupt

    done = write_vocaset(source, out, fps=fps, findings=findings, version="test", progress=progress)
    return Store(out), findings, done.kept


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fps", [None, 30.0])
def test_every_layout_gives_the_same_motion_and_speech(
    copies: Path, flame: Path, tmp_path: Path, layout: str, fps: float | None
) -> None:
    store, findings, _ = prepare(copies / layout, tmp_path / "talk", flame, fps=fps)
    assert findings.problems == []
    assert store.fps == (fps or 60)
    assert store.splits == {"train": (FIRST,), "val": (), "test": (SECOND,)}
    assert [row.id for row in store.clips] == [f"{subject}_{sentence}" for subject, sentence, _ in real.spoken()]
    for subject, sentence, number in real.spoken():
        name = f"{subject}_{sentence}"
        wanted = (real.talk(subject, number) - real.rest(subject))[:: 2 if fps else 1]
        np.testing.assert_allclose(store.displacement(name), wanted, atol=1e-5)
        samples, rate = soundfile.read(store.audio_path(name), dtype="int16")
        assert rate == real.RATE
        np.testing.assert_array_equal(samples, real.sound(number))
    np.testing.assert_array_equal(store.neutral(SECOND), real.rest(SECOND))
    assert "Max Planck" in store.licence
    assert store.verify() == []
    template = builtin_template()
    np.testing.assert_array_equal(store.template.landmark_faces, template.landmark_faces)
    assert any("sentence03" in note and FIRST in note for note in findings.notes)


def test_a_copy_of_every_second_frame_is_known_as_thirty(flame: Path, tmp_path: Path) -> None:
    real.write_arrays(tmp_path / "copy", step=2)
    store, _, _ = prepare(tmp_path / "copy", tmp_path / "talk", flame)
    assert store.fps == 30
    assert store.clips[0].frames == FRAMES // 2
    with pytest.raises(UsageError, match="--fps 60 cannot be had from 30"):
        prepare(tmp_path / "copy", tmp_path / "other", flame, fps=60)


def test_the_big_file_is_never_loaded_whole(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mapped"
    shutil.copytree(copies / "mapped", folder)
    small = np.load(folder / "data_verts.npy")
    rows = 60_000  # 3.5 GB, of which the disk holds what was written
    big = np.lib.format.open_memmap(folder / "data_verts.npy", mode="w+", dtype=np.float32, shape=(rows, *small.shape[1:]))
    big[-len(small) :] = small
    del big
    index = real.pickle.loads((folder / "subj_seq_to_idx.pkl").read_bytes())
    moved = {
        who: {what: {frame: row + rows - len(small) for frame, row in table.items()} for what, table in said.items()}
        for who, said in index.items()
    }
    real.dump(folder / "subj_seq_to_idx.pkl", moved)
    tracemalloc.start()
    store, findings, _ = prepare(folder, tmp_path / "talk", flame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert findings.problems == []
    assert len(store.clips) == 6
    assert peak < 150e6


def spoil(folder: Path, faces: np.ndarray) -> dict[str, str]:
    """Break five of six clips and the length of none; returns file to the word that its message must have."""

    def load(name: str) -> np.ndarray:
        return np.load(folder / "vertices_npy" / f"{name}.npy").reshape(FRAMES, -1, 3)

    def save(name: str, frames: np.ndarray) -> None:
        np.save(folder / "vertices_npy" / f"{name}.npy", frames.reshape(len(frames), -1))

    bad = load(f"{FIRST}_sentence01")
    bad[17, 5, 1] = np.nan
    save(f"{FIRST}_sentence01", bad)
    save(f"{FIRST}_sentence02", load(f"{FIRST}_sentence02")[:, np.random.default_rng(0).permutation(bad.shape[1])])
    save(f"{FIRST}_sentence40", load(f"{FIRST}_sentence40") @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32))
    save(f"{SECOND}_sentence01", load(f"{SECOND}_sentence01")[:30])
    cut = folder / "vertices_npy" / f"{SECOND}_sentence02.npy"
    cut.write_bytes(cut.read_bytes()[:100_000])
    return {
        f"{FIRST}_sentence01": "frame 17",
        f"{FIRST}_sentence02": "order",
        f"{FIRST}_sentence40": "turned by 90 degrees",
        f"{SECOND}_sentence01": "30 frames for 0.80 s",
        f"{SECOND}_sentence02": "promises ",
    }


def test_every_fault_is_named_by_file_and_the_rest_is_done(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    shutil.copytree(copies / "arrays", folder)
    expected = spoil(folder, real.head()[1])
    store, findings, _ = prepare(folder, tmp_path / "talk", flame)
    assert [row.id for row in store.clips] == [f"{SECOND}_sentence40"]
    assert store.subjects == (SECOND,)
    said = {file.removeprefix("vertices_npy/").removesuffix(".npy"): what for file, what in findings.problems}
    assert set(said) == set(expected)
    for name, word in expected.items():
        assert word in said[name], said[name]
    # repaired files are read again, what was whole is kept
    for name in expected:
        shutil.copy2(copies / "arrays" / "vertices_npy" / f"{name}.npy", folder / "vertices_npy")
    store, findings, kept = prepare(folder, tmp_path / "talk", flame)
    assert findings.problems == []
    assert (len(store.clips), kept) == (6, 1)
    assert store.verify() == []
    fresh, _, _ = prepare(copies / "arrays", tmp_path / "fresh", flame)
    assert fresh.files == store.files


def test_a_changed_source_replaces_its_clip(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    shutil.copytree(copies / "arrays", folder)
    prepare(folder, tmp_path / "talk", flame)
    other = real.talk(FIRST, 9)
    np.save(folder / "vertices_npy" / f"{FIRST}_sentence01.npy", other.reshape(FRAMES, -1))
    store, _, kept = prepare(folder, tmp_path / "talk", flame)
    assert kept == 5
    np.testing.assert_allclose(store.displacement(f"{FIRST}_sentence01"), other - real.rest(FIRST), atol=1e-5)


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_an_interrupted_run_continues(copies: Path, flame: Path, tmp_path: Path, stop: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(copies / "mapped", tmp_path / "talk", flame, stop=stop)
    with pytest.raises(DataError, match="unfinished"):
        Store(tmp_path / "talk")
    store, _, kept = prepare(copies / "mapped", tmp_path / "talk", flame)
    assert kept == stop
    fresh, _, _ = prepare(copies / "mapped", tmp_path / "fresh", flame)
    assert store.files == fresh.files


def test_millimetres_become_metres(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mm"
    shutil.copytree(copies / "arrays", folder)
    for path in (folder / "vertices_npy").glob("*.npy"):
        np.save(path, np.load(path) * 1000)
    real.dump(folder / "templates.pkl", {subject: real.rest(subject) * 1000 for subject in (FIRST, SECOND)})
    store, findings, _ = prepare(folder, tmp_path / "talk", flame)
    assert findings.problems == []
    assert any("millimetres" in note for note in findings.notes)
    np.testing.assert_allclose(store.displacement(f"{SECOND}_sentence02"), real.talk(SECOND, 2) - real.rest(SECOND), atol=1e-5)
    np.testing.assert_allclose(store.neutral(FIRST), real.rest(FIRST), atol=1e-6)


def test_broken_meshes_are_named(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "meshes"
    shutil.copytree(copies / "meshes", folder)
    (folder / FIRST / "sentence01" / "sentence01.000020.ply").write_bytes(b"ply\nnonsense")
    vertices, faces = read_mesh(folder / FIRST / "sentence02" / "sentence02.000001.ply")
    real.write_ply(folder / FIRST / "sentence02" / "sentence02.000030.ply", vertices, faces[::-1])
    (folder / SECOND / "sentence01" / "sentence01.000010.ply").unlink()
    (folder / "audio" / SECOND / "sentence02.wav").unlink()
    store, findings, _ = prepare(folder, tmp_path / "talk", flame)
    assert [row.id for row in store.clips] == [f"{FIRST}_sentence40", f"{SECOND}_sentence40"]
    said = dict(findings.problems)
    assert "sentence01.000020.ply" in said[f"{FIRST}/sentence01"]
    assert "sentence02.000030.ply has another topology" in said[f"{FIRST}/sentence02"]
    assert "misses frame 10" in said[f"{SECOND}/sentence01"]
    assert f"audio/{SECOND}/sentence02.wav" in said[f"{SECOND}/sentence02"]


def test_a_subject_without_a_face_at_rest_and_a_short_index(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mapped"
    shutil.copytree(copies / "mapped", folder)
    real.dump(folder / "templates.pkl", {SECOND: real.rest(SECOND)})
    index = real.pickle.loads((folder / "subj_seq_to_idx.pkl").read_bytes())
    del index[SECOND]["sentence01"][10]
    index[SECOND]["sentence02"][0] = 10**6
    (folder / "sentencetext").mkdir()
    (folder / "sentencetext" / f"{SECOND}.txt").write_text("".join(f"words {number}\n" for number in range(1, 41)))
    real.dump(folder / "subj_seq_to_idx.pkl", index)
    store, findings, _ = prepare(folder, tmp_path / "talk", flame)
    assert [row.id for row in store.clips] == [f"{SECOND}_sentence40"]
    assert store.text(f"{SECOND}_sentence40") == "words 40"
    said = dict(findings.problems)
    assert "face at rest" in said[FIRST]
    assert "misses frames after 9" in said[f"subj_seq_to_idx.pkl ({SECOND}, sentence01)"]
    assert "cut off" in said[f"subj_seq_to_idx.pkl ({SECOND}, sentence02)"]


def test_a_pickle_that_would_run_code_is_refused(copies: Path, flame: Path, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    shutil.copytree(copies / "arrays", folder)
    (folder / "templates.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(DataError, match=r"os\.system"):
        prepare(folder, tmp_path / "talk", flame)


def test_the_command_reports_and_fails_when_a_file_is_broken(
    copies: Path, flame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "arrays", tmp_path / "data"
    shutil.copytree(copies / "arrays", folder)
    path = folder / "vertices_npy" / f"{FIRST}_sentence02.npy"
    path.write_bytes(b"broken")
    line = ["prep", "vocaset", "--input", str(folder), "--template", str(flame), "--flame", str(flame.parent), "--json"]
    line += ["--fps", "30", "--out", str(out)]
    assert run([*line, "--check"]) == 1
    assert not out.exists()
    capsys.readouterr()
    assert run(line) == 1
    shown = capsys.readouterr()
    facts = json.loads(shown.out)
    assert facts["talk_clips"] == 5
    assert facts["fps"] == 30
    assert [row["file"] for row in facts["problems"]] == [f"vertices_npy/{path.name}"]
    assert path.name in shown.err
    shutil.copy2(copies / "arrays" / "vertices_npy" / path.name, path)
    assert run(line) == 0
    assert len(Store(out / "talk").clips) == 6


def test_what_is_no_vocaset(copies: Path, flame: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    known = builtin_template()
    with pytest.raises(UsageError, match="none of VOCASET's layouts"):
        open_vocaset(tmp_path / "empty", known=known, findings=Findings())
    with pytest.raises(UsageError, match="no faces; pass --template"):
        open_vocaset(copies / "arrays", known=known, findings=Findings())
    with pytest.raises(DataError, match="not FLAME's topology"):
        open_vocaset(copies / "arrays", known=known, findings=Findings(), flame=flame.parent)
    with pytest.raises(UsageError, match="not a folder"):
        open_vocaset(tmp_path / "none", known=known, findings=Findings())
