"""The three layouts of VOCASET, listed: what is there, how many frames, how many seconds, and how to read it later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from emovoca_cli.arrays import map_npy
from emovoca_cli.data.checks import Findings
from emovoca_cli.data.flame import find_file
from emovoca_cli.data.prepare import stamp
from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.data.vocaset import AUDIO_SUFFIXES, Scan, Spoken, read_templates
from emovoca_cli.errors import DataError, EmovocaError, TopologyError, UsageError
from emovoca_cli.files import hash_bytes
from emovoca_cli.mesh.io import SUFFIXES, read_mesh
from emovoca_cli.types import Float, Int, topology_hash

VERTS, INDEX, AUDIO, TEMPLATES = "data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl"
MESH_ROOTS = ("", "unposedcleaneddata", "registereddata", "meshes")


def scan_layout(folder: Path, findings: Findings) -> Scan:
    """List the layout that `folder` holds. Raises UsageError when it holds none, DataError for a broken index or table."""
    folders = [folder, folder / "trainingdata", folder / "vocaset"]
    for place in folders:
        if (place / VERTS).is_file():
            return _scan_mapped(place, findings)
        if (place / "vertices_npy").is_dir():
            return _scan_arrays(place, findings)
    for place in (folder / name for name in MESH_ROOTS):
        sentences = sorted(path for path in place.glob("*/*") if path.is_dir() and any(_meshes(path)))
        if sentences:
            return _scan_meshes(folder, place, sentences, findings)
    raise UsageError(
        f"{folder} is none of VOCASET's layouts; expected {VERTS} with {INDEX}, {AUDIO} and {TEMPLATES}, or vertices_npy/ and wav/ "
        "with templates.pkl, or <subject>/<sentence>/ folders of meshes with audio/"
    )


def map_array(path: Path) -> NDArray[Any]:
    """An .npy array of numbers, mapped. Raises DataError for a broken or cut-off file."""
    array = map_npy(path)
    if array.dtype.kind != "f":
        raise DataError(f"{path} holds {array.dtype}, expected floating point coordinates")
    return array


def _mandatory(folder: Path, name: str) -> Path:
    found = find_file(name, [folder, folder.parent])
    if found is None:
        raise UsageError(f"{folder / name} does not exist; it belongs to VOCASET's download")
    return found


def _scan_mapped(folder: Path, findings: Findings) -> Scan:
    files = {name: _mandatory(folder, name) for name in (VERTS, INDEX, AUDIO, TEMPLATES)}
    array = map_array(files[VERTS])
    if array.ndim != 3 or array.shape[2] != 3:
        raise DataError(f"{files[VERTS]} has shape {array.shape}, expected (frames, V, 3)")
    index, audio = load_pickle(files[INDEX]), load_pickle(files[AUDIO])
    for name, table in ((INDEX, index), (AUDIO, audio)):
        if not isinstance(table, Mapping) or not all(isinstance(value, Mapping) for value in table.values()):
            raise DataError(f"{files[name]} is no table of subjects and sentences")
    templates = read_templates(files[TEMPLATES], findings)
    spoken = []
    for subject, sentences in sorted(index.items()):
        for sentence, rows in sorted(sentences.items()):
            name = f"{INDEX} ({subject}, {sentence})"
            try:
                order = _frame_rows(rows, len(array))
                recording = audio.get(subject, {}).get(sentence)
                if recording is None:
                    raise DataError(f"has frames in {VERTS} but no speech in {AUDIO}")
                samples, rate = _samples(recording)
            except DataError as error:
                findings.problem(name, str(error))
                continue
            mark = hash_bytes(stamp(files[VERTS]).encode(), order.tobytes(), samples.tobytes())
            spoken.append(
                Spoken(
                    subject,
                    sentence,
                    f"{VERTS} ({subject}, {sentence})",
                    len(order),
                    len(samples) / rate,
                    mark,
                    read=_RowReader(array, order),
                    speech=_SpeechWriter(f"{subject}_{sentence}", samples, rate),
                )
            )
    return Scan("mapped", spoken, templates, folders=[folder, folder.parent])


class _RowReader:
    """Reads the rows of one sentence from the mapped array, and no others."""

    def __init__(self, array: NDArray[Any], rows: NDArray[np.int64]) -> None:
        self._array, self._rows = array, rows

    def __call__(self, step: int) -> Float:
        return np.asarray(self._array[self._rows[::step]], np.float32)


class _SpeechWriter:
    """Writes a recording that came inside a table as a file of its own."""

    def __init__(self, name: str, samples: NDArray[Any], rate: int) -> None:
        self._name, self._samples, self._rate = name, samples, rate

    def __call__(self, folder: Path) -> Path:
        path = folder / f"{self._name}.wav"
        subtype = "PCM_16" if self._samples.dtype.kind == "i" else "FLOAT"
        soundfile.write(str(path), self._samples, self._rate, subtype=subtype)
        return path


def _frame_rows(rows: Any, count: int) -> NDArray[np.int64]:
    """Rows (T,) of the big array in the order of frames. Raises DataError for what is no frame table or points outside."""
    if not isinstance(rows, Mapping) or not rows:
        raise DataError("lists no frames")
    try:
        pairs = sorted((int(frame), int(row)) for frame, row in rows.items())
    except (TypeError, ValueError) as error:
        raise DataError(f"has frames that are no numbers ({error})") from error
    frames, places = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    if places.min() < 0 or places.max() >= count:
        raise DataError(f"points at row {int(places.max())} of {VERTS}, which has {count}: is that file cut off?")
    gaps = np.flatnonzero(np.diff(frames) != 1)
    if len(gaps):
        raise DataError(f"misses frames after {int(frames[gaps[0]])} ({len(gaps)} gaps)")
    return places


def _samples(recording: Any) -> tuple[NDArray[Any], int]:
    """Mono samples (N,) as int16 or float32, and their rate (Hz)."""
    try:
        samples, rate = np.asarray(recording["audio"]).reshape(-1), int(recording["sample_rate"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"has no audio and sample_rate in {AUDIO} ({error})") from error
    if rate <= 0 or samples.size == 0 or samples.dtype.kind not in "if":
        raise DataError(f"has {samples.size} samples of {samples.dtype} at {rate} Hz in {AUDIO}")
    if samples.dtype.kind == "f":
        return samples.astype(np.float32), rate
    return np.clip(samples, -32768, 32767).astype(np.int16), rate


def seconds_of(path: Path) -> float:
    """How long a recording is. Raises DataError for a file that is no audio."""
    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise DataError(f"{path.name} is not audio that can be read") from error


def _audio_of(stem: Path) -> Path | None:
    return next((path for suffix in AUDIO_SUFFIXES if (path := stem.with_name(stem.name + suffix)).is_file()), None)


def _scan_arrays(folder: Path, findings: Findings) -> Scan:
    templates = read_templates(_mandatory(folder, TEMPLATES), findings)
    spoken = []
    for path in sorted((folder / "vertices_npy").glob("*.npy")):
        subject, _, sentence = path.stem.rpartition("_")
        recording = _audio_of(folder / "wav" / path.stem)
        try:
            if not subject:
                raise DataError("is not named <subject>_<sentence>.npy")
            if recording is None:
                raise DataError(f"has no speech wav/{path.stem}.wav")
            array, seconds = map_array(path), seconds_of(recording)
            if array.ndim not in (2, 3) or (array.ndim == 2 and array.shape[1] % 3):
                raise DataError(f"has shape {array.shape}, expected (T,3V) or (T,V,3)")
            rest = templates.get(subject)
            if rest is not None and array[0].size != rest.size:
                raise TopologyError(f"has {array[0].size // 3} vertices, its face at rest {len(rest)}")
        except EmovocaError as error:
            findings.problem(f"vertices_npy/{path.name}", _without(error, path))
            continue
        frames = len(array)
        del array
        spoken.append(
            Spoken(
                subject,
                sentence,
                f"vertices_npy/{path.name}",
                frames,
                seconds,
                stamp(path, recording),
                read=_ArrayReader(path),
                speech=_Found(recording),
            )
        )
    have = {item.id for item in spoken}
    lonely = [path.name for path in sorted((folder / "wav").glob("*.wav")) if path.stem not in have]
    lonely = [name for name in lonely if not (folder / "vertices_npy" / name).with_suffix(".npy").exists()]
    if lonely:
        findings.note(f"{len(lonely)} recordings have no vertices (the first is wav/{lonely[0]})")
    return Scan("arrays", spoken, templates, folders=[folder, folder.parent])


class _ArrayReader:
    """Reads every step-th frame of a (T,3V) or (T,V,3) file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, step: int) -> Float:
        chosen = np.asarray(map_array(self._path)[::step], np.float32)
        return chosen.reshape(len(chosen), -1, 3)


class _Found:
    """A recording that is a file already."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, folder: Path) -> Path:
        return self._path


def _without(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path} ").replace(f"{path}", path.name)


def _meshes(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES] if folder.is_dir() else []


def numbered(paths: list[Path]) -> list[tuple[int, Path]]:
    """Mesh files with the frame number at the end of their names, in its order; those without a number are left out."""
    found = [(int(match[1]), path) for path in paths if (match := re.search(r"(?:^|\D)(\d+)$", path.stem))]
    return sorted(found)


def gap_problem(frames: list[tuple[int, Path]]) -> str | None:
    """Which frame numbers are missing between the first and the last, or None."""
    numbers = [number for number, _ in frames]
    gaps = [first + 1 for first, second in pairwise(numbers) if second != first + 1]
    return f"misses frame {gaps[0]}" + (f" and {len(gaps) - 1} other stretches" if len(gaps) > 1 else "") if gaps else None


class MeshReader:
    """Reads mesh files of one topology as frames (T,V,3); names the file that cannot be."""

    def __init__(self, files: list[Path], base: Path) -> None:
        self.files, self._base = files, base
        self.topology: str | None = None

    def __call__(self, step: int) -> Float:
        """Every step-th mesh (T,V,3) in the files' unit. Raises DataError and TopologyError naming the file."""
        frames = []
        for path in self.files[::step]:
            name = path.relative_to(self._base)
            try:
                vertices, faces = read_mesh(path)
            except EmovocaError as error:
                raise DataError(f"{name} cannot be used: {_without(error, path)}") from error
            seen = topology_hash(len(vertices), faces)
            if self.topology is not None and seen != self.topology:
                raise TopologyError(
                    f"{name} has another topology than the template ({len(vertices)} vertices, {len(faces)} faces): was it "
                    "re-ordered by the program that saved it?"
                )
            frames.append(vertices)
        return np.stack(frames)


def _scan_meshes(folder: Path, root: Path, sentences: list[Path], findings: Findings) -> Scan:
    templates, faces, seen = _mesh_templates(folder, {path.parent.name for path in sentences}, findings)
    spoken, readers = [], []
    for place in sentences:
        subject, name = place.parent.name, str(place.relative_to(folder))
        frames = numbered(_meshes(place))
        recording = next(
            (found for base in (folder, root, folder.parent) if (found := _audio_of(base / "audio" / subject / place.name))), None
        )
        try:
            if recording is None:
                raise DataError(f"has no speech audio/{subject}/{place.name}.wav")
            problem = gap_problem(frames) if frames else "has no numbered meshes"
            if problem:
                raise DataError(problem)
            seconds = seconds_of(recording)
        except DataError as error:
            findings.problem(name, str(error))
            continue
        files = [path for _, path in frames]
        readers.append(MeshReader(files, folder))
        mark = stamp(recording, *files)
        spoken.append(Spoken(subject, place.name, name, len(files), seconds, mark, read=readers[-1], speech=_Found(recording)))
    if faces is None and readers:
        faces = read_mesh(readers[0].files[0])[1]

    def expect(topology: str) -> None:
        for reader in readers:
            reader.topology = topology

    return Scan("meshes", spoken, templates, faces, [folder, root], seen, expect)


def _mesh_templates(folder: Path, subjects: set[str], findings: Findings) -> tuple[dict[str, Float], Int | None, dict[str, str]]:
    """Faces at rest by subject, from meshes named after them or `templates.pkl`; the meshes' faces, and their topology hashes."""
    table = find_file(TEMPLATES, [folder])
    templates = read_templates(table, findings) if table is not None else {}
    faces: Int | None = None
    hashes: dict[str, str] = {}
    for subject in sorted(subjects):
        for suffix in SUFFIXES:
            path = find_file(f"{subject}{suffix}", [folder, folder / subject])
            if path is None:
                continue
            try:
                templates[subject], seen = read_mesh(path)
                hashes[subject] = topology_hash(len(templates[subject]), seen)
                faces = seen if faces is None else faces
            except EmovocaError as error:
                findings.problem(str(path.relative_to(folder)), _without(error, path))
            break
    return templates, faces, hashes
