"""What --emotion and --intensity may say, read into a timeline: a name, a blend, a timeline, a file."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from emovoca_cli.animation.cue_files import SUFFIXES, CueRow, read_cue_file
from emovoca_cli.animation.track import NEUTRAL, TRANSITION, Cue, Timeline, checked_intensity, known_label
from emovoca_cli.errors import DataError, UsageError

LEVEL_WORDS = {"low": 1.0, "mid": 2.0, "high": 3.0}
"""Names of the trained intensities (paper section 4.1)."""

LONGEST_TRANSITION = 10.0
SAME_TIME = 1e-6
"""Seconds under which two times are one: files hold rounded ones."""

_TIMED = re.compile(r"^\s*(-?\d+(?:\.\d*)?|-?\.\d+)\s*s?\s*:(.*)$", re.DOTALL)

Shares = tuple[tuple[str, float], ...]
T = TypeVar("T")


def parse_timeline(
    emotion: str | Path, intensity: str | float | Path, *, names: Sequence[str], transition: float = TRANSITION
) -> Timeline:
    """Read an emotion and an intensity for a model with labels `names`.

    emotion: `happy`, `happy@3`, a blend `happy:0.7,sad:0.3`, a timeline `0:neutral, 1.5:happy@3, 3:happy:0.7+sad:0.3@2`, or a
    file (YAML, CSV, SubRip). intensity, for what has none of its own: 0-3, low, mid, high, a timeline `0:1, 2:3`, or a file.
    Raises UsageError for what cannot be read, and DataError when that stands in a file.
    """
    if not 0 <= transition <= LONGEST_TRANSITION:
        raise UsageError(f"the transition lasts {transition:g} s; give 0 to {LONGEST_TRANSITION:g} seconds")
    levels = parse_levels(intensity)
    if file := _file(emotion, [NEUTRAL, *names]):
        cues = _cues_of_file(file, names, transition)
    else:
        cues = _cues_of_text(str(emotion), names)
    if cues[0].start > SAME_TIME:
        cues = [Cue(0.0, ((NEUTRAL, 1.0),)), *cues]
    return Timeline(tuple(cues), levels, transition)


def parse_levels(intensity: str | float | Path) -> tuple[tuple[float, float], ...]:
    """Intensities (start in seconds, 0-3) over time from a number, a word, a timeline or a file; errors as `parse_timeline`."""
    if isinstance(intensity, (int, float)):
        return ((0.0, checked_intensity(float(intensity))),)
    if file := _file(intensity, LEVEL_WORDS):
        rows = read_cue_file(file)
        for row in rows:
            if row.emotion is not None and row.intensity is None:
                raise DataError(f"{file}, {row.where} has no intensity; give it a number from 0 to 3")
            if row.end is not None:
                raise DataError(f"{file}, {row.where} has an end; an intensity holds until the next one, so leave it out")
        return _in_file(file, rows, lambda row: (row.start, _level(row.intensity or "")))
    text = str(intensity)
    entries = _entries(text, "--intensity")
    if entries is None:
        return ((0.0, _level(text)),)
    levels = tuple((start, _level(said)) for start, said in entries)
    _check_order([start for start, _ in levels])
    return levels


def parse_cue(text: str, names: Sequence[str]) -> tuple[Shares, float | None]:
    """Shares and intensity (None: not said) of `label`, `label@2` or a blend `a:0.7+b:0.3@2`. Raises UsageError."""
    said, at, level = text.partition("@")
    parts = [part.strip() for part in re.split(r"[,+]", said)]
    if not all(parts):
        raise UsageError(f"'{text.strip()}' names no emotion in one place; write happy, happy@3 or happy:0.7+sad:0.3")
    pairs = [part.partition(":") for part in parts]
    labels = [known_label(label, names) for label, _, _ in pairs]
    if len(set(labels)) != len(labels):
        raise UsageError(f"the blend '{text.strip()}' names an emotion twice; give each one weight")
    weighted = [bool(colon) for _, colon, _ in pairs]
    if any(weighted) and not all(weighted):
        raise UsageError(f"the blend '{text.strip()}' has weights for some emotions only; give all of them one, or none")
    weights = [_weight(weight, text) if colon else 1.0 for _, colon, weight in pairs]
    total = sum(weights)
    return tuple((label, weight / total) for label, weight in zip(labels, weights, strict=True)), _level(level) if at else None


def _cues_of_text(text: str, names: Sequence[str]) -> list[Cue]:
    entries = _entries(text, "--emotion")
    if entries is None:
        return [Cue(0.0, *parse_cue(text, names))]
    _check_order([start for start, _ in entries])
    return [Cue(start, *parse_cue(said, names)) for start, said in entries]


def _cues_of_file(path: Path, names: Sequence[str], transition: float) -> list[Cue]:
    def cue(row: CueRow) -> Cue:
        if row.emotion is None:
            raise UsageError("there is no emotion")
        shares, level = parse_cue(row.emotion, names)
        if row.intensity is not None:
            if level is not None:
                raise UsageError("the intensity stands there twice, after @ and on its own")
            level = _level(row.intensity)
        return Cue(row.start, shares, level)

    rows = read_cue_file(path)
    cues: list[Cue] = []
    for index, made in enumerate(_in_file(path, rows, cue)):
        cues.append(made)
        end, after = rows[index].end, rows[index + 1].start if index + 1 < len(rows) else math.inf
        # After its end a cue gives way to neutral, but for a gap too short to become neutral in.
        if end is not None and after - end > max(transition, SAME_TIME):
            cues.append(Cue(end, ((NEUTRAL, 1.0),)))
    return cues


def _in_file(path: Path, rows: Sequence[CueRow], read: Callable[[CueRow], T]) -> tuple[T, ...]:
    """Each row read, in order and without overlap; what is wrong is told with its place in the file."""
    out: list[T] = []
    for index, row in enumerate(rows):
        try:
            _check_order([before.start for before in rows[: index + 1]][-2:])
            if row.end is not None and row.end <= row.start:
                raise UsageError(f"it ends at {row.end:g} s, before it starts at {row.start:g} s")
            last = rows[index - 1].end if index else None
            if last is not None and last > row.start + SAME_TIME:
                raise UsageError(f"it starts at {row.start:g} s and overlaps the one before, which ends at {last:g} s")
            out.append(read(row))
        except UsageError as error:
            raise DataError(f"{path}, {row.where}: {error}") from error
    return tuple(out)


def _entries(text: str, option: str) -> list[tuple[float, str]] | None:
    """The entries (seconds, words) of a timeline, or None for what is none."""
    if not text.strip():
        raise UsageError(f"{option} is empty; give a name, a timeline or a file")
    parts = text.strip().rstrip(",").split(",")
    if not _TIMED.match(parts[0]):
        return None
    entries = []
    for part in parts:
        match = _TIMED.match(part)
        if match is None:
            raise UsageError(
                f"'{part.strip()}' in the timeline has no time; write seconds:emotion, e.g. 1.5:happy@3 (a blend: 1.5:happy+sad)"
            )
        entries.append((float(match[1]), match[2]))
    return entries


def _check_order(starts: Sequence[float]) -> None:
    if starts and starts[0] < 0:
        raise UsageError(f"the track starts at {starts[0]:g} s; times are seconds from the start of the speech, 0 or more")
    for before, after in itertools.pairwise(starts):
        if abs(after - before) <= SAME_TIME:
            raise UsageError(f"the track has two entries at {after:g} s; give each its own time")
        if after < before:
            raise UsageError(f"the track goes backwards: {after:g} s comes after {before:g} s; put it in the order of time")


def _level(text: str) -> float:
    word = text.strip().lower()
    try:
        return checked_intensity(LEVEL_WORDS[word] if word in LEVEL_WORDS else float(word))
    except ValueError as error:
        raise UsageError(f"the intensity '{text.strip()}' is not a number from 0 to 3 nor low, mid or high") from error


def _weight(text: str, blend: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UsageError(f"the weight '{text.strip()}' in '{blend.strip()}' is not a number above 0")
    return weight


def _file(text: str | Path, words: Collection[str]) -> Path | None:
    """The path that is meant, when one is: it is a Path, ends as cue files do, or is there and no known word."""
    path = Path(text)
    if isinstance(text, Path) or path.suffix.lower() in SUFFIXES:
        return path
    try:
        return path if text.strip().lower() not in words and path.is_file() else None
    except OSError:  # a text too long to be a path
        return None
