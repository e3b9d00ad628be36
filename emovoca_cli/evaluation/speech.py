"""What was said: recordings, words and phone times by name of sequence, from a folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emovoca_cli.data.sequences import Phone
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.evaluation.align import align
from emovoca_cli.evaluation.motion import Speech
from emovoca_cli.files import read_json
from emovoca_cli.types import Float

AUDIO = (".wav", ".flac", ".ogg", ".mp3")
LISTS = ("speech.json", "phones.json")
_EXPECTED = "expected <id>.wav (or flac, ogg, mp3) with <id>.txt (the words) or <id>.json (text, phones), or a talk store"


@dataclass(frozen=True)
class Source:
    """Where an utterance lies: its recording, words and phones, each None where missing."""

    audio: Path | None
    text: str | None
    phones: tuple[Phone, ...] | None


def find_sources(folder: Path) -> dict[str, Source]:
    """The utterances of a folder by id: single files, a talk store, or a folder with phones.json.

    Raises UsageError when it is no folder, DataError when it holds none.
    """
    if not folder.is_dir():
        raise UsageError(f"--speech {folder} is not a folder; {_EXPECTED}")
    for place in (folder, folder / "talk"):
        for name in LISTS:
            if (place / name).is_file():
                return _listed(place / name)
    found: dict[str, Source] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (*AUDIO, ".txt", ".json") and path.name != "manifest.json" and path.stem not in found:
            found[path.stem] = _single(folder, path.stem)
    if not found:
        raise DataError(f"--speech {folder} holds no recordings; {_EXPECTED}")
    return found


def _single(folder: Path, stem: str) -> Source:
    audio = next((path for suffix in AUDIO if (path := folder / f"{stem}{suffix}").is_file()), None)
    words, sidecar = folder / f"{stem}.txt", folder / f"{stem}.json"
    record = read_json(sidecar) if sidecar.is_file() else {}
    if not isinstance(record, Mapping):
        raise DataError(f"{sidecar} is not a record with text and phones")
    try:
        text = words.read_text(encoding="utf-8") if words.is_file() else record.get("text")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{words} cannot be read ({error})") from error
    return Source(audio, text, _phones(record.get("phones"), sidecar))


def _listed(path: Path) -> dict[str, Source]:
    content = read_json(path)
    rows = content.get("utterances", content) if isinstance(content, Mapping) else content
    records: Iterable[tuple[Any, Any]] = (
        rows.items() if isinstance(rows, Mapping) else ((row.get("id"), row) for row in rows if isinstance(row, Mapping))
    )
    folder = path.parent / "speech" if (path.parent / "speech").is_dir() else path.parent
    found = {}
    for name, row in records:
        if not isinstance(row, Mapping):
            raise DataError(f"{path}: {name} is no utterance; expected text, phones and a file")
        audio = folder / str(row.get("audio", row.get("file", "")))
        found[str(name)] = Source(audio if audio.is_file() else None, row.get("text"), _phones(row.get("phones"), path))
    if not found:
        raise DataError(f"{path} lists no utterances")
    return found


def _phones(rows: Any, path: Path) -> tuple[Phone, ...] | None:
    if not rows:
        return None
    try:
        phones = tuple((str(name).upper().rstrip("012"), float(start), float(end)) for name, start, end in rows)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} has phones that are not [name, start s, end s] ({error})") from error
    for name, start, end in phones:
        if not 0 <= start <= end < math.inf:
            raise DataError(f"{path} has the phone {name} from {start:g} to {end:g} s, expected times from 0 on, the start first")
    return phones


def match_speech(name: str, sources: Mapping[str, Source]) -> str | None:
    """The utterance a sequence says: the one of its own name, else the one whose name is a part of it between underscores.

    So abel_s01_happy_2 says s01. Raises DataError when two fit.
    """
    if name in sources:
        return name
    fitting = [known for known in sources if f"_{known}_" in f"_{name}_"]
    if len(fitting) > 1:
        raise DataError(f"the sequence {name} may say {fitting[0]} or {fitting[1]}; name the recordings after the sequences")
    return fitting[0] if fitting else None


def read_speech(
    names: Iterable[str],
    sources: Mapping[str, Source],
    load: Callable[[Path], Float],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Speech]:
    """The speech of the sequences that have some; words without phones are aligned to the recording, each once.

    load: path to 16 kHz samples (N,). Raises DataError when none has any, and what the aligner raises.
    """
    wanted = {name: match for name in names if (match := match_speech(name, sources)) is not None}
    if not wanted:
        raise DataError(
            f"no sequence is named after a recording of --speech; its first is {next(iter(sources))}, the first sequence "
            f"{next(iter(names), 'missing')}"
        )
    made: dict[str, Speech] = {}
    used = sorted(set(wanted.values()))
    for index, match in enumerate(used):
        if progress is not None:
            progress(index, len(used))
        source = sources[match]
        samples = load(source.audio) if source.audio is not None else None
        phones = source.phones
        if phones is None and source.text and source.text.strip() and samples is not None:
            phones = align(samples, source.text, name=match)
        made[match] = Speech(samples, phones or ())
    return {name: made[match] for name, match in wanted.items()}
