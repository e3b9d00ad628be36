"""What a study is made of: the folders of the systems, paired by name, and a table that says what is asked of each item."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.study.design import EMOTION, LIP_SYNC, NAMING, QUESTIONS, Item
from emovoca_cli.study.media import CONTAINERS

SUFFIXES = (*CONTAINERS, ".npz")
COLUMNS = ("id", "emotion", "group", "ask")


def read_systems(words: Sequence[str]) -> dict[str, Path]:
    """Folders by the systems' names, from NAME=FOLDER. Raises UsageError for fewer than two, repeats and missing folders."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not name.strip() or not folder:
            raise UsageError(f"--system is '{word}', expected NAME=FOLDER, such as ours=videos/ours")
        if name in found:
            raise UsageError(f"--system {name} is given twice; give each system a name of its own")
        if not Path(folder).is_dir():
            raise UsageError(f"--system {name}: {folder} is not a folder of videos ({', '.join(CONTAINERS)}) or clips (.npz)")
        found[name] = Path(folder)
    if len(found) < 2:
        raise UsageError(f"{len(found)} system given, a comparison needs two: --system ours=FOLDER --system theirs=FOLDER")
    return found


def pair_files(systems: Mapping[str, Path], *, allow_missing: bool, note: Callable[[str], None]) -> dict[str, dict[str, Path]]:
    """Files by item and system: those of one name in every folder. Raises DataError for an empty folder, or partners missing."""
    files: dict[str, dict[str, Path]] = {}
    for system, folder in systems.items():
        mine: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."):
                if path.stem in mine:
                    raise DataError(f"{folder} has both {mine[path.stem].name} and {path.name}; keep one of them")
                mine[path.stem] = path
        if not mine:
            raise DataError(f"{folder} holds no video ({', '.join(CONTAINERS)}) and no clip (.npz)")
        files[system] = mine
    names = sorted(set().union(*files.values()))
    shared = [name for name in names if all(name in mine for mine in files.values())]
    alone = [name for name in names if name not in shared]
    if alone:
        missing = next(system for system, mine in files.items() if alone[0] not in mine)
        words = f"{len(alone)} of {len(names)} items are not there for every system, the first: {alone[0]} is missing in {missing}"
        if not allow_missing or not shared:
            raise DataError(
                f"{words}; files are paired by name" + ("" if not shared else "; pass --allow-missing to leave them out")
            )
        note(f"left out: {words}")
    return {name: {system: mine[name] for system, mine in files.items()} for name in shared}


def read_asks(text: str) -> tuple[str, ...]:
    """Questions from words such as 'lip_sync,emotion' or 'lip_sync+naming'. Raises UsageError for others."""
    asks = tuple(dict.fromkeys(word for word in re.split(r"[,+\s]+", text.strip()) if word))
    wrong = [ask for ask in asks if ask not in QUESTIONS]
    if wrong or not asks:
        raise UsageError(f"'{wrong[0] if wrong else text}' is no question; there are: {', '.join(QUESTIONS)}")
    return asks


def read_items(path: Path, *, asks: tuple[str, ...]) -> dict[str, Item]:
    """Items from a .csv with the column id and any of emotion, group, ask (default `asks`). Raises UsageError, DataError."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist; expected a .csv with the columns {', '.join(COLUMNS)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable .csv ({error})") from error
    if not rows or "id" not in rows[0] or set(rows[0]) - set(COLUMNS):
        raise DataError(f"{path} needs a header of id and any of {', '.join(COLUMNS[1:])}, and a row an item")
    found: dict[str, Item] = {}
    for number, row in enumerate(rows, start=2):
        name = (row["id"] or "").strip()
        if not name or name in found:
            raise DataError(f"{path} line {number}: the id '{name}' is {'listed twice' if name else 'empty'}")
        try:
            wanted = read_asks(row["ask"]) if (row.get("ask") or "").strip() else asks
        except UsageError as error:
            raise DataError(f"{path} line {number}: {error}") from error
        emotion = (row.get("emotion") or "").strip() or None
        found[name] = Item(name, emotion, (row.get("group") or "").strip(), wanted)
    return found


def items_of(
    names: Sequence[str],
    table: Mapping[str, Item] | None,
    *,
    asks: tuple[str, ...],
    emotion_of: Callable[[str], str | None],
    note: Callable[[str], None],
) -> list[Item]:
    """The items to ask about: those of the table, which all have to be there, or all `names`.

    An emotion that the table leaves open is what `emotion_of` says, else read off the name (happy in m03_happy_2). An item without
    one is asked for lip-sync alone. Raises DataError when nothing is left to ask of an item.
    """
    missing = [name for name in table or {} if name not in names]
    if missing:
        raise DataError(f"the table lists {missing[0]}, which not every system has; there are: {', '.join(names[:5])}")
    items = []
    for item in table.values() if table is not None else [Item(name, asks=asks) for name in names]:
        emotion = item.emotion
        if emotion is None and {EMOTION, NAMING} & set(item.asks):
            emotion = emotion_of(item.name) or named_emotion(item.name)
        if emotion is None and LIP_SYNC not in item.asks:
            raise DataError(
                f"{item.name} is to be asked for {' and '.join(item.asks)} and its emotion is unknown; name it with --items"
            )
        items.append(replace(item, emotion=emotion))
    unknown = [item.name for item in items if item.emotion is None and item.asks != (LIP_SYNC,)]
    if unknown:
        note(
            f"{len(unknown)} of {len(items)} items have no known emotion and are asked for lip-sync alone, the first: {unknown[0]}"
        )
    return items


def named_emotion(name: str) -> str | None:
    """The emotion that a name says between its underscores, dots or hyphens; None for none or several."""
    said = {part for part in re.split(r"[_.\-\s]+", name.lower()) if part in EMOTIONS_V2}
    return said.pop() if len(said) == 1 else None
