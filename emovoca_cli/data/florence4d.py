"""Florence 4D as people have it: silent expressions, 60 meshes each, neutral to a peak and back.

`<identity>/<Expression>/<Expression>_<frame>.ply`, or, as the authors' release keeps peaks, `<identity>/<Expression>_30.ply`. The
face at rest is `<identity>.ply` beside or inside the identity's folder, else the first frames, which show it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from emovoca_cli.constants import EMOTIONS_V2, MM
from emovoca_cli.data.checks import UNITS, Findings, Ruler
from emovoca_cli.data.flame import FLAME_VERTICES, flame_template, read_topology
from emovoca_cli.data.prepare import Prepared, Progress, SourceClip, stamp, write_store
from emovoca_cli.data.store import EXPRESSION
from emovoca_cli.data.subjects import florence_split, spread
from emovoca_cli.data.vocaset_layouts import MeshReader, gap_problem, numbered
from emovoca_cli.errors import DataError, EmovocaError, TopologyError, UsageError
from emovoca_cli.mesh.io import SUFFIXES, read_mesh
from emovoca_cli.types import Float, Int, MeshTemplate, topology_hash

LICENCE = "Florence 4D licence (MICC, University of Florence; research only)"
FRAMES = 60
PEAKS = (25, 35)
"""Where an expression peaks (paper section 4.1)."""
REST_MM = 2.0
"""First frames of one identity agree within this, on average over the face, when they show it at rest."""
LABEL_TABLE = Path(__file__).with_name("florence4d.yaml")
NeutralRule = Literal["auto", "file", "first", "median"]
NEUTRAL_RULES = ("auto", "file", "first", "median")


@dataclass(frozen=True)
class Expression:
    """One expression of one identity: its mesh files in order of frames."""

    identity: str
    name: str
    label: str
    files: tuple[Path, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Florence:
    """Florence 4D, found and checked as far as that goes without reading every frame."""

    root: Path
    expressions: tuple[Expression, ...]
    neutrals: dict[str, Float]
    rules: dict[str, str]
    splits: dict[str, str]
    template: MeshTemplate
    labels: tuple[str, ...]


def read_labels(extra: Path | None = None) -> dict[str, str]:
    """Expression folder to label: the built-in table, and what a file of the same form adds or changes.

    Raises UsageError for a missing file, DataError for one that is no such table.
    """
    table: dict[str, str] = {}
    for path in (LABEL_TABLE, extra):
        if path is None:
            continue
        if not path.is_file():
            raise UsageError(f"--labels {path} does not exist; give a YAML or JSON file of folder names and labels")
        try:
            content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not readable YAML or JSON: {' '.join(str(error).split())}") from error
        if not isinstance(content, Mapping) or not all(isinstance(value, str) for value in content.values()):
            raise DataError(f"{path} is no table of folder names and labels; expected lines such as 'Smile2: happy'")
        for name, label in content.items():
            if not re.fullmatch(r"[a-z][a-z0-9-]*", label):
                raise DataError(f"{path}: the label {label!r} of {name} should be lower-case letters, digits and hyphens")
            table[str(name)] = label
    return table


def open_florence(
    folder: Path,
    *,
    known: MeshTemplate,
    findings: Findings,
    labels: Mapping[str, str],
    neutral: NeutralRule = "auto",
    template: Path | None = None,
    flame: Path | None = None,
) -> Florence:
    """List identities and expressions in `folder`, find faces at rest, and check topology, units and numbers of frames.

    neutral: "auto" takes a file, else the first frames; "median" takes the middle of an identity's meshes (peaks alone have no
    rest). Raises UsageError, DataError and TopologyError for what concerns everything; a single bad file goes to `findings`.
    """
    if not folder.is_dir():
        raise UsageError(f"--input {folder} is not a folder; give the one that Florence 4D's identities lie in")
    if neutral not in NEUTRAL_RULES:
        raise UsageError(f"--neutral is '{neutral}'; choose {', '.join(NEUTRAL_RULES)}")
    expressions = _list(folder, labels, findings)
    if not expressions:
        raise UsageError(
            f"{folder} has no <identity>/<Expression>/<Expression>_<frame>.ply with a known label; "
            f"known are {', '.join(sorted(labels))} (--labels adds more)"
        )
    folders = [*([flame] if flame else []), folder, folder.parent]
    found = read_topology(template, folders) or _first_mesh(expressions, folder, findings)
    made, notes = flame_template(*found, folders=folders, known=known, any_topology=template is not None)
    for note in notes:
        findings.note(note)
    whole = [item for item in expressions if _sequence_fits(item, folder, findings)]
    neutrals, rules = {}, {}
    for identity in sorted({item.identity for item in whole}):
        mine = [item for item in whole if item.identity == identity]
        try:
            neutrals[identity], rules[identity] = _rest(folder, mine, made, neutral)
        except TopologyError as error:
            count = len(read_mesh(mine[0].files[0])[0])
            if not identity.startswith("COMA_") and template is None and count != FLAME_VERTICES:
                findings.note(f"{identity} is left out: it has {count} vertices, not FLAME's topology")
            else:
                findings.problem(identity, str(error))
        except EmovocaError as error:
            findings.problem(identity, str(error))
    for rule in sorted(set(rules.values()) - {"file"}):
        names = [identity for identity, used in rules.items() if used == rule]
        what = "the first frames" if rule == "first" else "the median of all meshes, a stand-in"
        findings.note(f"the face at rest of {len(names)} identities is {what}: no <identity>.ply ({', '.join(names[:12])})")
    usable = [item for item in whole if item.identity in neutrals]
    splits = {identity: split for identity in neutrals if (split := florence_split(identity))}
    strangers = set(neutrals) - set(splits)
    seen = {item.label for item in usable}
    ordered = tuple(label for label in EMOTIONS_V2 if label in seen) + tuple(sorted(seen - set(EMOTIONS_V2)))
    return Florence(folder, tuple(usable), neutrals, rules, splits | spread(strangers), made, ordered)


def write_florence(
    source: Florence, root: Path, *, fps: float, findings: Findings, version: str, overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Prepared, dict[str, int]]:  # fmt: skip
    """Write the expression store `root`; returns what is in it and the frame of each clip's peak that was read in this run.

    Raises DataError when nothing is usable, OutputError.
    """
    peaks: dict[str, int] = {}
    odd: list[str] = []

    def checker(name: str, numbers: tuple[int, ...]) -> Any:
        def check(displacement: Float) -> None:
            size = np.sqrt(np.square(displacement, dtype=np.float64).sum(axis=2)).mean(axis=1)
            peak = int(np.argmax(size))
            if size[peak] * MM < 0.01:
                raise DataError("does not move: all its frames are the face at rest")
            peaks[name] = numbers[peak]
            if len(size) == FRAMES and not PEAKS[0] - 5 <= peak <= PEAKS[1] + 5:
                odd.append(f"{name} at {numbers[peak]}")

        return check

    clips = []
    for item in source.expressions:
        name = f"{item.identity}_{item.label}"
        reader = MeshReader(list(item.files), source.root)
        reader.topology = source.template.topology_hash
        clips.append(
            SourceClip(
                id=name,
                subject=item.identity,
                file=str(item.files[0].parent.relative_to(source.root) if len(item.files) > 1 else item.files[0].name),
                stamp=stamp(*item.files),
                read=lambda reader=reader: reader(1),  # type: ignore[misc]
                label=item.label,
                check=checker(name, item.numbers),
            )
        )
    prepared = write_store(
        root,
        clips,
        source.neutrals,
        source.splits,
        kind=EXPRESSION,
        template=source.template,
        fps=fps,
        licence=LICENCE,
        provenance={"made_by": f"emovoca {version} prep florence4d", "neutral": dict(sorted(source.rules.items()))},
        findings=findings,
        labels=source.labels,
        overwrite=overwrite,
        progress=progress,
    )
    if odd:
        findings.note(f"{len(odd)} expressions peak outside frames {PEAKS[0]}-{PEAKS[1]} by more than 5 (the first: {odd[0]})")
    return prepared, peaks


def _list(folder: Path, labels: Mapping[str, str], findings: Findings) -> list[Expression]:
    """All expressions with a label, by identity and name; when two folders carry one label the first counts."""
    found: list[Expression] = []
    unknown: set[str] = set()
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        groups: dict[str, list[Path]] = {}
        for path in sorted(place.iterdir()):
            if path.is_dir():
                groups[path.name] = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES]
            elif path.suffix.lower() in SUFFIXES and path.stem != place.name and (match := re.fullmatch(r"(.+)_\d+", path.stem)):
                groups.setdefault(match[1], []).append(path)
        taken: dict[str, str] = {}
        for name, files in sorted(groups.items()):
            if name not in labels:
                unknown.update([name] if files else [])
                continue
            label = labels[name]
            frames = numbered(files)
            if not frames:
                findings.problem(f"{place.name}/{name}", "has no meshes with a frame number")
            elif label in taken:
                findings.note(f"{place.name}/{name} is left out: {taken[label]} is its '{label}' already")
            else:
                taken[label] = name
                numbers, paths = zip(*frames, strict=True)
                found.append(Expression(place.name, name, label, paths, numbers))
    if unknown:
        shown = ", ".join(sorted(unknown)[:8]) + (" ..." if len(unknown) > 8 else "")
        findings.note(f"{len(unknown)} expressions have no label and are left out ({shown}); --labels FILE gives them one")
    return found


def _first_mesh(expressions: list[Expression], folder: Path, findings: Findings) -> tuple[Float, Int]:
    """The first mesh that can be read, which gives the topology. Raises DataError when none can."""
    for item in expressions:
        try:
            return read_mesh(item.files[0])
        except EmovocaError as error:
            findings.problem(str(item.files[0].relative_to(folder)), str(error).removeprefix(f"{item.files[0]} "))
    raise DataError(f"{folder}: none of the first meshes of {len(expressions)} expressions can be read")


def _sequence_fits(item: Expression, folder: Path, findings: Findings) -> bool:
    """Whether a sequence is whole: reported when frames are missing between the first and the last."""
    where = str(item.files[0].parent.relative_to(folder))
    problem = gap_problem(list(zip(item.numbers, item.files, strict=True)))
    if problem:
        findings.problem(where, problem)
        return False
    if len(item.files) not in (1, FRAMES):
        findings.note(f"{where} has {len(item.files)} frames, Florence 4D's have {FRAMES}")
    return True


def _rest(folder: Path, mine: list[Expression], template: MeshTemplate, rule: NeutralRule) -> tuple[Float, str]:
    """An identity's face at rest (V,3) in metres and how it was found: "file", "first" or "median".

    Raises TopologyError and DataError when it has none.
    """
    identity = mine[0].identity
    ruler = Ruler(template.vertices, template.faces)
    place = folder / identity
    names = [(folder, identity), (place, identity), (place, "neutral"), (place, "Neutral")]
    names += [(folder / "templates", identity), (folder.parent, identity)]
    files = [base / f"{stem}{suffix}" for base, stem in names for suffix in SUFFIXES]
    given = next((path for path in files if path.is_file()), None)
    if rule == "file" or (rule == "auto" and given is not None):
        if given is None:
            raise DataError(f"has no face at rest: expected {identity}.ply beside or inside its folder")
        return _metres(given, template, ruler), "file"
    if rule == "median":
        middle = _readable([item.files[len(item.files) // 2] for item in mine], template, ruler)
        return np.asarray(np.median(middle, axis=0), np.float32), "median"
    moving = [item for item in mine if len(item.files) > 1]
    if not moving:
        raise DataError(
            f"has no face at rest: no {identity}.ply, and its peaks alone do not show one; put it beside the folder, or pass "
            "--neutral median for a stand-in"
        )
    firsts = _readable([item.files[0] for item in moving], template, ruler)
    rest: Float = np.asarray(np.median(firsts, axis=0), np.float32)
    apart = np.linalg.norm(firsts - rest, axis=2).mean(axis=1) * MM
    if np.median(apart) > REST_MM:
        raise DataError(
            f"has no face at rest: no {identity}.ply, and its first frames differ by {np.median(apart):.1f} mm; put it there"
        )
    return rest, "first"


def _readable(files: list[Path], template: MeshTemplate, ruler: Ruler) -> Float:
    """Meshes (N,V,3) in metres of the files that can be used; raises the last error when none can."""
    good = []
    failure: EmovocaError | None = None
    for path in files:
        try:
            good.append(_metres(path, template, ruler))
        except EmovocaError as error:
            failure = error
    if failure is not None and not good:
        raise failure
    return np.stack(good)


def _metres(path: Path, template: MeshTemplate, ruler: Ruler) -> Float:
    vertices, faces = read_mesh(path)
    if topology_hash(len(vertices), faces) != template.topology_hash:
        raise TopologyError(
            f"{path.name} has another topology than the template ({len(vertices)} vertices, {len(faces)} faces): was it re-ordered "
            "by the program that saved it?"
        )
    try:
        return np.asarray(vertices / UNITS[ruler.unit(vertices)], np.float32)
    except DataError as error:
        raise DataError(f"{path.name} {error}") from error
