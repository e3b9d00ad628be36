"""`emovoca animate --template` with meshes that no model knows, through the entry point and the built-in model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.mesh.io import write_mesh
from emovoca_cli.types import Clip
from tests.data.arkit.rigs import write_facekit
from tests.mesh.meshes import stranger

pytestmark = pytest.mark.pipeline
SPEECH = Path(__file__).resolve().parents[2] / "examples" / "speech.wav"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path / "cache"))
    samples, rate = soundfile.read(SPEECH)
    soundfile.write("a.wav", samples[:rate], rate)
    return tmp_path


def animate(*arguments: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[dict[str, object], str]:
    seen = run(["animate", "a.wav", *arguments, "--json"])
    said = capsys.readouterr()
    assert seen == code, said.err
    return (json.loads(said.out) if said.out else {}), said.err


def test_a_mesh_in_centimetres_speaks_in_its_own_topology_and_is_drawn(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vertices, faces, points, order = stranger()
    write_mesh(work / "face.obj", vertices * 100, faces)
    (work / "marks.json").write_text(json.dumps((points * 100).tolist()), encoding="ascii")
    given = ("--template", "face.obj", "--landmarks", "marks.json", "--emotion", "happy")
    made, said = animate(*given, "--out", "clip.npz", "--render", "out", "--size", "64", "--fps", "6", capsys=capsys)
    assert "unit cm (guessed" in said
    assert "4795 vertices, moved by its landmarks" in said
    clip = Clip.load(work / "clip.npz")
    np.testing.assert_array_equal(clip.faces, faces)
    np.testing.assert_allclose(clip.template, vertices, atol=1e-5)
    assert "face: unknown" in str(clip.provenance["licence"])
    assert len(list((work / "out").glob("*.png"))) == made["frames"] == 6
    # What it does is what the built-in head does.
    animate("--emotion", "happy", "--out", "own.npz", "--fps", "6", capsys=capsys)
    own = Clip.load(work / "own.npz")
    apart = np.linalg.norm((clip.vertices - clip.template) - (own.vertices - own.template)[:, order], axis=2)
    moved = np.linalg.norm(own.vertices - own.template, axis=2)
    assert apart.mean() < 0.2 * moved.mean()
    mouth = builtin_template().regions["lips"][order]
    assert apart[:, mouth].mean() < 0.7e-3
    np.testing.assert_allclose(clip.landmarks, own.landmarks, atol=2.5e-3)
    # The clip alone can be drawn again.
    assert run(["render", "clip.npz", "--out", "again", "--size", "64", "--silent"]) == 0


def test_the_models_own_topology_in_millimetres_is_moved_by_the_model(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = builtin_template()
    write_mesh(work / "me.ply", head.vertices * 1100, head.faces)
    _, said = animate("--template", "me.ply", "--out", "clip.npz", "--fps", "4", capsys=capsys)
    assert "unit mm" in said
    assert "moved by its" not in said
    clip = Clip.load(work / "clip.npz")
    np.testing.assert_allclose(clip.template, head.vertices * 1.1, atol=1e-5)


def test_a_kit_in_the_cache_speaks_by_its_shapes(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from emovoca_cli.data.arkit.kit import kit_folder

    _, said = animate("--template", "ict-facekit", "--out", "clip.npz", capsys=capsys, code=2)
    assert "emovoca face get ict-facekit" in said
    assert str(kit_folder() / "FaceXModel") in said
    kit_folder().mkdir(parents=True)
    write_facekit(kit_folder() / "FaceXModel")
    _, said = animate("--template", "ict-facekit", "--out", "clip.npz", "--fps", "5", capsys=capsys)
    assert "moved by coefficients of its own shapes" in said
    clip = Clip.load(work / "clip.npz")
    opened = np.ptp(clip.landmarks[:, 57, 1])
    assert opened > 2e-3


def test_what_is_wrong_with_a_face_is_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vertices, faces, points, _ = stranger()
    write_mesh(work / "face.ply", vertices, faces)
    np.save(work / "marks.npy", points)
    np.save(work / "outside.npy", np.arange(68) + 4790)
    for arguments, code, words in (
        (("--landmarks", "marks.npy"), 2, "give it with --template"),
        (("--template", "emovoca-head", "--landmarks", "marks.npy"), 2, "give it with --template"),
        (("--template", "face.ply"), 1, "give --landmarks FILE"),
        (("--template", "face.ply", "--landmarks", "outside.npy"), 1, "is vertex 4795, the mesh has 4795"),
        (("--template", "face.ply", "--landmarks", "none.npy"), 2, "do not exist"),
        (("--template", "nobody"), 2, "ict-facekit"),
    ):
        _, said = animate(*arguments, "--out", "clip.npz", capsys=capsys, code=code)
        lines = [line for line in said.splitlines() if line.startswith("emovoca: ")]
        assert len(lines) == 1
        assert words in lines[0]
        assert not (work / "clip.npz").exists()
