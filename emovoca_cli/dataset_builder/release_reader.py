"""The authors' EmoVOCA folders as a dataset of ours: checked file by file, written as displacements with their speech."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.arrays import read_npy
from emovoca_cli.constants import EMOTIONS_V1, EMOTIONS_V2, INTENSITIES, NEUTRAL_MU
from emovoca_cli.constants import LANDMARKS as LANDMARK_COUNT
from emovoca_cli.data.checks import Findings, Ruler, frame_step, source_rate, timing_problem
from emovoca_cli.data.flame import find_file, flame_template, read_topology
from emovoca_cli.data.florence4d import read_labels
from emovoca_cli.data.folder import BuildFolder, fingerprint
from emovoca_cli.data.prepare import Stamps, stamp
from emovoca_cli.data.subjects import FLORENCE_OF, spread, vocaset_split
from emovoca_cli.data.template import save_template, template_hash
from emovoca_cli.data.vocaset import read_templates, rest_faces
from emovoca_cli.data.vocaset_layouts import map_array, seconds_of
from emovoca_cli.dataset_builder.build import DATASET, DATASET_SCHEMA, Progress
from emovoca_cli.dataset_builder.release_names import INTENSITY, LABEL, LANDMARKS, SEQUENCES, WAV, ReleaseName
from emovoca_cli.errors import DataError, EmovocaError, UsageError
from emovoca_cli.files import hash_bytes
from emovoca_cli.types import Float, MeshTemplate

LICENCE = "CC BY-NC 4.0 (EmoVOCA, University of Florence), made from VOCASET and Florence 4D under their licences"


@dataclass(frozen=True)
class Sequence:
    """One sequence of the release: `clip` is the neutral clip that it was made from."""

    name: ReleaseName
    emotion: str
    path: Path
    wav: Path
    frames: int

    @property
    def clip(self) -> str:
        """Subject and sentence."""
        return f"{self.name.subject}_{self.name.sentence}"

    @property
    def id(self) -> str:
        """Its id in our datasets."""
        return f"{self.clip}_{self.emotion}_{self.name.level}"


@dataclass(frozen=True)
class Release:
    """The authors' folders, found and checked as far as that goes without reading every frame."""

    sequences: tuple[Sequence, ...]
    neutrals: dict[str, Float]
    splits: dict[str, str]
    template: MeshTemplate
    source_fps: float
    emotions: tuple[str, ...]

    @property
    def version(self) -> str:
        """v1 when there are no other emotions than its five."""
        return "v1" if self.emotions == EMOTIONS_V1 else "v2"


@dataclass(frozen=True)
class ReleaseReport:
    """What was written."""

    root: Path
    sequences: int
    kept: int
    fps: float


def open_release(
    folder: Path, *, known: MeshTemplate, findings: Findings, template: Path | None = None, flame: Path | None = None
) -> Release:
    """List the sequences of `folder`, and check names, labels, intensities, speech, landmarks and numbers of frames.

    Faces at rest are VOCASET's `templates.pkl`, in or beside the folder. Raises UsageError, DataError and TopologyError for what
    concerns everything; a single bad file goes to `findings`.
    """
    if not (folder / SEQUENCES).is_dir():
        raise UsageError(f"{folder} has no {SEQUENCES}/; expected the authors' folders {SEQUENCES}, {LABEL}, {INTENSITY} and {WAV}")
    around = [folder, folder / "vocaset", folder.parent, folder.parent / "vocaset"]
    table = find_file("templates.pkl", around)
    if table is None:
        raise UsageError(
            f"{folder} needs VOCASET's templates.pkl (faces at rest) in it or beside it: the release has none of its own"
        )
    folders = [*([flame] if flame else []), *around]
    topology = read_topology(template, folders)
    if topology is None:
        raise UsageError(f"{folder} has vertices but no faces; pass --template FLAME_sample.ply, or put it there")
    made, notes = flame_template(*topology, folders=folders, known=known, any_topology=template is not None)
    for note in notes:
        findings.note(note)
    neutrals = rest_faces(read_templates(table, findings), made, findings, where=table.name)
    labels = read_labels()
    found: list[tuple[Sequence, float]] = []
    for path in sorted((folder / SEQUENCES).glob("*.npy")):
        try:
            found.append(_listed(folder, path, labels, neutrals))
        except (EmovocaError, OSError) as error:
            findings.problem(f"{SEQUENCES}/{path.name}", _short(error, path))
    if not found:
        raise DataError(f"{folder / SEQUENCES} has no usable sequence; {len(findings.problems)} problems were found")
    rate = source_rate([(item.frames, seconds) for item, seconds in found])
    lengths: dict[str, Counter[int]] = {}
    for item, _ in found:
        lengths.setdefault(item.clip, Counter())[item.frames] += 1
    good = []
    for item, seconds in found:
        usual = lengths[item.clip].most_common(1)[0][0]
        problem = timing_problem(item.frames, seconds, rate)
        if item.frames != usual:
            problem = f"has {item.frames} frames, the others of {item.clip} have {usual}"
        if problem:
            findings.problem(f"{SEQUENCES}/{item.path.name}", problem)
        else:
            good.append(item)
    if not good:
        raise DataError(f"{folder / SEQUENCES} has no usable sequence; {len(findings.problems)} problems were found")
    emotions = {item.emotion for item in good}
    version = EMOTIONS_V1 if emotions <= set(EMOTIONS_V1) else EMOTIONS_V2
    wanted = len({item.clip for item in good}) * len(version) * len(INTENSITIES)
    if len(good) != wanted:
        findings.note(
            f"{len(good)} of {wanted} sequences (clips x {len(version)} emotions x {len(INTENSITIES)}) are there and usable"
        )
    subjects = {item.name.subject for item in good}
    strangers = {subject for subject in subjects if vocaset_split(subject) is None}
    splits = spread(strangers) | {subject: split for subject in subjects if (split := vocaset_split(subject))}
    return Release(tuple(good), {name: neutrals[name] for name in sorted(subjects)}, splits, made, rate, version)


def _listed(folder: Path, path: Path, labels: dict[str, str], neutrals: dict[str, Float]) -> tuple[Sequence, float]:
    """One sequence and the seconds of its speech. Raises DataError for whatever does not fit."""
    name = ReleaseName.parse(path.stem)
    if name is None:
        raise DataError("is not named <subject>_<sentence>_<Expression>_<intensity>.npy")
    if name.expression not in labels or labels[name.expression] not in EMOTIONS_V2:
        raise DataError(f"has the unknown expression {name.expression}; known are {', '.join(sorted(labels))}")
    if name.subject not in neutrals:
        raise DataError(f"has no face at rest: templates.pkl lacks {name.subject} or it does not fit")
    emotion = labels[name.expression]
    for kind, wanted in ((LABEL, EMOTIONS_V2.index(emotion)), (INTENSITY, name.level)):
        seen = _scalar(folder / kind / path.name)
        if seen != wanted:
            raise DataError(f"{kind}/{path.name} says {seen}, its name says {wanted}")
    if name.level not in INTENSITIES:
        raise DataError(f"has intensity {name.level}, expected 1, 2 or 3")
    wav = folder / WAV / f"{path.stem}.wav"
    if not wav.is_file():
        raise DataError(f"has no speech {WAV}/{wav.name}")
    array = map_array(path)
    if array.ndim not in (2, 3) or array[:1].size != neutrals[name.subject].size or len(array) < 2:
        raise DataError(f"has shape {array.shape}, expected (T,{len(neutrals[name.subject])},3)")
    points = folder / LANDMARKS / path.name
    if points.is_file() and map_array(points).shape not in {(len(array), LANDMARK_COUNT, 3), (len(array), LANDMARK_COUNT * 3)}:
        raise DataError(
            f"{LANDMARKS}/{path.name} has shape {map_array(points).shape}, expected ({len(array)}, {LANDMARK_COUNT}, 3)"
        )
    return Sequence(name, emotion, path, wav, len(array)), seconds_of(wav)


def _scalar(path: Path) -> int:
    """The number in a `label` or `intensity` file. Raises DataError when there is none."""
    try:
        value = read_npy(path)
        return int(value.reshape(-1)[0]) if value.size == 1 else -1
    except UsageError as error:
        raise DataError(f"{path.parent.name}/{path.name} is missing") from error
    except (DataError, ValueError, TypeError) as error:
        raise DataError(f"{path.parent.name}/{path.name} is not readable") from error


def _short(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path} ").replace(str(path), path.name)


def write_dataset(
    source: Release, root: Path, *, fps: float | None, findings: Findings, version: str, overwrite: bool = False,
    progress: Progress | None = None,
) -> ReleaseReport:  # fmt: skip
    """Write the dataset `root` (displacements, speech, faces at rest) at `fps`; continues a stopped run, leaves broken files out.

    Raises UsageError for a rate that cannot be had, DataError when nothing is usable, OutputError.
    """
    step = frame_step(source.source_fps, fps)
    rate = source.source_fps / step
    head: dict[str, Any] = {
        "schema": DATASET_SCHEMA,
        "kind": DATASET,
        "store": "mesh",
        "version": source.version,
        "emotions": list(source.emotions),
        "intensities": {str(level): float(level) for level in INTENSITIES},
        "mu_t": NEUTRAL_MU,
        "seal": False,
        "fps": rate,
        "units": "metres",
        "topology_hash": source.template.topology_hash,
        "template_hash": template_hash(source.template),
        "vertices": len(source.template.vertices),
        "licence": LICENCE,
        "provenance": {"made_by": f"emovoca {version} prep release", "source_fps": source.source_fps},
    }
    folder = BuildFolder(root, kind=DATASET, mark=fingerprint(head), overwrite=overwrite)
    stamps = Stamps(root)
    if folder.kept("template.npz") is None:
        save_template(source.template, root / "template.npz")
        folder.note("template.npz")
    done: list[Sequence] = []
    kept = 0
    ruler: tuple[str, Ruler] | None = None
    for number, item in enumerate(source.sequences, start=1):
        neutral, target = source.neutrals[item.name.subject], f"sequences/{item.id}.npy"
        mark = hash_bytes(stamp(item.path).encode(), neutral.tobytes())
        if folder.kept(target) is not None and stamps.same(item.id, mark):
            kept += 1
            done.append(item)
        else:
            if ruler is None or ruler[0] != item.name.subject:
                ruler = (item.name.subject, Ruler(neutral, source.template.faces))
            try:
                raw = np.asarray(map_array(item.path)[::step], np.float32)
                motion, _ = ruler[1].motion(raw.reshape(len(raw), -1, 3))
            except (DataError, OSError) as error:
                findings.problem(f"{SEQUENCES}/{item.path.name}", _short(error, item.path))
                continue
            folder.save(target, (motion - neutral).astype(np.float16))
            stamps.note(item.id, mark)
            done.append(item)
        if progress is not None:
            progress(number, len(source.sequences), {})
    if not done:
        raise DataError(f"no usable sequence was found; {len(findings.problems)} problems were")
    manifest, wanted = _common(folder, stamps, source, done, step)
    folder.finish({**head, **manifest}, wanted)
    return ReleaseReport(root, len(done), kept, rate)


def _common(
    folder: BuildFolder, stamps: Stamps, source: Release, done: list[Sequence], step: int
) -> tuple[dict[str, Any], list[str]]:
    """Write faces at rest and one recording a clip; returns the rest of the manifest and all files."""
    wanted = ["template.npz", *(f"sequences/{item.id}.npy" for item in done)]
    subjects = sorted({item.name.subject for item in done})
    for subject in subjects:
        file, mark = f"neutral/{subject}.npy", hash_bytes(source.neutrals[subject].tobytes())
        if folder.kept(file) is None or not stamps.same(file, mark):
            folder.save(file, source.neutrals[subject])
            stamps.note(file, mark)
        wanted.append(file)
    clips: dict[str, Sequence] = {}
    for item in done:
        clips.setdefault(item.clip, item)
    for clip, item in clips.items():
        file, mark = f"speech/{clip}.wav", stamp(item.wav)
        if folder.kept(file) is None or not stamps.same(file, mark):
            folder.copy(file, item.wav)
            stamps.note(file, mark)
        wanted.append(file)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for subject in subjects:
        splits[source.splits[subject]].append(subject)
    frames = {clip: len(range(0, item.frames, step)) for clip, item in clips.items()}
    manifest = {
        "subjects": subjects,
        "splits": splits,
        "partners": {subject: FLORENCE_OF.get(subject, subject) for subject in subjects},
        "codes": [],
        "clips": [[clip, item.name.subject, frames[clip]] for clip, item in clips.items()],
        "speech": {clip: f"speech/{clip}.wav" for clip in clips},
        "present": [item.id for item in done],
        "counts": {
            "sequences": len(done),
            "talk_clips": len(clips),
            "emotions": len(source.emotions),
            "intensities": len(INTENSITIES),
            "frames": sum(frames[item.clip] for item in done),
        },
        "sources": {"release": {"licence": LICENCE}},
    }
    return manifest, wanted
