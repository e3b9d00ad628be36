"""Answer files of participants: read, held against the study's design, and left out by name when they do not fit."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emovoca_cli.data.checks import Findings
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import read_json
from emovoca_cli.study.design import NAMING, SAME, SCHEMA, SIDES, Design

_HASTE = 0.9
"""Share of the videos' length that answering takes at least; clocks are coarse."""
_CLOCK = 60_000
"""Milliseconds by which a device may set its clock back meanwhile."""


@dataclass(frozen=True)
class Answer:
    """One answer: to which question, on which item of which test, between which systems, and what was given.

    shown are the systems from A to B; given is a label for the naming question, else the preferred system or "same".
    emotion is the wanted one.
    """

    participant: int
    question: str
    item: str
    group: str
    emotion: str | None
    shown: tuple[str, ...]
    given: str


def find_answers(places: Sequence[Path]) -> list[Path]:
    """The .json files meant by files and folders, sorted, each once. Raises UsageError when there is none."""
    found: dict[Path, Path] = {}
    for place in places:
        if place.is_dir():
            inside = [path for path in place.iterdir() if path.suffix.lower() == ".json" and not path.name.startswith(".")]
            if not inside:
                raise UsageError(f"the folder {place} holds no answers (.json)")
        elif place.is_file():
            inside = [place]
        else:
            raise UsageError(f"{place} does not exist; expected answer files (.json) or a folder of them")
        for path in sorted(inside):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def read_answers(paths: Sequence[Path], design: Design, findings: Findings, *, allow_incomplete: bool = False) -> list[Answer]:
    """The answers of all files that fit the design, by participant; every other file becomes a problem in `findings`.

    One answer file a participant: of equal ones the first counts, of different ones none, for nobody knows which is meant.
    """
    read: dict[int, list[tuple[Path, str, list[Answer]]]] = {}
    for path in paths:
        try:
            content = read_json(path)
            participant, answers = _checked(content, design, allow_incomplete=allow_incomplete)
        except DataError as error:
            findings.problem(str(path), str(error))
            continue
        read.setdefault(participant, []).append((path, str(content["checksum"]), answers))
    kept: list[Answer] = []
    for participant, files in sorted(read.items()):
        if len({checksum for _, checksum, _ in files}) > 1:
            for path, _, _ in files:
                findings.problem(
                    str(path), f"participant {participant} gave {len(files)} files that differ; keep the one that is meant"
                )
            continue
        for path, _, _ in files[1:]:
            findings.problem(str(path), f"the same answers as {files[0][0]}, counted once")
        kept += files[0][2]
    return kept


def checksum(content: dict[str, Any]) -> str:
    """CRC-32 of an answer file's content (without its checksum), spelled as JavaScript's JSON.stringify spells it."""
    bare = {key: value for key, value in content.items() if key != "checksum"}
    return f"{zlib.crc32(json.dumps(bare, separators=(',', ':'), ensure_ascii=False).encode('utf-8', 'replace')):08x}"


def _checked(content: Any, design: Design, *, allow_incomplete: bool) -> tuple[int, list[Answer]]:
    """Participant and answers of a file. Raises DataError that says what does not fit."""
    if not isinstance(content, dict) or content.get("kind") != "emovoca-study-answers":
        raise DataError("no answers of a study")
    if content.get("schema") != SCHEMA:
        raise DataError(f"schema {content.get('schema')}, this version reads {SCHEMA}; update emovoca")
    if content.get("study") != design.study:
        raise DataError(f"answers to another study ({content.get('study')}, this one is {design.study})")
    if content.get("checksum") != checksum(content):
        raise DataError("changed after it was saved: its checksum does not fit")
    try:
        participant = content["participant"]
        rows = content["answers"]
        if not _count(participant) or not 1 <= participant <= len(design.plan) or not isinstance(rows, list):
            raise DataError(f"participant {participant!r} is none of 1 to {len(design.plan)}")
        plan = design.shown(participant)
        if len(rows) > len(plan):
            raise DataError(f"{len(rows)} answers, the study asks {len(plan)} times")
        answers = []
        clock = content["agreed"]
        for place, (row, (index, videos)) in enumerate(zip(rows, plan, strict=False), start=1):
            clock = _check_row(row, design, index, videos, clock, f"screen {place}")
            answers += _answers(row["given"], design, participant, index, videos)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not as the page writes it ({error})") from error
    if len(rows) < len(plan) and not allow_incomplete:
        raise DataError(f"incomplete, {len(rows)} of {len(plan)} screens; --allow-incomplete counts what is there")
    if not answers:
        raise DataError("no answer in it")
    return participant, answers


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_row(row: dict[str, Any], design: Design, index: int, videos: tuple[str, ...], clock: int, where: str) -> int:
    """Hold one screen against the plan; returns when it was answered (ms)."""
    trial = design.trials[index]
    if row["trial"] != index or tuple(row["videos"]) != videos:
        raise DataError(f"{where} shows other videos than participant and design say")
    if set(row["given"]) != set(trial.asks):
        raise DataError(f"{where} answers {', '.join(sorted(row['given']))}, asked was {', '.join(trial.asks)}")
    for question, given in row["given"].items():
        allowed = design.choices if question == NAMING else (*SIDES, SAME) if design.ties else SIDES
        if given not in allowed:
            raise DataError(f"{where} answers {given!r}, expected one of {', '.join(allowed)}")
    plays = row["plays"]
    if len(plays) != len(videos) or not all(_count(times) and times >= 1 for times in plays):
        raise DataError(f"{where} was answered without watching")
    if not _count(row["shown"]) or not _count(row["answered"]) or row["shown"] < clock - _CLOCK:
        raise DataError(f"{where} was shown before the one before it was answered")
    took, needs = (row["answered"] - row["shown"]) / 1000, sum(design.videos[number].seconds for number in videos)
    if took < _HASTE * needs:
        raise DataError(f"{where} was answered in {took:.1f} s, its videos last {needs:.1f} s")
    return int(row["answered"])


def _answers(given: dict[str, str], design: Design, participant: int, index: int, videos: tuple[str, ...]) -> list[Answer]:
    item = design.items[design.videos[videos[0]].item]
    shown = tuple(design.videos[number].system for number in videos)
    return [
        Answer(
            participant, question, item.name, item.group, item.emotion, shown,
            shown[SIDES.index(given[question])] if given[question] in SIDES and question != NAMING else given[question],
        )
        for question in design.trials[index].asks
    ]  # fmt: skip
