"""Florence 4D: labels, faces at rest, peaks, faults by name; and the real peaks of the authors' release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli.cli.app import run
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.checks import Findings
from emovoca_cli.data.flame import FLAME_TOPOLOGY
from emovoca_cli.data.florence4d import open_florence, read_labels, write_florence
from emovoca_cli.data.store import Store
from emovoca_cli.data.subjects import FLORENCE_OF, VOCASET_SPLITS
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.transfer import transfer_landmarks
from tests.data import real_layouts as real
from tests.helpers import shared_data

pytestmark = pytest.mark.unit
ONE = ("Smile2",)


@pytest.fixture(scope="module")
def flame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.write_flame_files(tmp_path_factory.mktemp("flame"))


def prepare(folder: Path, out: Path, flame: Path, **options: Any) -> tuple[Store, Findings, dict[str, int]]:
    findings = Findings()
    labels = options.pop("labels", None) or read_labels()
    known = builtin_template()
    source = open_florence(folder, known=known, findings=findings, labels=labels, template=flame, flame=flame.parent, **options)
    _, peaks = write_florence(source, out, fps=30, findings=findings, version="test")
    return Store(out), findings, peaks


def test_expressions_become_clips_with_the_papers_labels(flame: Path, tmp_path: Path) -> None:
    real.write_florence(tmp_path / "florence")
    (tmp_path / "florence" / "COMA_CH02" / "Bored").mkdir()
    real.write_ply(tmp_path / "florence" / "COMA_CH02" / "Bored" / "Bored_01.ply", *real.head())
    broken = tmp_path / "florence" / "COMA_CH04" / "Afraid" / "Afraid_31.ply"
    broken.write_bytes(b"not a mesh")
    vertices, faces = read_mesh(tmp_path / "florence" / "COMA_CH04" / "Irritated1" / "Irritated1_07.ply")
    real.write_ply(tmp_path / "florence" / "COMA_CH04" / "Irritated1" / "Irritated1_07.ply", vertices, np.roll(faces, 5, axis=0))
    store, findings, peaks = prepare(tmp_path / "florence", tmp_path / "expression", flame)
    assert [(row.id, row.label, row.frames) for row in store.clips] == [
        ("COMA_CH02_afraid", "afraid", 60),
        ("COMA_CH02_angry", "angry", 60),
        ("COMA_CH02_happy", "happy", 60),
        ("COMA_CH04_happy", "happy", 60),
    ]
    assert store.labels == ("afraid", "angry", "happy")
    assert store.splits == {"train": ("COMA_CH02",), "val": (), "test": ("COMA_CH04",)}
    said = dict(findings.problems)
    assert set(said) == {"COMA_CH04/Afraid", "COMA_CH04/Irritated1"}
    assert "Afraid_31.ply" in said["COMA_CH04/Afraid"]
    assert "Irritated1_07.ply has another topology" in said["COMA_CH04/Irritated1"]
    assert any("Bored" in note and "--labels" in note for note in findings.notes)
    wanted = real.expression("COMA_CH02", "Smile2") - real.rest(real.FIRST)
    np.testing.assert_allclose(store.displacement("COMA_CH02_happy"), wanted, atol=1e-5)
    assert peaks["COMA_CH02_happy"] == 29  # files count from 1, the peak is the 28th from 0


def test_the_face_at_rest_is_a_file_or_the_first_frames_or_said_to_be_missing(flame: Path, tmp_path: Path) -> None:
    real.write_florence(tmp_path / "florence", neutral=False, names=ONE)
    store, findings, _ = prepare(tmp_path / "florence", tmp_path / "first", flame)
    np.testing.assert_allclose(store.neutral("COMA_CH02"), real.rest(real.FIRST), atol=1e-6)
    assert any("first frames" in note for note in findings.notes)
    with pytest.raises(DataError, match=r"COMA_CH02: has no face at rest: expected COMA_CH02\.ply"):
        prepare(tmp_path / "florence", tmp_path / "none", flame, neutral="file")
    peaks = tmp_path / "peaks"
    for identity in real.IDENTITIES:
        vertices, faces = real.expression(identity, "Smile2")[28], real.head()[1]
        real.write_ply(peaks / identity / "Smile2_30.ply", vertices, faces)
    with pytest.raises(DataError, match=r"no face at rest.*--neutral median"):
        prepare(peaks, tmp_path / "none", flame)


def test_labels_can_be_added(flame: Path, tmp_path: Path) -> None:
    real.write_florence(tmp_path / "florence", names=("Bored2",))
    table = tmp_path / "labels.yaml"
    table.write_text("Bored2: bored\nSmile1: happy\n")
    assert read_labels(table) == read_labels() | {"Bored2": "bored", "Smile1": "happy"}
    store, _, _ = prepare(tmp_path / "florence", tmp_path / "expression", flame, labels=read_labels(table))
    assert store.labels == ("bored",)
    table.write_text("Bored2: [bored]\n")
    with pytest.raises(DataError, match="no table of folder names"):
        read_labels(table)
    with pytest.raises(UsageError, match="no <identity>/<Expression>"):
        prepare(tmp_path / "florence", tmp_path / "other", flame)
    assert tuple(sorted(read_labels().values())) == tuple(sorted(EMOTIONS_V2))


def test_the_table_of_speakers_is_the_releases() -> None:
    assert FLORENCE_OF["FaceTalk_170725_00137_TA"] == "COMA_CH01"
    assert FLORENCE_OF["FaceTalk_170811_03274_TA"] == "COMA_CH05"
    assert FLORENCE_OF["FaceTalk_170915_00223_TA"] == "COMA_CH12"
    assert [len(VOCASET_SPLITS[name]) for name in ("train", "val", "test")] == [8, 2, 2]


def test_the_real_peaks_are_an_expression_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = shared_data() / "emovoca_release"
    line = ["prep", "florence4d", "--input", str(release / "conditions"), "--flame", str(release / "template"), "--json"]
    assert run([*line, "--neutral", "median", "--out", str(tmp_path / "data")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["expression_clips"] == 132
    assert facts["labels"] == list(EMOTIONS_V2)
    store = Store(tmp_path / "data" / "expression")
    assert store.topology_hash == FLAME_TOPOLOGY
    assert len(store.subjects) == 12
    assert [len(store.splits[name]) for name in ("train", "val", "test")] == [8, 2, 2]
    mean = np.linalg.norm(store.displacement("COMA_CH05_happy")[0], axis=1).mean() * 1000
    assert 0.5 < mean < 10
    # without a stand-in for the missing neutral files it says what is missing, of all twelve
    assert run([*line, "--out", str(tmp_path / "other")]) == 1
    assert "has no face at rest: no COMA_CH12.ply" in capsys.readouterr().err


def test_landmarks_carried_over_come_near_flames_own() -> None:
    folder = shared_data() / "emovoca_release" / "template"
    from emovoca_cli.data.release_mesh import flame_landmarks

    vertices, faces = read_mesh(folder / "FLAME_sample.ply")
    own = flame_landmarks(folder / "flame_static_embedding.pkl", folder / "flame_dynamic_embedding.npy", len(faces))
    found = transfer_landmarks(builtin_template(), vertices, faces)
    apart = 1000 * np.linalg.norm(landmark_points(vertices, faces, *own) - landmark_points(vertices, faces, *found), axis=1)
    assert apart.mean() < 8
    assert apart[36:48].mean() < 4  # eyes
    assert apart[48:].mean() < 5  # mouth
