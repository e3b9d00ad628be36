"""Reading ARKit rigs: a FaceXModel folder, a .glb, and what is wrong with broken ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.data.arkit.assemble import ArkitRig, guess_unit
from emovoca_cli.data.arkit.facekit import read_facekit
from emovoca_cli.data.arkit.gltf import read_gltf
from emovoca_cli.data.arkit.gltf_rig import read_gltf_rig
from emovoca_cli.data.arkit.names import arkit_name, map_names
from emovoca_cli.demo.arkit_corpus import performers, read_rig, rig_tables, write_arkit_corpus
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.rig_tables import fit_tables, load_outcomes, measures
from emovoca_cli.demo.speech import builtin_speech
from emovoca_cli.demo.truth import DemoTruth
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.landmarks import landmark_points
from tests.data.arkit.rigs import Glb, head_glb, truth, write_facekit
from tests.helpers import peak_memory, shared_data

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def facekit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_facekit(tmp_path_factory.mktemp("kit") / "FaceXModel")


@pytest.fixture(scope="module")
def glb_rig(tmp_path_factory: pytest.TempPathFactory) -> ArkitRig:
    glb, _ = head_glb()
    return read_rig(glb.write(tmp_path_factory.mktemp("glb") / "hero.glb"))


def marks(rig: ArkitRig) -> np.ndarray[Any, Any]:
    t = rig.template
    return landmark_points(t.vertices, t.faces, t.landmark_faces, t.landmark_weights)


def test_names_of_many_tools_mean_arkits() -> None:
    for spelling in ("browDown_L", "Face.browDownLeft", "BROW_DOWN_LEFT", "blendShape1.browDown_Left", "Brow_Down_L"):
        assert arkit_name(spelling) == ("browDownLeft", False)
    assert arkit_name("jawLeft") == ("jawLeft", False)
    assert arkit_name("cheekPuff_R") == ("cheekPuff", True)
    assert arkit_name("PupilDilate_L") is None
    names, unknown = map_names(["browInnerUp_R", "browInnerUp_L", "jawOpen", "x"])
    assert names == {"browInnerUp": ["browInnerUp_L", "browInnerUp_R"], "jawOpen": ["jawOpen"]}
    assert unknown == ["x"]
    assert map_names(["cheekPuff_L", "cheekPuff"])[0] == {"cheekPuff": ["cheekPuff"]}


def test_a_facekit_folder_is_read_in_metres(facekit: Path) -> None:
    rig, ours = read_rig(facekit), load_rig()
    assert rig.unit.startswith("cm (guessed")
    np.testing.assert_allclose(rig.template.vertices, ours.template.vertices, atol=2e-7)
    assert np.array_equal(rig.template.faces, ours.template.faces)
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp"):  # whole, paired and joined from halves
        np.testing.assert_allclose(rig.deltas[ARKIT_INDEX[name]], ours.deltas[ARKIT_INDEX[name]], atol=4e-7)
    assert not rig.deltas[ARKIT_INDEX["tongueOut"]].any()
    assert "tongueOut" not in rig.present
    assert [part.name for part in rig.template.parts] == ["eye_left"]
    assert rig.identities.shape == (2, len(ours.template.vertices), 3)
    assert np.linalg.norm(marks(rig) - truth(ours), axis=1).max() < 0.006  # the nearest vertex


def test_a_glb_is_read_with_seams_sparse_shapes_and_transforms(glb_rig: ArkitRig) -> None:
    ours = load_rig()
    assert glb_rig.licence == "as the file says: CC0 test"
    assert glb_rig.metres == pytest.approx(0.1, rel=0.2)  # ten times a head is no known unit
    assert len(glb_rig.template.vertices) == len(ours.template.vertices)
    assert len(glb_rig.template.faces) == len(ours.template.faces)
    ours_set = {tuple(row) for row in np.round(ours.template.vertices * 5000).astype(int).tolist()}
    scale = glb_rig.metres * 10
    back = (glb_rig.template.vertices - [0, 16 * glb_rig.metres, 0]) / scale
    assert len({tuple(row) for row in np.round(back * 5000).astype(int).tolist()} & ours_set) > 0.97 * len(ours_set)
    assert glb_rig.present == ARKIT_NAMES
    for index in (ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]):
        assert np.abs(glb_rig.deltas[index]).max() == pytest.approx(np.abs(ours.deltas[index]).max() * scale, rel=1e-4)
    drives = {part.name: part.drive for part in glb_rig.template.parts}
    assert drives["eye_left"] == "eye_left"
    assert drives["teeth_upper"] == "head"
    assert drives["teeth_lower"] == "jaw"
    lower = next(part for part in glb_rig.template.parts if part.name == "teeth_lower")
    assert np.linalg.norm(glb_rig.deltas[ARKIT_INDEX["jawOpen"]][lower.anchors], axis=1).min() > 0.005


def test_landmarks_are_derived_from_the_shapes(glb_rig: ArkitRig) -> None:
    ours = load_rig()
    scale = glb_rig.metres * 10
    away = np.linalg.norm((marks(glb_rig) - [0, 16 * glb_rig.metres, 0]) / scale - truth(ours), axis=1) * 1000
    assert away[36:].mean() < 1.5
    assert away.max() < 8


def test_landmarks_of_a_file_overrule(facekit: Path, tmp_path: Path) -> None:
    points = truth(load_rig()) * 100
    (tmp_path / "marks.json").write_text(json.dumps(points.tolist()), encoding="ascii")
    rig = read_rig(facekit, landmarks=tmp_path / "marks.json")
    np.testing.assert_allclose(marks(rig) * 100, points, atol=2e-3)
    np.save(tmp_path / "off.npy", points + 5)
    with pytest.raises(DataError, match="eye distances off the face"):
        read_rig(facekit, landmarks=tmp_path / "off.npy")
    np.save(tmp_path / "few.npy", points[:5])
    with pytest.raises(DataError, match=r"shape \(5, 3\); give 68 points"):
        read_rig(facekit, landmarks=tmp_path / "few.npy")


def test_units_are_guessed_or_told() -> None:
    assert guess_unit(0.09, "auto")[0] == 1.0
    assert guess_unit(8.9, "auto")[0] == 0.01
    assert guess_unit(91, "auto")[0] == 0.001
    scale, words = guess_unit(0.3, "auto")
    assert scale == pytest.approx(0.0892 / 0.3)
    assert words.startswith("unknown: scaled by")
    assert guess_unit(0.3, "m")[0] == 1.0
    with pytest.raises(UsageError, match="unknown unit 'ell'"):
        guess_unit(1, "ell")


def test_broken_shapes_are_named(facekit: Path, tmp_path: Path) -> None:
    for name, text, words in (
        ("cut", "v 1 2 3\nv 1 2\n", "mouthFunnel.obj is not a whole .obj"),
        ("few", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "mouthFunnel.obj has 3 vertices"),
        ("wild", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "names a vertex outside"),
        ("nan", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for path in facekit.iterdir():
            (folder / path.name).symlink_to(path)
        (folder / "mouthFunnel.obj").unlink()
        (folder / "mouthFunnel.obj").write_text(text, encoding="ascii")
        with pytest.raises(DataError, match=words):
            read_facekit(folder)
    with pytest.raises(UsageError, match="no FaceXModel folder"):
        read_rig(tmp_path)


def small_glb(tmp_path: Path) -> tuple[Glb, Path]:
    glb = Glb()
    position = glb.dense(np.zeros((3, 3), "<f4"), 5126, "VEC3")
    glb.json["meshes"] = [{"primitives": [{"attributes": {"POSITION": position}, "targets": []}]}]
    glb.json["nodes"] = [{"mesh": 0}]
    return glb, tmp_path / "small.glb"


def test_a_glb_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    glb, path = small_glb(tmp_path)
    with pytest.raises(DataError, match="has 0 of the 52 ARKit shapes"):
        read_gltf_rig(glb.write(path))
    glb.json["accessors"][0]["count"] = 4_000_000_000
    with pytest.raises(DataError, match="would take 48000000000 bytes"):
        read_gltf(glb.write(path)).array(0, 3)
    del glb.json["accessors"][0]["bufferView"]  # not refused one by one, but together
    glb.json["accessors"][0]["count"] = 20_000_000
    glb.json["accessors"].append(dict(glb.json["accessors"][0]))
    with peak_memory() as peak, pytest.raises(DataError, match="480,000,000 bytes of arrays that it holds no numbers for"):
        read_gltf_rig(glb.write(path))
    assert peak() < 1 << 24
    glb.json["accessors"].pop()
    glb.json["accessors"][0]["bufferView"] = 0
    glb.json["accessors"][0]["count"] = 4
    with pytest.raises(DataError, match="reaches to byte 48"):
        read_gltf(glb.write(path)).array(0, 3)
    glb.json["accessors"][0]["count"] = 3
    glb.json["accessors"][0]["byteOffset"] = -4
    with pytest.raises(DataError, match="no usable buffer"):
        read_gltf(glb.write(path)).array(0, 3)
    whole = glb.write(path).read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(DataError, match="it is cut off"):
        read_gltf(path)
    path.write_bytes(whole[:12] + struct.pack("<I", 2**31) + whole[16:])
    with pytest.raises(DataError, match="a chunk at byte 12 says"):
        read_gltf(path)
    path.write_bytes(b"glTF" + b"\xff" * 40)
    with pytest.raises(DataError, match="version"):
        read_gltf(path)


def test_a_gltf_reads_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 64)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.gltf"
    for uri in ("../secret.bin", "%2e%2e/secret.bin", str(tmp_path / "secret.bin"), "http://example.org/a.bin"):
        path.write_text(json.dumps({"asset": {"version": "2.0"}, "buffers": [{"byteLength": 36, "uri": uri}]}), encoding="ascii")
        with pytest.raises(DataError, match="points outside the file's folder"):
            read_gltf(path)


def test_a_node_that_contains_itself_is_refused(tmp_path: Path) -> None:
    glb, path = small_glb(tmp_path)
    glb.json["nodes"] = [{"children": [1]}, {"children": [0]}]
    with pytest.raises(DataError, match="do not form a tree"):
        read_gltf_rig(glb.write(path))


def test_tables_reach_the_same_millimetres_on_a_weaker_rig() -> None:
    ours = load_rig()
    points = truth(ours)
    same = fit_tables(ours.landmark_deltas, points)
    weak = ours.landmark_deltas.copy()
    weak[ARKIT_INDEX["jawOpen"]] *= 0.6
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        weak[ARKIT_INDEX[name]] *= 1.5
    fitted = fit_tables(weak, points)
    gains, rest = measures(weak, points)
    wanted = load_outcomes()["visemes"]["AA"]
    assert (rest + gains @ fitted.visemes["AA"])[0] == pytest.approx(wanted[0], abs=1.0)
    assert fitted.visemes["AA"][ARKIT_INDEX["jawOpen"]] > 1.4 * same.visemes["AA"][ARKIT_INDEX["jawOpen"]]
    assert fitted.emotions["happy"][ARKIT_INDEX["mouthSmileLeft"]] < 0.8 * same.emotions["happy"][ARKIT_INDEX["mouthSmileLeft"]]
    before, after = (np.mean([row[i] for row in fitted.missed.values()]) for i in (0, 1))
    assert after < 0.6 * before
    for row in (*fitted.visemes.values(), *fitted.emotions.values()):
        assert row.min() >= 0
        assert row.max() <= 1


def test_the_corpus_of_a_rig_is_whole_and_its_truth_uses_the_rigs_tables(facekit: Path, tmp_path: Path) -> None:
    rig = read_rig(facekit)
    speech = builtin_speech()[:1]
    corpus = write_arkit_corpus(rig, tmp_path / "data", speech, count=3, licence="mine")
    assert len(corpus.expression.clips) == 3 * 11
    assert corpus.talk.manifest["licence"].startswith("mine; speech: MIT")
    assert {k: len(v) for k, v in corpus.talk.manifest["splits"].items()} == {"train": 1, "val": 1, "test": 1}
    clip = corpus.talk.clips[0].id
    stored = corpus.talk.coefficients(clip)
    np.testing.assert_allclose(DemoTruth(tmp_path / "data").coefficients(clip, None), stored, atol=1e-6)
    mark = corpus.talk.manifest["fingerprint"]
    again = write_arkit_corpus(rig, tmp_path / "data", speech, count=3, licence="mine")
    assert again.talk.manifest["fingerprint"] == mark
    with pytest.raises(UsageError, match="holds another"):
        write_arkit_corpus(rig, tmp_path / "data", speech, count=3, seed=1)


def test_one_face_gets_several_ways_of_acting(glb_rig: ArkitRig) -> None:
    cast = performers(glb_rig)
    assert len(cast) == 6
    assert np.array_equal(cast[0].neutral, glb_rig.template.vertices)
    np.testing.assert_allclose(cast[0].basis, glb_rig.deltas, atol=1e-7)
    assert np.abs(cast[1].basis - glb_rig.deltas).max() > 1e-4
    assert [who.split for who in cast] == ["train"] * 4 + ["val", "test"]
    assert rig_tables(glb_rig).visemes.keys() == load_outcomes()["visemes"].keys()


def test_the_published_neutral_of_facekit_is_what_the_index_says() -> None:
    from emovoca_cli.data.arkit.kit import published
    from emovoca_cli.files import hash_file

    path = shared_data() / "ict_facekit" / "generic_neutral_mesh.obj"
    assert hash_file(path) == published()["FaceXModel/generic_neutral_mesh.obj"].sha256
