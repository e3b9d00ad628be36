"""Recordings with their words and phone times: the built-in ones, and folders that the synthesis tool wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emovoca_cli.assets import ASSETS
from emovoca_cli.demo.phones import Phone, check_phones
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import read_json

SPEECH_SCHEMA = 1
AUDIO_SUFFIXES = (".flac", ".ogg", ".wav")
_MAKE = "make some with `python -m emovoca_cli.demo.synthesize --out DIR`"


@dataclass(frozen=True)
class Utterance:
    """One recording: unique id, audio file, its words, who says them, and phones (name, start s, end s) in plain ARPAbet."""

    id: str
    path: Path
    text: str
    voice: str
    phones: tuple[Phone, ...]


def builtin_speech() -> list[Utterance]:
    """The recordings that ship in the package, sorted by id; 16 kHz mono. Raises DataError when the installation is broken."""
    return read_speech_list(ASSETS / "speech")


def read_speech_folder(folder: Path) -> list[Utterance]:
    """The utterances of a folder, sorted by id: pairs of <id>.json with text and phones, and <id>.flac, .ogg or .wav.

    Raises UsageError when there is no such folder and DataError when it holds no utterance or a broken one.
    """
    if not folder.is_dir():
        raise UsageError(f"the speech folder {folder} does not exist; {_MAKE}")
    if (folder / "phones.json").is_file():
        return read_speech_list(folder)
    found = []
    for sidecar in sorted(folder.glob("*.json")):
        if sidecar.name == "manifest.json":
            continue
        audio = next((path for suffix in AUDIO_SUFFIXES if (path := sidecar.with_suffix(suffix)).is_file()), None)
        if audio is None:
            raise DataError(f"{sidecar} has no recording beside it; expected {sidecar.stem}.flac, .ogg or .wav")
        found.append(_utterance(read_json(sidecar), audio, sidecar))
    if not found:
        raise DataError(f"{folder} has no utterances (<id>.json with <id>.flac); {_MAKE}")
    return found


def read_speech_list(folder: Path) -> list[Utterance]:
    """The utterances of a folder that keeps all words and phones in one phones.json, sorted by id. Raises DataError."""
    source = folder / "phones.json"
    listed = read_json(source)
    rows = listed.get("utterances") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{source} lists no utterances; expected {{'utterances': [...]}}")
    if listed.get("schema", 0) > SPEECH_SCHEMA:
        raise DataError(f"{source} has schema {listed['schema']}, this version reads up to {SPEECH_SCHEMA}; update emovoca")
    found = [_utterance(row, folder / str(row.get("file", "")), source) for row in rows if isinstance(row, dict)]
    for utterance in found:
        if not utterance.path.is_file():
            raise DataError(f"the recording {utterance.path} that {source.name} lists is missing; {_MAKE}")
    return sorted(found, key=lambda utterance: utterance.id)


def _utterance(record: Any, audio: Path, source: Path) -> Utterance:
    """One record as an Utterance, its phones checked."""
    if not isinstance(record, Mapping) or not all(isinstance(record.get(key), str) for key in ("id", "text")):
        raise DataError(f"{source} is no utterance; expected id, text and phones")
    rows = record.get("phones")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise DataError(f"{source}: {record['id']} has no phones; expected a list of [name, start, end]")
    try:
        phones = check_phones(rows)
    except DataError as error:
        raise DataError(f"{source}: {record['id']}: {error}") from error
    voice = str(record.get("voice", "unknown"))
    engine = record.get("engine")
    return Utterance(record["id"], audio, record["text"], f"{engine}/{voice}" if engine else voice, phones)
