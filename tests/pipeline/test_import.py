"""The release's files, with made-up weights, through `emovoca import` and the commands over it: its own answers come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.cli.app import run
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.release_mesh import load_release_hierarchy
from emovoca_cli.data.release_weights import LANDMARK_UNIT
from emovoca_cli.data.store import Store
from emovoca_cli.data.writer import StoreWriter
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.generators.predict import Generator, S2DModel
from emovoca_cli.mesh.io import read_mesh, write_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip, Float
from tests.helpers import shared_data

pytestmark = pytest.mark.pipeline
LIMIT = 1e-4


@pytest.fixture(scope="module")
def template() -> Path:
    return shared_data() / "emovoca_release" / "template"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that users have."""
    tool = shared_data().parent / "tools" / "make_release_checkpoints.py"
    if not tool.is_file():
        pytest.skip(f"{tool} is not here")
    folder = tmp_path_factory.mktemp("published")
    subprocess.run([sys.executable, str(tool), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def given() -> dict[str, Float]:
    """The inputs that the answers belong to."""

    def wave(count: int, k: int, scale: float) -> Float:
        return (scale * np.sin(0.7548776662 * np.arange(count) * (1 + k) + k)).astype(np.float32)

    t = np.arange(24000) / 16000
    speech = np.sin(2 * np.pi * 180 * t) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) + 0.1 * np.sin(2 * np.pi * 2400 * t)
    return {
        "talk": wave(15069, 1, 5e-3).reshape(1, 5023, 3),
        "expr": wave(15069, 2, 5e-3).reshape(1, 5023, 3),
        "landmark_displacement": wave(204, 3, 1e-2).reshape(1, 68, 3),
        "landmark_template": wave(204, 4, 1e-1),
        "speech": speech.astype(np.float32),
    }


@pytest.fixture(scope="module")
def models(published: Path, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three imported, with the command."""
    folder = tmp_path_factory.mktemp("models")
    matrices = ["--hierarchy", str(template / "downsampling_matrices.pkl"), "--template", str(template / "FLAME_sample.ply")]
    assert run(["import", "desd", str(published / "emovoca_generator.tar"), *matrices, "--out", str(folder / "desd")]) == 0
    assert run(["import", "s2d", str(published / "es2d.tar"), *matrices, "--out", str(folder / "s2d")]) == 0
    assert run(["import", "s2l", str(published / "es2l.tar"), "--out", str(folder / "s2l")]) == 0
    return folder


def answers(name: str) -> dict[str, Any]:
    with np.load(shared_data() / "release_parity" / f"{name}.npz") as data:
        return {key: data[key] for key in data}


def assert_equal(seen: Float, wanted: Float) -> None:
    assert seen.shape == wanted.shape
    assert np.abs(seen - wanted).max() <= LIMIT * np.abs(wanted).max()


def test_spirals_are_the_released_ones(template: Path) -> None:
    tables = answers("spirals")
    for place, level in enumerate(load_release_hierarchy(template / "downsampling_matrices.pkl").levels):
        np.testing.assert_array_equal(level.spirals, tables[f"level{place}"][:-1])


def test_desd_gives_the_releases_codes_and_meshes(models: Path, given: dict[str, Float]) -> None:
    mixer, wanted = Mixer.load(models / "desd"), answers("desd")
    assert sum(parameter.numel() for parameter in mixer.model.parameters()) == 3_071_331
    z_talk, z_expr = mixer.encode_talk(given["talk"]), mixer.encode_expression(given["expr"])
    assert_equal(z_talk, wanted["z_talk"])
    assert_equal(z_expr, wanted["z_expr"])
    assert_equal(mixer.mix(z_talk, z_expr, 2.0, 3.0), wanted["mix_mu_t2_mu_e3"])
    for name in ("talk", "expr"):
        seen = mixer.model.reconstruct(torch.from_numpy(given[name]), talk=name == "talk")
        assert_equal(seen.detach().numpy(), wanted[name])
    some = np.array([5022, 17, 3000])
    assert_equal(mixer.mix(z_talk, z_expr, 2.0, 3.0, vertices=some), wanted["mix_mu_t2_mu_e3"][:, some])


def test_s2d_gives_the_releases_mesh(models: Path, given: dict[str, Float]) -> None:
    model = S2DModel.load(models / "s2d")
    # The release's landmarks have no unit; between our two networks they are metres.
    assert_equal(model.predict(given["landmark_displacement"] * np.float32(LANDMARK_UNIT)), answers("es2d")["displacement"])


def test_s2l_and_its_own_speech_model_give_the_releases_landmarks(models: Path, given: dict[str, Float]) -> None:
    model, wanted = Generator.load(models).s2l, answers("es2l")
    assert (model.fps, model.emotions) == (60.0, EMOTIONS_V2)
    frames = len(wanted["landmarks_happy_3"])
    features = speech_encoder(model.encoder_name).encode(given["speech"], 60.0, frames)
    assert_equal(features[::10], wanted["audio_hidden"])
    emotion = np.tile(np.eye(11, dtype=np.float32)[EMOTIONS_V2.index("happy")], (frames, 1))
    intensity = np.tile(np.array([0, 0, 1], np.float32), (frames, 1))
    moved = model.predict(features, emotion, intensity).reshape(frames, 204) / np.float32(LANDMARK_UNIT)
    assert_equal(moved + given["landmark_template"], wanted["landmarks_happy_3"])


def test_the_template_has_flames_landmarks_and_regions(models: Path, template: Path) -> None:
    face = Mixer.load(models / "desd").template
    vertices, faces = read_mesh(template / "FLAME_sample.ply")
    np.testing.assert_array_equal(face.vertices, vertices)
    np.testing.assert_array_equal(face.faces, faces)
    points = landmark_points(face.vertices, face.faces, face.landmark_faces, face.landmark_weights)
    assert points[8, 1] < points[57, 1] < points[30, 1] < points[27, 1]  # chin, lower lip, tip and bridge of the nose
    assert points[36, 0] < -0.04 < 0.04 < points[45, 0]  # outer eye corners
    for name in ("lips", "mouth", "eyes", "forehead", "upper_face"):
        assert 50 < face.regions[name].sum() < 2500


def test_licence_and_origin_are_kept_and_shown(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("desd", "s2d", "s2l"):
        assert run(["info", str(models / kind), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["licence"].startswith("CC BY-NC 4.0")
        assert facts["provenance"]["imported"]["weights"]["file"].endswith(".tar")
        assert len(facts["provenance"]["imported"]["weights"]["sha256"]) == 64


def test_mix_runs_on_flame_meshes(models: Path, template: Path, tmp_path: Path, given: dict[str, Float]) -> None:
    rest, faces = read_mesh(template / "FLAME_sample.ply")
    for name in ("talk", "expr"):
        write_mesh(tmp_path / f"{name}.ply", rest + given[name][0], faces)
    out = tmp_path / "mix.ply"
    meshes = ["--talk", str(tmp_path / "talk.ply"), "--expr", str(tmp_path / "expr.ply")]
    assert run(["mix", *meshes, "--mu-e", "3", "--model", str(models / "desd"), "--out", str(out)]) == 0
    wanted = answers("desd")["mix_mu_t2_mu_e3"][0]
    assert np.abs(read_mesh(out)[0] - rest - wanted).max() <= LIMIT * np.abs(wanted).max()


def test_build_dataset_runs_on_flame_stores(models: Path, tmp_path: Path, given: dict[str, Float]) -> None:
    face = Mixer.load(models / "desd").template
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, np.sin(np.arange(3200) * 0.1) * 0.3, 16000)
    for kind in ("talk", "expression"):
        writer = StoreWriter(
            tmp_path / "data" / kind, kind=kind, template=face, fps=60, licence="made up", provenance={},
            labels=EMOTIONS_V2 if kind == "expression" else (),
        )  # fmt: skip
        for subject, split in (("ann", "train"), ("bob", "val"), ("cat", "test")):
            writer.add_subject(subject, split, face.vertices)
        if kind == "talk":
            writer.add_speech("s0", tone, text="a", phones=[("AA", 0.0, 0.2)])
            for subject in ("ann", "bob", "cat"):
                writer.add_clip(f"{subject}_s0", subject, np.repeat(given["talk"], 3, axis=0), sentence="s0")
        else:
            for subject in ("ann", "bob", "cat"):
                for label in EMOTIONS_V2:
                    writer.add_clip(f"{subject}_{label}", subject, given["expr"], label=label)
        writer.finish()
    out = tmp_path / "emovoca"
    assert (
        run(
            [
                "build-dataset",
                "--version",
                "v1",
                "--data",
                str(tmp_path / "data"),
                "--model",
                str(models / "desd"),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    dataset = EmoDataset(out, talk=Store(tmp_path / "data" / "talk").root)
    assert "CC BY-NC 4.0" in dataset.licence
    entry = next(entry for entry in dataset.entries if (entry.emotion, entry.intensity) == ("happy", 3.0))
    wanted = answers("desd")["mix_mu_t2_mu_e3"]
    # Codes and displacements are stored as half floats.
    assert np.abs(dataset.displacement(entry, [0]) - wanted).max() < 5e-3 * np.abs(wanted).max()


def test_animate_runs_offline_and_gives_what_the_networks_give(
    models: Path, tmp_path: Path, given: dict[str, Float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    soundfile.write(tmp_path / "speech.wav", given["speech"] / np.abs(given["speech"]).max(), 16000)
    clip = tmp_path / "clip.npz"
    command = ["animate", str(tmp_path / "speech.wav"), "--emotion", "happy", "--intensity", "3", "--model", str(models)]
    assert run([*command, "--out", str(clip)]) == 0
    made = Clip.load(clip)
    assert (made.fps, made.vertices.shape) == (60.0, (90, 5023, 3))
    assert made.provenance["licence"].startswith("CC BY-NC 4.0")
    # The release unfolds its landmarks one frame at a time; a frame is enough to see that nothing lies between the two networks.
    network = S2DModel.load(models / "s2d").network
    landmarks = Generator.load(models).landmarks(
        given["speech"], np.tile(np.eye(11, dtype=np.float32)[4], (90, 1)), np.tile(np.array([0, 0, 1], np.float32), (90, 1))
    )
    plain = torch.from_numpy(landmarks[40:41] / np.float32(LANDMARK_UNIT)).flatten(1)
    with torch.no_grad():
        wanted = network.decoder(plain)[0].numpy()
    assert np.abs(made.vertices[40] - made.template - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_the_same_weights_without_the_landmark_files_still_give_a_face(
    published: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    lonely = tmp_path / "a" / "b" / "c" / "matrices.pkl"
    lonely.write_bytes((template / "downsampling_matrices.pkl").read_bytes())
    weights = tmp_path / "a" / "b" / "c" / "es2d.tar"
    weights.write_bytes((published / "es2d.tar").read_bytes())
    assert run(["import", "s2d", str(weights), "--hierarchy", str(lonely), "--out", str(tmp_path / "s2d")]) == 0
    assert "estimated from geometry" in capsys.readouterr().err
    face = S2DModel.load(tmp_path / "s2d").template
    estimated = landmark_points(face.vertices, face.faces, face.landmark_faces, face.landmark_weights)
    from emovoca_cli.data.release_mesh import flame_landmarks

    named = flame_landmarks(template / "flame_static_embedding.pkl", template / "flame_dynamic_embedding.npy", len(face.faces))
    off = np.linalg.norm(estimated - landmark_points(face.vertices, face.faces, *named), axis=1)
    assert off[17:].mean() < 6e-3
    assert off[:17].mean() < 15e-3


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert run(arguments) == code
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("emovoca:")]
    assert len(lines) == 1
    return lines[0]


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.system, ("echo owned > owned",)


def test_crafted_files_are_refused_by_the_command_and_not_run(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for legacy in (False, True):
        torch.save({"autoencoder_state_dict": {}, "epoch": Evil()}, "evil.tar", _use_new_zipfile_serialization=not legacy)
        for kind in ("desd", "s2d", "s2l"):
            matrices = ["--hierarchy", str(template / "downsampling_matrices.pkl")]
            said = refused(["import", kind, "evil.tar", *matrices, "--out", "out"], capsys, 1)
            assert "system" in said
            assert "asks to run" in said
    torch.save({"autoencoder_state_dict": {"w": torch.ones(1)}}, "fine.tar")
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo owned > owned'\ntR.")
    assert "os.system" in refused(["import", "desd", "fine.tar", "--hierarchy", "evil.pkl", "--out", "out"], capsys, 1)
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "out").exists()


def test_wrong_use_and_wrong_files_are_named(
    published: Path,
    models: Path,
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    matrices = ["--hierarchy", str(template / "downsampling_matrices.pkl")]
    desd, s2d, s2l = (str(published / name) for name in ("emovoca_generator.tar", "es2d.tar", "es2l.tar"))
    assert "No such command 's3d'" in refused(["import", "s3d", s2d], capsys, 2)
    assert "none.tar does not exist" in refused(["import", "s2d", "none.tar"], capsys, 2)
    assert "downsampling_matrices.pkl with --hierarchy" in refused(["import", "s2d", s2d], capsys, 2)
    assert "holds a model already" in refused(["import", "s2d", s2d, *matrices, "--out", str(models / "s2d")], capsys, 2)
    assert "misses 'conv_talk.0.conv.weight'" in refused(["import", "desd", s2d, *matrices, "--out", "x"], capsys, 1)
    assert "'fc_latent_dec.weight' has shape (2688, 512), expected (2688, 204)" in refused(
        ["import", "s2d", str(_without_encoders(desd, tmp_path)), *matrices, "--out", "x"], capsys, 1
    )
    assert "misses 'audio_mapper.weight'" in refused(["import", "s2l", s2d, "--out", "x"], capsys, 1)
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2}')
    wrong = ["--wav2vec2-config", "config.json", "--out", "x"]
    assert "--wav2vec2-config" in refused(["import", "s2l", s2l, *wrong], capsys, 1)
    write_mesh(tmp_path / "small.ply", np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32))
    assert "has 3 vertices and 1 faces" in refused(
        ["import", "s2d", s2d, *matrices, "--template", "small.ply", "--out", "x"], capsys, 1
    )
    assert not (tmp_path / "x").exists()


def _without_encoders(path: str, folder: Path) -> Path:
    state = torch.load(path, weights_only=True)["autoencoder_state_dict"]
    kept = {name: value for name, value in state.items() if name.startswith(("fc_latent_dec", "dconv"))}
    torch.save({"autoencoder_state_dict": kept}, folder / "decoder.tar")
    return folder / "decoder.tar"


def test_overwrite_replaces_a_model_of_another_kind(published: Path, template: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert run(["import", "s2l", str(published / "es2l.tar"), "--out", str(out)]) == 0
    matrices = ["--hierarchy", str(template / "downsampling_matrices.pkl")]
    assert run(["import", "s2d", str(published / "es2d.tar"), *matrices, "--out", str(out), "--overwrite"]) == 0
    assert not (out / "speech").exists()
    assert S2DModel.load(out).template.vertices.shape == (5023, 3)
