"""Whose face a sequence is, and which emotion it plays: from a table, from the pattern of its name, or from the clip."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.errors import DataError, UsageError

FIELDS = ("subject", "emotion", "intensity")
_FIELD = r"\{(subject|emotion|intensity|\*)\}"
_PART = {"*": r".+?", "subject": r".+", "emotion": r"[^_]+", "intensity": r"\d+(?:\.\d+)?"}
_OWN = re.compile(rf"(?P<subject>.+)_[^_]+_(?P<emotion>{'|'.join(EMOTIONS_V2)})_(?P<intensity>\d+(?:\.\d+)?)")
"""Names of `emovoca build-dataset`: abel_s01_happy_2."""


@dataclass(frozen=True)
class Labels:
    """What is known of a sequence; None where nothing is."""

    subject: str | None = None
    emotion: str | None = None
    intensity: float | None = None

    def filled(self, other: Labels) -> Labels:
        """These labels, and the other's where these are None."""
        return Labels(
            self.subject if self.subject is not None else other.subject,
            self.emotion if self.emotion is not None else other.emotion,
            self.intensity if self.intensity is not None else other.intensity,
        )


def name_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern such as {subject}_{*}_{emotion}_{intensity}; {*} is anything, a subject is as long as possible.

    Raises UsageError for an unusable one.
    """
    fields = re.findall(_FIELD, pattern)
    unknown = [word for word in re.findall(r"\{([^}]*)\}", pattern) if word not in (*FIELDS, "*")]
    named = [field for field in fields if field != "*"]
    if unknown or not named or len(set(named)) != len(named):
        raise UsageError(
            f"--names is {pattern!r}; expected {{subject}}, {{emotion}}, {{intensity}}, each once at most, and {{*}} for the rest"
        )
    expression = "".join(
        re.escape(part) if index % 2 == 0 else _PART[part] if part == "*" else f"(?P<{part}>{_PART[part]})"
        for index, part in enumerate(re.split(_FIELD, pattern))
    )
    return re.compile(expression)


def read_table(path: Path) -> dict[str, Labels]:
    """Labels by name of sequence, from a .csv with columns id and any of the fields. Raises UsageError or DataError."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist; expected a .csv with the columns id, {', '.join(FIELDS)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable .csv ({error})") from error
    if not rows or "id" not in rows[0] or not set(FIELDS) & set(rows[0]):
        raise DataError(f"{path} needs a header with id and any of {', '.join(FIELDS)}, and a row a sequence")
    found: dict[str, Labels] = {}
    for number, row in enumerate(rows, start=2):
        if row["id"] in found:
            raise DataError(f"{path} line {number}: {row['id']} is listed twice")
        found[row["id"]] = _labels(row, f"{path} line {number}")
    return found


def _labels(row: Mapping[str, str | None], where: str) -> Labels:
    level = (row.get("intensity") or "").strip()
    try:
        intensity = float(level) if level else None
    except ValueError as error:
        raise DataError(f"{where}: the intensity {level!r} is not a number") from error
    return Labels(row.get("subject") or None, row.get("emotion") or None, intensity)


def labels_of(
    name: str, *, table: Mapping[str, Labels], pattern: re.Pattern[str] | None, known: Sequence[str], clip: Labels
) -> Labels:
    """Labels of a sequence: the table's first, then its name's by `pattern`, then the clip's own, then our own naming's.

    A subject can also be one of the `known` (those of a file of templates) that the name begins with. Raises DataError for a name
    that does not follow the pattern.
    """
    found = table.get(name, Labels())
    if pattern is not None:
        match = pattern.fullmatch(name)
        if match is None and name not in table:
            raise DataError(f"the sequence {name} does not follow --names; give --labels for it or another pattern")
        found = found.filled(_labels(match.groupdict() if match else {}, f"the name {name}"))
    prefix = max((subject for subject in known if name == subject or name.startswith(f"{subject}_")), key=len, default=None)
    own = _OWN.fullmatch(name)
    found = found.filled(Labels(subject=prefix)).filled(clip)
    return found.filled(_labels(own.groupdict(), name)) if own else found
