"""A tiny world: a 60-vertex grid with 3 shapes, stores over it, and a mixer whose answers are known in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.store import Store, StoreWriter
from emovoca_cli.types import Float, MeshTemplate, Part

SHAPES = ("open", "wide", "brow")
SPLITS = {"ann": "train", "bob": "train", "cat": "val", "dan": "test"}


def grid(rows: int = 6, columns: int = 10, name: str = "grid") -> MeshTemplate:
    y, x = np.mgrid[0:rows, 0:columns]
    vertices = np.stack([x.ravel() * 0.01, y.ravel() * 0.01, np.sin(x.ravel()) * 0.002], axis=1).astype(np.float32)
    faces = []
    for row in range(rows - 1):
        for column in range(columns - 1):
            a = row * columns + column
            faces += [(a, a + 1, a + columns), (a + 1, a + columns + 1, a + columns)]
    weights = np.random.default_rng(0).dirichlet((1, 1, 1), 68).astype(np.float32)
    part = Part(
        "ball",
        vertices[:4],
        np.array([[0, 1, 2], [1, 3, 2]], np.int32),
        np.ones((4, 3), np.float32),
        "jaw",
        np.arange(3, dtype=np.int32),
    )
    regions = {"lips": np.arange(len(vertices)) < 7, "mouth": np.arange(len(vertices)) < 20}
    colors = np.full((len(vertices), 3), 0.5, np.float32)
    return MeshTemplate(name, vertices, np.array(faces, np.int32), np.arange(68, dtype=np.int32), weights, regions, colors, (part,))


def shapes(template: MeshTemplate, seed: int) -> Float:
    return (np.random.default_rng(seed).normal(0, 0.004, (len(SHAPES), len(template.vertices), 3))).astype(np.float32)


def write_talk(
    root: Path,
    *,
    clips: int = 2,
    coefficients: bool = True,
    template: MeshTemplate | None = None,
    splits: dict[str, str] | None = None,
) -> Store:
    template = template or grid()
    splits = splits or SPLITS
    writer = StoreWriter(
        root,
        kind="talk",
        template=template,
        fps=30,
        licence="talk-licence",
        provenance={"n": clips},
        coefficient_names=SHAPES if coefficients else (),
    )
    rng = np.random.default_rng(1)
    source = root.parent / "tone.wav"
    soundfile.write(source, np.sin(np.arange(8000) * 0.1) * 0.3, 16000)
    for index, (subject, split) in enumerate(splits.items()):
        writer.add_subject(
            subject, split, template.vertices * (1 + 0.01 * index), shapes(template, index) if coefficients else None
        )
    for number in range(clips):
        writer.add_speech(f"s{number}", source, text=f"words {number}", phones=[("SIL", 0.0, 0.1), ("AA", 0.1, 0.5)])
        for index, subject in enumerate(splits):
            values = rng.uniform(0, 1, (5 + number + index, len(SHAPES))).astype(np.float32)
            if not coefficients:
                values = np.einsum("tk,kvc->tvc", values, shapes(template, index))
            writer.add_clip(f"{subject}_s{number}", subject, values, sentence=f"s{number}")
    writer.finish()
    return Store(root)


def write_expression(
    root: Path, *, labels: tuple[str, ...] = EMOTIONS_V2, template: MeshTemplate | None = None, splits: dict[str, str] | None = None
) -> Store:
    template = template or grid()
    writer = StoreWriter(
        root,
        kind="expression",
        template=template,
        fps=30,
        licence="expression-licence",
        provenance={},
        labels=labels,
        coefficient_names=SHAPES,
    )
    rng = np.random.default_rng(2)
    for index, (subject, split) in enumerate((splits or SPLITS).items()):
        writer.add_subject(subject, split, template.vertices * (1 + 0.01 * index), shapes(template, index))
        for label in labels:
            peak = rng.uniform(0.2, 1, len(SHAPES))
            rise = np.sin(np.linspace(0, np.pi, 9)) ** 2
            writer.add_clip(f"{subject}_{label}", subject, (rise[:, None] * peak).astype(np.float32), label=label)
    writer.finish()
    return Store(root)


class FakeMixer:
    """Codes are displacements in decimetres; mixtures are (mu_t/2) talk + (mu_e/2) (1 - closedness) expression."""

    def __init__(self, path: Path, template: MeshTemplate | None = None) -> None:
        self.template = template or grid()
        self.path = path
        self.licence = "talk-licence"
        self.encoded = 0

    def encode_talk(self, displacement: Float) -> Float:
        self.encoded += 1
        return displacement.reshape(len(displacement), -1) * 10

    encode_expression = encode_talk

    def mix(self, z_talk: Float, z_expr: Float, mu_t: float = 2, mu_e: float = 2, *, closedness: Float | None = None) -> Float:
        feel = np.ones(len(z_talk)) if closedness is None else 1 - closedness
        code = mu_t / 2 * z_talk + mu_e / 2 * feel[:, None] * z_expr
        return (code / 10).reshape(len(z_talk), -1, 3).astype(np.float32)

    def mix_landmarks(
        self, z_talk: Float, z_expr: Float, mu_t: float = 2, mu_e: float = 2, *, closedness: Float | None = None
    ) -> Float:
        t = self.template
        dense = self.mix(z_talk, z_expr, mu_t, mu_e, closedness=closedness)
        return np.einsum("tlkc,lk->tlc", dense[:, t.faces[t.landmark_faces]], t.landmark_weights)


def fake_mixer(folder: Path, template: MeshTemplate | None = None) -> FakeMixer:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return FakeMixer(folder, template)
