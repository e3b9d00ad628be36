"""VOCASET as people have it, in three layouts: neutral speech of twelve people, 60 frames a second, FLAME topology.

- mapped: `data_verts.npy` (N,V,3), `subj_seq_to_idx.pkl`, `raw_audio_fixed.pkl`, `templates.pkl`, as published. Never loaded whole.
- arrays: `vertices_npy/<subject>_<sentence>.npy` (T,3V), `wav/<subject>_<sentence>.wav`, `templates.pkl`, as FaceFormer makes it.
- meshes: `<subject>/<sentence>/<sentence>.000001.ply`, `audio/<subject>/<sentence>.wav`, faces at rest likewise or in that pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.data.checks import UNITS, Findings, Ruler, frame_step, source_rate, timing_problem
from emovoca_cli.data.flame import flame_template, read_topology
from emovoca_cli.data.prepare import Prepared, Progress, SourceClip, write_store
from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.data.store import TALK
from emovoca_cli.data.subjects import SENTENCES, VOCASET_SPLITS, spread, vocaset_split
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.types import Float, Int, MeshTemplate

LICENCE = "VOCASET licence (Max Planck Society; non-commercial scientific research)"
REORDERED = "has other faces than the template: was it re-ordered by the program that saved it?"
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Spoken:
    """One sentence of one subject before it is read: `read(step)` gives every step-th frame (T,V,3), `seconds` its recording."""

    subject: str
    sentence: str
    file: str
    frames: int
    seconds: float
    stamp: str
    read: Callable[[int], Float]
    speech: Callable[[Path], Path]

    @property
    def id(self) -> str:
        """Unique name, as FaceFormer's copy calls it."""
        return f"{self.subject}_{self.sentence}"


@dataclass
class Scan:
    """What a layout's listing gives: sentences, faces at rest (V,3) by subject in any unit, faces (F,3) where meshes have them."""

    layout: str
    spoken: list[Spoken]
    templates: dict[str, Float]
    faces: Int | None = None
    folders: list[Path] = field(default_factory=list)
    rest_topology: dict[str, str] = field(default_factory=dict)
    """Topology hashes of faces at rest that came as meshes."""
    expect: Callable[[str], None] | None = None
    """Told which topology hash the meshes must have."""


@dataclass(frozen=True)
class Vocaset:
    """VOCASET, found and checked as far as that goes without reading every frame."""

    layout: str
    spoken: tuple[Spoken, ...]
    neutrals: dict[str, Float]
    splits: dict[str, str]
    template: MeshTemplate
    source_fps: float
    texts: dict[str, str]


def open_vocaset(
    folder: Path, *, known: MeshTemplate, findings: Findings, template: Path | None = None, flame: Path | None = None
) -> Vocaset:
    """Find the layout in `folder`, and check what is there: sentences, counts, faces at rest, frames against speech.

    `known` lends its landmarks where FLAME's own files are in neither `folder` nor `flame`. Raises UsageError, DataError and
    TopologyError for what concerns everything; a single bad file goes to `findings`.
    """
    from emovoca_cli.data.vocaset_layouts import scan_layout

    if not folder.is_dir():
        raise UsageError(f"--input {folder} is not a folder; give the one that VOCASET lies in")
    if flame is not None and not flame.is_dir():
        raise UsageError(
            f"--flame {flame} is not a folder; give the one with {', '.join(('FLAME_masks.pkl', 'flame_*_embedding'))}"
        )
    scan = scan_layout(folder, findings)
    folders = [*([flame] if flame else []), *scan.folders]
    topology = read_topology(template, folders)
    if topology is not None:
        vertices, faces = topology
    elif scan.faces is not None and scan.templates:
        vertices, faces = next(iter(scan.templates.values())), scan.faces
    else:
        raise UsageError(
            f"{folder} has vertices but no faces; pass --template FLAME_sample.ply (it comes with VOCA's code), or put it there"
        )
    made, notes = flame_template(vertices, faces, folders=folders, known=known, any_topology=template is not None)
    for note in notes:
        findings.note(note)
    if scan.expect is not None:
        scan.expect(made.topology_hash)
    for subject, seen in scan.rest_topology.items():
        if seen != made.topology_hash:
            findings.problem(f"{subject} (face at rest)", REORDERED)
            del scan.templates[subject]
    neutrals = rest_faces(scan.templates, made, findings, where="templates")
    spoken = [item for item in scan.spoken if _spoken_fits(item, neutrals, findings)]
    if not spoken:
        raise DataError(f"{folder} has no usable sentence ({scan.layout} layout); {len(findings.problems)} problems were found")
    rate = source_rate([(item.frames, item.seconds) for item in spoken])
    good = []
    for item in spoken:
        problem = timing_problem(item.frames, item.seconds, rate)
        if problem:
            findings.problem(item.file, problem)
        elif _first_frame_fits(item, neutrals[item.subject], made, findings):
            good.append(item)
    _note_missing(scan.spoken, findings)
    subjects = {item.subject for item in good}
    strangers = {subject for subject in subjects if vocaset_split(subject) is None}
    if strangers:
        findings.note(
            f"{len(strangers)} subjects are not of VOCASET's twelve and are split by name: {', '.join(sorted(strangers))}"
        )
    splits = spread(strangers) | {subject: split for subject in subjects if (split := vocaset_split(subject))}
    return Vocaset(scan.layout, tuple(good), neutrals, splits, made, rate, read_texts(folder, good))


def rest_faces(templates: dict[str, Float], template: MeshTemplate, findings: Findings, *, where: str) -> dict[str, Float]:
    """Faces at rest (V,3) in metres by subject; those that do not fit the template are reported and left out."""
    ruler = Ruler(template.vertices, template.faces)
    good = {}
    for subject, vertices in sorted(templates.items()):
        try:
            if vertices.shape != template.vertices.shape:
                raise TopologyError(f"has shape {vertices.shape}, expected {template.vertices.shape}")
            unit = ruler.unit(vertices)
            good[subject] = np.asarray(vertices / UNITS[unit], np.float32)
            if unit != "metres":
                findings.note(f"faces at rest are in {unit} and are stored in metres")
        except DataError as error:
            findings.problem(f"{where} ({subject})", str(error))
    return good


def write_vocaset(
    source: Vocaset, root: Path, *, fps: float | None, findings: Findings, version: str, overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:  # fmt: skip
    """Write the talk store `root` at `fps` (default: the source's) and return what is in it; continues a stopped run.

    Raises UsageError for a rate that cannot be had, DataError when nothing is usable, OutputError.
    """
    step = frame_step(source.source_fps, fps)
    clips = [
        SourceClip(
            id=item.id,
            subject=item.subject,
            file=item.file,
            stamp=item.stamp,
            read=lambda item=item: item.read(step),  # type: ignore[misc]
            sentence=item.id,
            speech=item.speech,
            text=source.texts.get(item.id, ""),
        )
        for item in source.spoken
    ]
    return write_store(
        root,
        clips,
        source.neutrals,
        source.splits,
        kind=TALK,
        template=source.template,
        fps=source.source_fps / step,
        licence=LICENCE,
        provenance={"made_by": f"emovoca {version} prep vocaset", "layout": source.layout, "source_fps": source.source_fps},
        findings=findings,
        overwrite=overwrite,
        progress=progress,
    )


def read_templates(path: Path, findings: Findings) -> dict[str, Float]:
    """Faces at rest (V,3) by subject from `templates.pkl`. Raises DataError for another content."""
    content: Any = load_pickle(path)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} holds no table of subjects; expected subject -> (V,3)")
    faces = {}
    for subject, value in content.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or array.size == 0 or array.size % 3:
            findings.problem(f"{path.name} ({subject})", f"is {array.dtype} of shape {array.shape}, expected (V,3) numbers")
            continue
        faces[str(subject)] = np.asarray(array.reshape(-1, 3), np.float32)
    return faces


def read_texts(folder: Path, spoken: list[Spoken]) -> dict[str, str]:
    """What the sentences say, where `sentencetext/<subject>.txt` lists them a line each."""
    texts: dict[str, str] = {}
    for subject in {item.subject for item in spoken}:
        path = next((folder / place / f"{subject}.txt" for place in ("sentencetext", "labels", "text")
                     if (folder / place / f"{subject}.txt").is_file()), None)  # fmt: skip
        if path is not None:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            texts |= {f"{subject}_{sentence}": line.strip() for sentence, line in zip(SENTENCES, lines, strict=False)}
    return texts


def _spoken_fits(item: Spoken, neutrals: dict[str, Float], findings: Findings) -> bool:
    """Whether a sentence has a face at rest; reported once a subject when not."""
    if item.subject not in neutrals:
        findings.problem(item.subject, "has no usable face at rest in templates.pkl (or templates/), so its sentences are left out")
        return False
    if item.frames < 2 or item.seconds <= 0:
        findings.problem(item.file, f"has {item.frames} frames and {item.seconds:.2f} s of speech")
        return False
    return True


def _first_frame_fits(item: Spoken, neutral: Float, template: MeshTemplate, findings: Findings) -> bool:
    """Whether the first frame is that face, in its order and place: what is wrong with all is said before hours are spent."""
    try:
        Ruler(neutral, template.faces).motion(item.read(item.frames))
    except (DataError, OSError) as error:
        findings.problem(item.file, str(error))
        return False
    return True


def _note_missing(spoken: list[Spoken], findings: Findings) -> None:
    """Say which of VOCASET's 480 sentences are not there."""
    there = {(item.subject, item.sentence) for item in spoken}
    absent = []
    for split, subjects in VOCASET_SPLITS.items():
        for subject in subjects:
            lacking = [sentence for sentence in SENTENCES if (subject, sentence) not in there]
            if len(lacking) == len(SENTENCES):
                absent.append(f"{subject} ({split})")
            elif lacking:
                shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
                findings.note(f"{subject} has no {shown} (VOCASET as published lacks 5 of its 480 sentences)")
    if absent:
        findings.note(f"{len(absent)} of VOCASET's 12 subjects are not there: {', '.join(absent)}")
