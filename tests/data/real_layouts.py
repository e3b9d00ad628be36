"""Miniature copies of VOCASET and Florence 4D in the layouts that people have, written without the code under test."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from emovoca_cli.demo.head import load_head

FIRST, SECOND = "FaceTalk_170728_03272_TA", "FaceTalk_170809_00138_TA"  # one trains, one tests
RATE = 22000
FRAMES = 48  # 0.8 s at 60 a second
Array = NDArray[Any]


def head() -> tuple[Array, Array]:
    """Stands for FLAME: 4,795 vertices in metres, y up."""
    template = load_head().template
    return template.vertices.astype(np.float32), template.faces.astype(np.int32)


def rest(subject: str) -> Array:
    return head()[0] * np.float32(1.0 if subject == FIRST else 1.03)


def talk(subject: str, number: int, frames: int = FRAMES) -> Array:
    """Frames (T,V,3): the lower front of the face drops and rises again."""
    vertices = rest(subject)
    weight = np.exp(-np.square((vertices - [0, -0.1, 0.03]) / 0.04).sum(axis=1))
    drop = 0.012 * np.sin(np.arange(frames) * (0.2 + 0.05 * number)) ** 2
    return (vertices - drop[:, None, None] * weight[None, :, None] * np.array([0, 1, 0.3])).astype(np.float32)


def sound(number: int, seconds: float = FRAMES / 60) -> Array:
    return (6000 * np.sin(np.arange(round(seconds * RATE)) * (0.05 + 0.01 * number))).astype(np.int16)


def spoken() -> list[tuple[str, str, int]]:
    return [(subject, f"sentence{number:02d}", number) for subject in (FIRST, SECOND) for number in (1, 2, 40)]


def write_ply(path: Path, vertices: Array, faces: Array) -> None:
    """Little-endian PLY with doubles, as Open3D writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = f"ply\nformat binary_little_endian 1.0\ncomment Created by Open3D\nelement vertex {len(vertices)}\n"
    header += "".join(f"property double {axis}\n" for axis in "xyz")
    header += f"element face {len(faces)}\nproperty list uchar uint vertex_indices\nend_header\n"
    rows = np.empty(len(faces), dtype=[("n", "u1"), ("v", "<u4", 3)])
    rows["n"], rows["v"] = 3, faces
    path.write_bytes(header.encode() + vertices.astype("<f8").tobytes() + rows.tobytes())


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def write_flame_files(folder: Path) -> Path:
    """The mesh and FLAME-like landmark files of the stand-in topology; returns the mesh."""
    template = load_head().template
    vertices, faces = head()
    write_ply(folder / "FLAME_sample.ply", vertices, faces)
    where, weights = template.landmark_faces, template.landmark_weights
    dump(folder / "flame_static_embedding.pkl", {"lmk_face_idx": where[17:].astype(np.uint32), "lmk_b_coords": weights[17:]})
    contour = {"lmk_face_idx": [where[:17]] * 79, "lmk_b_coords": [weights[:17]] * 79}
    np.save(folder / "flame_dynamic_embedding.npy", np.array(contour, dtype=object), allow_pickle=True)
    return folder / "FLAME_sample.ply"


def write_mapped(root: Path) -> None:
    root.mkdir(parents=True)
    index: dict[str, dict[str, dict[int, int]]] = {}
    audio: dict[str, dict[str, dict[str, Any]]] = {}
    rows: list[Array] = []
    for subject, sentence, number in reversed(spoken()):  # rows lie in another order than names
        first = sum(map(len, rows))
        frames = talk(subject, number)
        index.setdefault(subject, {})[sentence] = {frame: first + frame for frame in reversed(range(len(frames)))}
        audio.setdefault(subject, {})[sentence] = {"audio": sound(number), "sample_rate": RATE}
        rows.append(frames)
    np.save(root / "data_verts.npy", np.concatenate(rows))
    dump(root / "subj_seq_to_idx.pkl", index)
    dump(root / "raw_audio_fixed.pkl", audio)
    dump(root / "templates.pkl", {subject: rest(subject).astype(np.float64) for subject in (FIRST, SECOND)})


def write_arrays(root: Path, *, step: int = 1) -> None:
    (root / "vertices_npy").mkdir(parents=True)
    (root / "wav").mkdir()
    for subject, sentence, number in spoken():
        np.save(root / "vertices_npy" / f"{subject}_{sentence}.npy", talk(subject, number)[::step].reshape(-1, rest(subject).size))
        soundfile.write(root / "wav" / f"{subject}_{sentence}.wav", sound(number), RATE)
    dump(root / "templates.pkl", {subject: rest(subject) for subject in (FIRST, SECOND)})


def write_meshes(root: Path) -> None:
    _, faces = head()
    for subject, sentence, number in spoken():
        for frame, vertices in enumerate(talk(subject, number), start=1):
            write_ply(root / subject / sentence / f"{sentence}.{frame:06d}.ply", vertices, faces)
        wav = root / "audio" / subject / f"{sentence}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(wav, sound(number), RATE)
        write_ply(root / "templates" / f"{subject}.ply", rest(subject), faces)


IDENTITIES = ("COMA_CH02", "COMA_CH04")
EXPRESSIONS = ("Afraid", "Irritated1", "Smile2")


def expression(identity: str, name: str, frames: int = 60, peak: int = 28) -> Array:
    vertices = rest(FIRST if identity == IDENTITIES[0] else SECOND)
    place = {"Afraid": [0.03, 0.06, 0.05], "Irritated1": [0, 0.05, 0.06], "Smile2": [0.03, -0.06, 0.05]}.get(name, [0, 0, 0.05])
    weight = np.exp(-np.square((vertices - place) / 0.03).sum(axis=1))
    time = np.arange(frames)
    level = np.where(time <= peak, time / peak, (frames - 1 - time) / (frames - 1 - peak))
    return (vertices + 0.006 * level[:, None, None] * weight[None, :, None] * np.array([0, 1, 0.2])).astype(np.float32)


def write_florence(root: Path, *, neutral: bool = True, names: tuple[str, ...] = EXPRESSIONS) -> None:
    _, faces = head()
    for identity in IDENTITIES:
        for name in names:
            for frame, vertices in enumerate(expression(identity, name), start=1):
                write_ply(root / identity / name / f"{name}_{frame:02d}.ply", vertices, faces)
        if neutral:
            write_ply(root / f"{identity}.ply", rest(FIRST if identity == IDENTITIES[0] else SECOND), faces)
