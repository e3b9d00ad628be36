"""Files that hold an emotion track: YAML, CSV and SubRip subtitles, read into rows of text."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emovoca_cli.errors import DataError, UsageError

SUFFIXES = (".yaml", ".yml", ".csv", ".srt")
KEYS = ("start", "end", "emotion", "intensity")

_STAMP = r"(\d+):(\d{1,2}):(\d{1,2})[,.](\d{1,3})"
_SPAN = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?$")
_MARKED = re.compile(r"[\[(]([^\])]*)[\])]")


@dataclass(frozen=True)
class CueRow:
    """One row of a file: start and end (None: until the next) in seconds, the words for emotion and intensity, its place."""

    start: float
    end: float | None
    emotion: str | None
    intensity: str | None
    where: str


def read_cue_file(path: Path) -> tuple[CueRow, ...]:
    """The rows of a file, at least one, in its order. Raises UsageError for a missing file, DataError for one that is none."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is not a track that can be read; give one that ends in {', '.join(SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; give an emotion track ({', '.join(SUFFIXES)})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}); save it as UTF-8") from error
    if not text.strip():
        raise DataError(f"{path} is empty; give it at least one entry with a start and an emotion")
    rows = {".csv": _csv, ".srt": _subrip}.get(suffix, _yaml)(text, path)
    if not rows:
        raise DataError(f"{path} holds no entry; give it at least one with a start and an emotion")
    return tuple(rows)


def _yaml(text: str, path: Path) -> list[CueRow]:
    """A list of {start, emotion, ...}, the same under `cues`, or a mapping of seconds to words."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML ({' '.join(str(error).split())})") from error
    if isinstance(value, Mapping) and set(value) == {"cues"}:
        value = value["cues"]
    if isinstance(value, Mapping):
        value = [{"start": start, "emotion": said} for start, said in value.items()]
    if not isinstance(value, list):
        raise DataError(
            f"{path} holds {type(value).__name__}; expected a list of {{start, emotion}} or a mapping of seconds to emotions"
        )
    rows = []
    for number, entry in enumerate(value, 1):
        where = f"entry {number}"
        if not isinstance(entry, Mapping):
            raise DataError(f"{path}, {where} is '{entry}'; expected {{start: seconds, emotion: name}}")
        rows.append(_row({str(key): said for key, said in entry.items()}, path, where))
    return rows


def _csv(text: str, path: Path) -> list[CueRow]:
    """A header with start and emotion or intensity, and end if wanted; separated by comma, semicolon or tab."""
    lines = text.splitlines()
    head = lines[0]
    separator = max(",;\t", key=head.count)
    columns = [name.strip().lower() for name in next(csv.reader([head], delimiter=separator))]
    if "start" not in columns:
        raise DataError(
            f"{path} starts with '{head.strip()}'; expected a header with the columns start, emotion (and end, intensity)"
        )
    rows = []
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    next(reader)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num}"
            if len(cells) > len(columns):
                raise DataError(f"{path}, {where} has {len(cells)} cells for {len(columns)} columns; put a blend in quotes")
            filled = {name: cell for name, cell in zip(columns, cells, strict=False) if cell.strip()}
            rows.append(_row(filled, path, where))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is not CSV ({error})") from error
    return rows


def _subrip(text: str, path: Path) -> list[CueRow]:
    """Subtitles whose text is the label, or holds it in brackets: `[happy@3] Hello there!`."""
    rows: list[CueRow] = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()):
        lines = block.strip().split("\n")
        if len(lines) > 1 and lines[0].strip().isdigit() and _SPAN.match(lines[1]):
            lines = lines[1:]
        where = f"subtitle {len(rows) + 1}"
        span = _SPAN.match(lines[0])
        if span is None:
            raise DataError(f"{path}, {where} has no line like 00:00:01,500 --> 00:00:03,000 (there is '{lines[0].strip()}')")
        words = re.sub(r"</?[a-zA-Z][^>]*>", "", " ".join(line.strip() for line in lines[1:])).strip()
        marked = _MARKED.search(words)
        label = (marked[1] if marked else words).strip()
        if not label:
            raise DataError(f"{path}, {where} has no text; write the emotion there, e.g. happy@3 or [happy] and the words")
        # A SubRip file given to --intensity holds numbers where one for --emotion holds labels.
        level = label if re.fullmatch(r"-?[\d.]+", label) else None
        rows.append(CueRow(_seconds(span.groups()[:4]), _seconds(span.groups()[4:]), None if level else label, level, where))
    return rows


def _seconds(stamp: tuple[str, ...]) -> float:
    hours, minutes, seconds, fraction = stamp
    return round(int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}"), 6)


def _row(entry: Mapping[str, Any], path: Path, where: str) -> CueRow:
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise DataError(f"{path}, {where} has '{unknown[0]}'; expected {', '.join(KEYS)}")
    if entry.get("start") is None:
        raise DataError(f"{path}, {where} has no start; give the seconds from the start of the speech")
    if entry.get("emotion") is None and entry.get("intensity") is None:
        raise DataError(f"{path}, {where} has no emotion; give one, e.g. happy")
    emotion = entry.get("emotion")
    if isinstance(emotion, Mapping):
        emotion = "+".join(f"{label}:{weight}" for label, weight in emotion.items())
    end, level = entry.get("end"), entry.get("intensity")
    return CueRow(
        _number(entry["start"], "start", path, where),
        None if end is None else _number(end, "end", path, where),
        None if emotion is None else str(emotion),
        None if level is None else str(level),
        where,
    )


def _number(value: Any, name: str, path: Path, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path}, {where} has the {name} '{value}'; give seconds, e.g. 1.5")
    return number
