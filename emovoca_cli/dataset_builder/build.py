"""Builds an EmoVOCA dataset: talking clips x emotions x intensities, as latents that decode on reading or as meshes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from emovoca_cli.arrays import read_npy
from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.data.folder import BuildFolder, fingerprint
from emovoca_cli.data.store import ClipRow, Store
from emovoca_cli.data.template import save_template
from emovoca_cli.dataset_builder.plan import DEFAULT_MU_E, Plan, make_plan
from emovoca_cli.desd.seal import closedness, face_scale, seal_mask
from emovoca_cli.errors import TopologyError, UsageError
from emovoca_cli.files import hash_file
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.runtime.checkpoint import CONFIG, HIERARCHY, MODEL, TEMPLATE
from emovoca_cli.types import Float, MeshTemplate

DATASET_SCHEMA = 1
DATASET = "dataset"
StoreKind = Literal["latent", "mesh"]
Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (done, total, metrics)."""


class MixerLike(Protocol):
    """What the builder and the reader need of a DE-SD mixer. Displacements in metres, codes (.., C)."""

    @property
    def template(self) -> MeshTemplate:
        """The topology it was trained on."""

    @property
    def path(self) -> Path:
        """The checkpoint folder it was loaded from."""

    @property
    def licence(self) -> str:
        """Licence of what it was trained on."""

    def encode_talk(self, displacement: Float) -> Float:
        """Codes (T,C) of talking displacements (T,V,3)."""

    def encode_expression(self, displacement: Float) -> Float:
        """Codes (T,C) of expression displacements (T,V,3)."""

    def mix(self, z_talk: Float, z_expr: Float, mu_t: float = ..., mu_e: float = ..., *, closedness: Float | None = ...) -> Float:
        """Mixtures (T,V,3); with closedness (T,) the lips get less emotion the more closed speech has them."""

    def mix_landmarks(
        self, z_talk: Float, z_expr: Float, mu_t: float = ..., mu_e: float = ..., *, closedness: Float | None = ...
    ) -> Float:
        """The landmarks (T,68,3) of the same mixtures."""


@dataclass(frozen=True)
class BuildReport:
    """What a build did: `whole` is False when other shards still have clips to do."""

    out: Path
    sequences: int
    clips_done: int
    clips_kept: int
    whole: bool


def seal_track(template: MeshTemplate, opening: Float, *, fps: float) -> Float:
    """How closed the lips of a talking clip are (T,), 1 to 0, from how far speech opens them beyond rest (T,), metres, signed."""
    return closedness(opening, 0.0, scale=face_scale(template), fps=fps)


def peak_frame(expression: Store, clip_id: str) -> tuple[int, Float]:
    """The frame of largest displacement of an expression clip, and that displacement (V,3) metres."""
    motion = expression.displacement(clip_id)
    frame = int(np.argmax(np.square(motion).sum(axis=(1, 2))))
    return frame, motion[frame]


def build_dataset(
    talk: Store,
    expression: Store,
    mixer: MixerLike,
    out: Path,
    version: str,
    *,
    intensities: Mapping[int, float] = DEFAULT_MU_E,
    mu_t: float = NEUTRAL_MU,
    store: StoreKind = "latent",
    seal: bool = False,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Build EmoVOCAv1 or v2 in `out` (paper section 4.1); continues a stopped build and leaves a whole one as it is.

    `intensities`: level to mu_e. `shard` (i, n): do every n-th talking clip from i; the shard that ends last writes the manifest.
    Raises UsageError, TopologyError, DataError, OutputError.
    """
    if store not in ("latent", "mesh"):
        raise UsageError(f"unknown store {store!r}; choose latent or mesh")
    plan = make_plan(talk, expression, version, mu_e=intensities, mu_t=mu_t)
    if mixer.template.topology_hash != talk.topology_hash:
        raise TopologyError(
            f"the mixer was trained on {len(mixer.template.vertices)} vertices, the data has {talk.vertex_count} (or other faces); "
            "train one on this data with `emovoca train desd`"
        )
    if seal:
        seal_mask(mixer.template)  # would fail at the first decoding, long after the build
    names = [name for name in (MODEL, TEMPLATE, HIERARCHY, CONFIG) if (mixer.path / name).is_file()]
    checkpoint = {name: mixer.path / name for name in names}
    head = _describe(
        plan,
        talk,
        expression,
        mixer,
        store=store,
        seal=seal,
        checkpoint={name: hash_file(path) for name, path in checkpoint.items()},
    )
    folder = BuildFolder(out, kind=DATASET, mark=fingerprint(head), shard=shard, overwrite=overwrite)
    common = _write_common(folder, talk, mixer.template, plan, checkpoint)
    codes = _expression_codes(folder, expression, mixer, plan)
    mine, kept = plan.clips[shard[0] :: shard[1]], 0
    for number, row in enumerate(mine):
        missing = [path for path in _clip_files(plan, row, store) if folder.kept(path) is None]
        kept += not missing
        if missing and store == "latent":
            folder.save(f"talk/{row.id}.npy", mixer.encode_talk(talk.displacement(row.id)).astype(np.float16))
            folder.save(f"opening/{row.id}.npy", lip_opening(talk.landmarks(row.id)))
        elif missing:
            _write_meshes(folder, talk, mixer, plan, row, codes=codes, seal=seal)
        if progress is not None:
            progress(number + 1, len(mine), {})
    wanted = common + [path for row in plan.clips for path in _clip_files(plan, row, store)]
    whole = folder.finish({**head, **_places(talk, expression, out)}, wanted)
    return BuildReport(out, len(plan), len(mine) - kept, kept, whole)


def _describe(
    plan: Plan, talk: Store, expression: Store, mixer: MixerLike, *, store: str, seal: bool, checkpoint: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest without its places and file hashes: all that decides the content, hence the fingerprint."""
    return {
        "schema": DATASET_SCHEMA,
        "kind": DATASET,
        "store": store,
        "version": plan.version,
        "emotions": list(plan.emotions),
        "intensities": {str(level): mu_e for level, mu_e in plan.mu_e.items()},
        "mu_t": plan.mu_t,
        "seal": seal,
        "fps": talk.fps,
        "units": "metres",
        "topology_hash": talk.topology_hash,
        "vertices": talk.vertex_count,
        "subjects": sorted(plan.partners),
        "splits": {name: list(members) for name, members in plan.splits.items()},
        "partners": dict(plan.partners),
        "codes": [list(pair) for pair in plan.codes],
        "clips": [[row.id, row.subject, row.frames] for row in plan.clips],
        "counts": {
            "sequences": len(plan),
            "talk_clips": len(plan.clips),
            "emotions": len(plan.emotions),
            "intensities": len(plan.mu_e),
            "frames": sum(row.frames for row in plan.clips) * len(plan.emotions) * len(plan.mu_e),
        },
        "sources": {
            "talk": {"hash": talk.content_hash, "licence": talk.licence},
            "expression": {"hash": expression.content_hash, "licence": expression.licence},
            "mixer": {"files": dict(checkpoint), "licence": mixer.licence},
        },
        "licence": join_licences(talk.licence, expression.licence, mixer.licence),
    }


def join_licences(*licences: str) -> str:
    """Licences of all inputs as one line, each once: a dataset is bound by every one of them."""
    return " + ".join(dict.fromkeys(licence for licence in licences if licence))


def _places(talk: Store, expression: Store, out: Path) -> dict[str, Any]:
    """Where the inputs lie, relative to the dataset (so both can move together) and absolute."""
    return {
        "places": {
            name: {"relative": os.path.relpath(store.root.resolve(), out.resolve()), "absolute": str(store.root.resolve())}
            for name, store in (("talk", talk), ("expression", expression))
        }
    }


def _write_common(
    folder: BuildFolder, talk: Store, template: MeshTemplate, plan: Plan, checkpoint: Mapping[str, Path]
) -> list[str]:
    """What every shard needs: template, checkpoint copy, faces at rest. Returns the paths."""
    if folder.kept("template.npz") is None:
        save_template(template, folder.root / "template.npz")
        folder.note("template.npz")
    for name, path in checkpoint.items():
        if folder.kept(f"mixer/{name}") is None:
            folder.copy(f"mixer/{name}", path)
    neutrals = {f"neutral/{subject}.npy": subject for subject in sorted(plan.partners)}
    for file, subject in neutrals.items():
        if folder.kept(file) is None:
            folder.save(file, talk.neutral(subject))
    return ["template.npz", *(f"mixer/{name}" for name in checkpoint), *neutrals, "expressions.npy"]


def _expression_codes(folder: BuildFolder, expression: Store, mixer: MixerLike, plan: Plan) -> Float:
    """The code (C,) of the peak frame of every planned (identity, label), as (N,C) in the order of `plan.codes`; written once."""
    path = "expressions.npy"
    if folder.kept(path) is None:
        first: dict[tuple[str, str | None], str] = {}
        for row in expression.clips:
            first.setdefault((row.subject, row.label), row.id)
        peaks = [peak_frame(expression, first[pair])[1] for pair in plan.codes]
        folder.save(path, np.concatenate([mixer.encode_expression(peak[None]) for peak in peaks]).astype(np.float16))
    return np.asarray(read_npy(folder.root / path), np.float32)


def _clip_files(plan: Plan, row: ClipRow, store: str) -> list[str]:
    if store == "latent":
        return [f"talk/{row.id}.npy", f"opening/{row.id}.npy"]
    return [f"sequences/{planned.id}.npy" for planned in plan.of(row)]


def _write_meshes(
    folder: BuildFolder, talk: Store, mixer: MixerLike, plan: Plan, row: ClipRow, *, codes: Float, seal: bool
) -> None:
    """Decode and write the sequences of one talking clip that are not there yet, displacements (T,V,3) float16 metres."""
    z_talk = np.asarray(mixer.encode_talk(talk.displacement(row.id)), np.float16).astype(np.float32)
    closed = seal_track(mixer.template, lip_opening(talk.landmarks(row.id)), fps=talk.fps) if seal else None
    places = {pair: index for index, pair in enumerate(plan.codes)}
    for planned in plan.of(row):
        path = f"sequences/{planned.id}.npy"
        if folder.kept(path) is None:
            z_expr = codes[places[planned.expression_subject, planned.emotion]]
            mixed = mixer.mix(z_talk, z_expr, plan.mu_t, planned.mu_e, closedness=closed)
            folder.save(path, np.asarray(mixed, np.float16))
