"""How well motion is carried to another face, against the truth of a rig, and whether lips stay sealed.

python -m tests.benchmarks.bench_any_face FACEXMODEL [--mesh FLAME_sample.ply --landmarks FOLDER] [--speech a.wav b.wav ...]

The built-in head and ICT-FaceKit have the same visemes and emotions, solved for each in millimetres. What the built-in head does in
them is carried to ICT-FaceKit and compared with what its own shapes do there. Then speech of the built-in models is carried over,
and frames whose lips are sealed are counted on either face. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.animation.animate import animate
from emovoca_cli.animation.carried import ByLandmarks, ByShapes
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.constants import MM
from emovoca_cli.data.any_face import AnyFace, read_any_face
from emovoca_cli.demo.arkit_corpus import read_rig, rig_tables
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.generators.load import load_generator
from emovoca_cli.mesh.carry import Carry
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points, lip_opening
from emovoca_cli.mesh.lips import Lips
from emovoca_cli.mesh.regions import regions
from emovoca_cli.types import Float, MeshTemplate

SEALED = 0.0003
"""Metres of clearance up to which lips count as sealed."""


def marks(template: MeshTemplate, vertices: Float) -> Float:
    return landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)


def error_on_the_rig(folder: Path) -> None:
    rig, head = read_rig(folder), builtin_template()
    tables = rig_tables(rig)
    built = {**load_visemes(), **load_emotions()}
    theirs = {**tables.visemes, **tables.emotions}
    names = [name for name in built if built[name].any()]
    source = load_rig().pose(np.stack([built[name] for name in names]))
    skin = rig.template
    truth = np.tensordot(np.stack([theirs[name] for name in names]), rig.deltas, 1)
    face = read_any_face(folder, known=(head,))
    chosen = np.asarray([np.flatnonzero((face.template.vertices == point).all(axis=1))[0] for point in skin.vertices])
    rest = marks(skin, skin.vertices)
    masks = regions(skin.vertices, skin.faces, rest)
    near = distance_to_points(skin.vertices, skin.faces, rest) < eye_distance(rest)
    areas = {
        "lips": masks["lips"],
        "mouth beside them": masks["mouth"] & ~masks["lips"],
        "eyes": masks["eyes"],
        "upper face": masks["upper_face"],
        "whole face": near,
    }
    carried, shaped = ByLandmarks(head, face), ByShapes(head, face)
    rows = {
        "no motion": np.zeros_like(truth),
        "by landmarks alone": Carry.between(head, face.solid).follow(source)[:, face.stands][:, chosen],
        "by landmarks and guides": carried.follow(source)[:, chosen],
        # Poses, not a sequence: each is solved alone.
        "by its own shapes": np.concatenate([shaped.follow(one[None]) for one in source])[:, chosen],
    }
    print(f"{len(names)} visemes and emotions on {skin.name}: error in mm, mean / 99 of 100 vertices / largest")
    for name, made in rows.items():
        error = np.linalg.norm(made - truth, axis=2) * MM
        said = [
            f"{area} {error[:, m].mean():.2f} / {np.percentile(error[:, m], 99):.1f} / {error[:, m].max():.1f}"
            for area, m in areas.items()
        ]
        print(f"  {name:24s} " + "; ".join(said))


def sealing(face: AnyFace, mover: ByLandmarks | ByShapes, clips: list[Spoken]) -> None:
    head = builtin_template()
    theirs = Lips.of(face.solid.vertices, face.solid.faces, marks(face.solid, face.solid.vertices))
    kept, wrong, gaps = 0, 0, []
    seconds, frames = 0.0, 0
    for clip in clips:
        begun = time.process_time()
        made = face.template.vertices + mover.follow(clip.vertices - head.vertices)
        seconds += time.process_time() - begun
        frames += len(made)
        wide = theirs.widest(made[clip.closed])
        kept += int((wide < SEALED).sum())
        gaps.extend((wide * MM).tolist())
        wrong += int((theirs.widest(made[clip.open]) < SEALED).sum())
    sealed, opened = sum(len(clip.closed) for clip in clips), sum(len(clip.open) for clip in clips)
    print(
        f"  {face.template.name} {mover.way}: {kept} of {sealed} sealed frames stay sealed, widest gap in them "
        f"{np.mean(gaps):.2f} mm on average, {np.max(gaps):.2f} at most; {wrong} of {opened} open frames closed; "
        f"{frames / seconds:.0f} frames a CPU second",
        flush=True,
    )


@dataclass(frozen=True, eq=False)
class Spoken:
    """A clip of the built-in head (T,N,3), its frames with sealed lips, and every eighth of those with open ones."""

    vertices: Float
    closed: NDArray[np.int64]
    open: NDArray[np.int64]

    @classmethod
    def of(cls, vertices: Float, own: Lips) -> Spoken:
        opening = lip_opening(marks(builtin_template(), vertices))
        near = np.flatnonzero(opening < 0.0015)
        return cls(vertices, near[own.widest(vertices[near]) < SEALED], np.flatnonzero(opening > 0.002)[::8])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facekit", type=Path)
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--landmarks", type=Path)
    parser.add_argument("--speech", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    error_on_the_rig(options.facekit)
    if not options.speech:
        return
    head = builtin_template()
    generator = load_generator()
    own = Lips.of(head.vertices, head.faces, marks(head, head.vertices))
    clips = [
        Spoken.of(animate(speech, generator, emotion=emotion, intensity=2.0).vertices, own)
        for speech in options.speech
        for emotion in ("neutral", "happy", "sad")
    ]
    print(f"{len(options.speech)} recordings, neutral, happy and sad at 2")
    face = read_any_face(options.facekit, known=(head,))
    for mover in (ByLandmarks(head, face), ByShapes(head, face)):
        sealing(face, mover, clips)
    if options.mesh is not None:
        other = read_any_face(options.mesh, landmarks=options.landmarks, known=(head,))
        sealing(other, ByLandmarks(head, other), clips)


if __name__ == "__main__":
    main()
