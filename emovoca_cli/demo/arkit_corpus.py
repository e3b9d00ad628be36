"""Any ARKit-named rig as a speaking, feeling corpus: the demo's sentences and expressions on somebody's own character."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES, DEFAULT_FPS
from emovoca_cli.data.arkit.assemble import ArkitRig, assemble, find_skin
from emovoca_cli.data.arkit.facekit import is_facekit, read_facekit
from emovoca_cli.data.arkit.gltf_rig import SUFFIXES, read_gltf_rig
from emovoca_cli.data.arkit.source import RawRig
from emovoca_cli.data.landmark_file import read_landmarks
from emovoca_cli.data.store import Store
from emovoca_cli.demo.corpus import Progress, UtteranceLike, write_demo_corpus
from emovoca_cli.demo.identities import shape_gains
from emovoca_cli.demo.landmark_guess import guess_landmarks
from emovoca_cli.demo.rig_tables import RigTables, fit_tables
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

IDENTITIES = 12
"""People made of a rig's identity shapes by default."""
PERFORMERS = 6
"""Ways of acting that one face is given by default when its rig has no identity shapes."""
_SPREAD = 0.8
"""Standard deviations of an identity shape's weight; wider makes caricatures."""
_LIDS = (((43, 47), (44, 46)), ((37, 41), (38, 40)))
SPEECH_LICENCE = "speech: MIT (emovoca's synthesised recordings)"


@dataclass(frozen=True, eq=False)
class Performer:
    """One face that acts: neutral (V,3) and basis (52,V,3) in metres, and its split."""

    name: str
    neutral: Float
    basis: Float
    split: str


@dataclass(frozen=True, eq=False)
class ArkitCorpus:
    """What was written: both stores, and the tables that were solved for the rig."""

    talk: Store
    expression: Store
    tables: RigTables


def read_rig(
    source: Path, *, landmarks: Path | None = None, unit: str = "auto", progress: Callable[[int, int], None] | None = None
) -> ArkitRig:
    """The rig in a FaceXModel folder or a .glb/.gltf file. landmarks: a file (see `read_landmarks`) that overrules all others.

    Raises UsageError, DataError, TopologyError.
    """
    if source.is_dir():
        if not is_facekit(source):
            raise UsageError(f"{source} is no FaceXModel folder (no generic_neutral_mesh.obj); give that folder or a .glb file")
        raw = read_facekit(source, progress=progress)
    elif source.suffix.lower() in SUFFIXES:
        raw = read_gltf_rig(source)
    elif not source.exists():
        raise UsageError(f"{source} does not exist; give a FaceXModel folder or a .glb file")
    else:
        raise UsageError(f"{source} is no rig that is read here; give a FaceXModel folder or one of {', '.join(SUFFIXES)}")
    skin = find_skin(raw)
    points = read_landmarks(landmarks, raw.vertices, raw.faces, ordered=source.is_dir()) if landmarks is not None else raw.landmarks
    return assemble(raw, skin, guess_rig_landmarks(raw) if points is None else points, unit=unit)


def guess_rig_landmarks(raw: RawRig) -> Float:
    """Landmarks (68,3) of a rig in its own unit, by how its shapes move it (`landmark_guess.py`). Raises DataError."""
    skin = find_skin(raw)
    deltas = np.zeros((len(ARKIT_NAMES), *skin.vertices.shape), np.float32)
    for name, delta in raw.shapes.items():
        deltas[ARKIT_INDEX[name]] = delta[skin.chosen]
    return guess_landmarks(skin.vertices, skin.faces, deltas)


def rig_tables(rig: ArkitRig) -> RigTables:
    """Visemes and emotions solved for the rig, see `rig_tables.py`."""
    return fit_tables(_marks(rig.template, rig.deltas), _marks(rig.template, rig.template.vertices), rig.present)


def performers(rig: ArkitRig, count: int | None = None, seed: int = 0) -> list[Performer]:
    """The rig's cast: people of random identity weights where it has identity shapes, else one face with several ways of acting.

    Each has strengths in the shapes of its own (`shape_gains`), but for the first of one face, who is the rig as it came. Blinks
    are scaled so that the lids of every person meet as those of the rig do. Raises UsageError for a count below 1.
    """
    several = len(rig.identities) > 0
    count = (IDENTITIES if several else PERFORMERS) if count is None else count
    if count < 1:
        raise UsageError(f"{count} identities cannot speak; give 1 or more")
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", rig.template.name).strip("-").lower() or "face"
    splits = _splits(count)
    cast = []
    for index in range(count):
        rng = np.random.default_rng((seed, 4, index))
        neutral = rig.template.vertices.astype(np.float64)
        if several:
            weights = np.clip(rng.normal(0, _SPREAD, len(rig.identities)), -2, 2)
            neutral = neutral + np.tensordot(weights, rig.identities.astype(np.float64), 1)
        plain = index == 0 and not several
        gains = np.ones(len(ARKIT_NAMES), np.float32) if plain else shape_gains(1000 * seed + index + 1)
        person = neutral.astype(np.float32)
        basis = rig.deltas * (gains * _blink_gains(rig, person))[:, None, None]
        cast.append(Performer(f"{stem}-{index + 1:02d}", person, basis.astype(np.float32), splits[index]))
    return cast


def write_arkit_corpus(
    rig: ArkitRig,
    out: Path,
    speech: Sequence[UtteranceLike] | None = None,
    *,
    count: int | None = None,
    seed: int = 0,
    fps: float = DEFAULT_FPS,
    licence: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ArkitCorpus:
    """Write `out`/talk and `out`/expression of a rig, as `write_demo_corpus` does for the built-in head; continues a stopped run.

    licence: of the rig, default what its source says. Raises UsageError, DataError, OutputError.
    """
    tables = rig_tables(rig)
    cast = performers(rig, count, seed)
    source: dict[str, Any] = {"kind": "arkit", "rig": rig.template.name, "content": rig.content_hash, "unit": rig.unit}
    talk, expression = write_demo_corpus(
        out,
        speech,
        identities=cast,
        template=rig.template,
        fps=fps,
        seed=seed,
        licence=f"{licence or rig.licence}; {SPEECH_LICENCE}",
        tables=tables,
        source=source,
        overwrite=overwrite,
        progress=progress,
    )
    return ArkitCorpus(talk, expression, tables)


def _splits(count: int) -> list[str]:
    """train, val, test: a sixth each for the last two, none of a single face."""
    held = max(1, round(count / 6))
    if count == 1:
        return ["train"]
    if count == 2:
        return ["train", "test"]
    return ["train"] * (count - 2 * held) + ["val"] * held + ["test"] * held


def _blink_gains(rig: ArkitRig, neutral: Float) -> Float:
    """Factors (52,) on the shapes that close and open the lids, so that this person's lids meet where the rig's own do."""
    gains = np.ones(len(ARKIT_NAMES), np.float32)
    rest, person = _marks(rig.template, rig.template.vertices), _marks(rig.template, neutral)
    moves = _marks(rig.template, rig.deltas)
    for name, pairs in zip(("eyeBlinkLeft", "eyeBlinkRight"), _LIDS, strict=True):
        index = ARKIT_INDEX[name]

        def gap(points: Float, pairs: tuple[tuple[int, int], ...] = pairs) -> float:
            return float(np.mean([points[up, 1] - points[low, 1] for up, low in pairs]))

        closing = -gap(moves[index])
        if closing > 1e-6:
            gains[index] = np.clip(1 + (gap(person) - gap(rest)) / closing, 0.5, 1.6)
    return gains


def _marks(template: MeshTemplate, points: Float) -> Float:
    return landmark_points(points, template.faces, template.landmark_faces, template.landmark_weights)
