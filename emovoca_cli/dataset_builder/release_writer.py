"""An EmoVOCA dataset in the authors' folders, and beside it in FaceFormer's and CodeTalker's, for other people's training code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.data.folder import BuildFolder, check_files, fingerprint, manifest_files, read_manifest
from emovoca_cli.data.store import ClipRow, Store
from emovoca_cli.dataset_builder.build import BuildReport, MixerLike, Progress, join_licences, peak_frame, seal_track
from emovoca_cli.dataset_builder.plan import DEFAULT_MU_E, Plan, make_plan
from emovoca_cli.dataset_builder.release_names import (
    INTENSITY,
    LABEL,
    LANDMARKS,
    RELEASE_FPS,
    SEQUENCES,
    VIEW,
    WAV,
    ReleaseName,
    doubled,
    expression_of,
    label_number,
    normalised,
    sentence_tokens,
    template_pickle,
)
from emovoca_cli.dataset_builder.verify import VerifyReport
from emovoca_cli.desd.seal import seal_mask
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.files import atomic_write, hash_file
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float

RELEASE_KIND = "release layout"
RELEASE_SCHEMA = 1


def write_release(
    talk: Store,
    expression: Store,
    mixer: MixerLike,
    out: Path,
    version: str,
    *,
    intensities: Mapping[int, float] = DEFAULT_MU_E,
    mu_t: float = NEUTRAL_MU,
    seal: bool = False,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Write EmoVOCAv1 or v2 as the authors lay it out, at 60 frames a second; continues a stopped build.

    `sequences/` (T,V,3), `label/`, `intensity/`, `wav/`, `landmarks_sequences/` (T,68,3), `templates.pkl`; and `vocaset/` with
    `vertices_npy/` (T,3V), `wav/`, `templates.pkl`. A store of 30 frames a second is doubled: those loaders keep every second one.
    Raises UsageError, TopologyError, DataError, OutputError.
    """
    plan = make_plan(talk, expression, version, mu_e=intensities, mu_t=mu_t)
    if mixer.template.topology_hash != talk.topology_hash:
        raise TopologyError(f"the mixer was trained on {len(mixer.template.vertices)} vertices, the data has {talk.vertex_count}")
    if talk.fps not in (RELEASE_FPS, RELEASE_FPS / 2):
        raise UsageError(f"--layout release needs a talk store of 60 or 30 frames a second, {talk.root} has {talk.fps:g}")
    if set(plan.mu_e) - {1, 2, 3}:
        raise UsageError("--layout release knows the intensities 1, 2 and 3")
    if seal:
        seal_mask(mixer.template)
    head = _describe(plan, talk, expression, mixer, seal=seal)
    folder = BuildFolder(out, kind=RELEASE_KIND, mark=fingerprint(head), shard=shard, overwrite=overwrite)
    tokens = sentence_tokens(plan.clips)
    common = _write_templates(folder, talk, plan)
    mine, kept = plan.clips[shard[0] :: shard[1]], 0
    codes: dict[tuple[str, str], Float] = {}
    for number, row in enumerate(mine):
        missing = [file for file in _files(plan, row, tokens) if folder.kept(file) is None]
        kept += not missing
        if missing:
            codes = codes or _codes(expression, mixer, plan)
            _write_clip(folder, talk, mixer, plan, row, codes=codes, tokens=tokens, seal=seal)
        if progress is not None:
            progress(number + 1, len(mine), {})
    wanted = common + [file for row in plan.clips for file in _files(plan, row, tokens)]
    return BuildReport(out, len(plan), len(mine) - kept, kept, folder.finish(head, wanted))


def _describe(plan: Plan, talk: Store, expression: Store, mixer: MixerLike, *, seal: bool) -> dict[str, Any]:
    """All that decides the content, hence the fingerprint."""
    weights = mixer.path / "model.safetensors"
    return {
        "schema": RELEASE_SCHEMA,
        "kind": RELEASE_KIND,
        "version": plan.version,
        "emotions": list(plan.emotions),
        "intensities": {str(level): mu_e for level, mu_e in plan.mu_e.items()},
        "mu_t": plan.mu_t,
        "seal": seal,
        "fps": RELEASE_FPS,
        "units": "metres",
        "topology_hash": talk.topology_hash,
        "splits": {name: list(members) for name, members in plan.splits.items()},
        "subjects": sorted(plan.partners),
        "partners": dict(plan.partners),
        "counts": {"sequences": len(plan)},
        "sources": {
            "talk": talk.content_hash,
            "expression": expression.content_hash,
            "mixer": hash_file(weights) if weights.is_file() else "",
        },
        "licence": join_licences(talk.licence, expression.licence, mixer.licence),
    }


def _write_templates(folder: BuildFolder, talk: Store, plan: Plan) -> list[str]:
    names = ["templates.pkl", f"{VIEW}/templates.pkl"]
    content = template_pickle({subject: talk.neutral(subject) for subject in plan.partners})
    for name in names:
        if folder.kept(name) is None:
            with atomic_write(folder.root / name) as temporary:
                temporary.write_bytes(content)
            folder.note(name)
    return names


def _codes(expression: Store, mixer: MixerLike, plan: Plan) -> dict[tuple[str, str], Float]:
    """The code (C,) of every planned identity's peak of every label."""
    first: dict[tuple[str, str | None], str] = {}
    for row in expression.clips:
        first.setdefault((row.subject, row.label), row.id)
    return {pair: mixer.encode_expression(peak_frame(expression, first[pair])[1][None])[0] for pair in plan.codes}


def _names(plan: Plan, row: ClipRow, tokens: Mapping[str, str]) -> Iterator[ReleaseName]:
    for planned in plan.of(row):
        yield ReleaseName(row.subject, tokens[row.id], expression_of(planned.emotion), planned.intensity)


def _files(plan: Plan, row: ClipRow, tokens: Mapping[str, str]) -> list[str]:
    return [file for name in _names(plan, row, tokens) for file in _files_of(name)]


def _files_of(name: ReleaseName) -> list[str]:
    own = [f"{kind}/{name}.npy" for kind in (SEQUENCES, LABEL, INTENSITY, LANDMARKS)]
    return [*own, f"{WAV}/{name}.wav", f"{VIEW}/vertices_npy/{name.view}.npy", f"{VIEW}/wav/{name.view}.wav"]


def _write_clip(
    folder: BuildFolder,
    talk: Store,
    mixer: MixerLike,
    plan: Plan,
    row: ClipRow,
    *,
    codes: Mapping[tuple[str, str], Float],
    tokens: Mapping[str, str],
    seal: bool,
) -> None:
    """Mix and write the sequences of one talking clip that are not there yet."""
    z_talk = mixer.encode_talk(talk.displacement(row.id))
    closed = seal_track(mixer.template, lip_opening(talk.landmarks(row.id)), fps=talk.fps) if seal else None
    neutral, template = talk.neutral(row.subject), talk.template
    samples, rate = _speech(talk, row)
    for planned, name in zip(plan.of(row), _names(plan, row, tokens), strict=True):
        files = _files_of(name)
        if all(folder.kept(file) is not None for file in files):
            continue
        z_expr = codes[planned.expression_subject, planned.emotion]
        vertices = np.asarray(neutral + mixer.mix(z_talk, z_expr, plan.mu_t, planned.mu_e, closedness=closed), np.float32)
        vertices = vertices if talk.fps == RELEASE_FPS else doubled(vertices)
        points = landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)
        arrays = (vertices, np.int64(label_number(planned.emotion)), np.int64(name.level), normalised(points))
        for file, array in zip(files[:4], arrays, strict=True):
            folder.save(file, np.asarray(array))
        folder.save(files[5], vertices.reshape(len(vertices), -1))
        for file in (files[4], files[6]):
            with atomic_write(folder.root / file) as temporary:
                soundfile.write(str(temporary), samples, rate, subtype="PCM_16", format="WAV")
            folder.note(file)


def _speech(talk: Store, row: ClipRow) -> tuple[Float, int]:
    path = talk.audio_path(row.id)
    try:
        samples, rate = soundfile.read(str(path), dtype="float32")
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise DataError(f"{path} is not audio that can be read; write the talk store again") from error
    return np.asarray(samples, np.float32), int(rate)


def verify_release(root: Path) -> VerifyReport:
    """Prove a folder in the authors' layout whole. Raises UsageError or DataError when it is none."""
    manifest = read_manifest(root, (RELEASE_KIND,), RELEASE_SCHEMA, "make it with `emovoca build-dataset --layout release`")
    rows = manifest_files(manifest)
    count = int(manifest["counts"]["sequences"])
    return VerifyReport(len(rows), sum(row.bytes for row in rows.values()), count, tuple(check_files(root, rows)))
