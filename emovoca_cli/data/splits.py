"""Which subjects train, validate and test a model: written down, never the same one twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emovoca_cli.errors import DataError

SPLIT_NAMES = ("train", "val", "test")
Splits = Mapping[str, tuple[str, ...]]


def check_splits(splits: Mapping[str, Iterable[str]], subjects: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The splits as tuples, checked: only known names, every subject in exactly one. Raises DataError naming the first offender."""
    unknown = sorted(set(splits) - set(SPLIT_NAMES))
    if unknown:
        raise DataError(f"unknown split {unknown[0]!r}; the splits are {', '.join(SPLIT_NAMES)}")
    clean = {name: tuple(splits.get(name, ())) for name in SPLIT_NAMES}
    where: dict[str, str] = {}
    for name, members in clean.items():
        for subject in members:
            if subject in where:
                raise DataError(f"subject {subject} is in the splits {where[subject]} and {name}; each subject belongs to one")
            where[subject] = name
    known = set(subjects)
    for subject in sorted(known ^ set(where)):
        problem = "has clips but no split" if subject in known else "has a split but no data"
        raise DataError(f"subject {subject} {problem}; list every subject in exactly one of {', '.join(SPLIT_NAMES)}")
    return clean


def split_of(splits: Splits, subject: str) -> str:
    """The split of a subject. Raises DataError for an unknown one."""
    for name, members in splits.items():
        if subject in members:
            return name
    raise DataError(f"subject {subject} is in no split; the splits hold {sum(map(len, splits.values()))} subjects")


def check_agreement(first: Splits, second: Splits) -> None:
    """A subject in both sets must be in the same split of both, or tests would see training faces. Raises DataError."""
    placed = {subject: name for name, members in first.items() for subject in members}
    for name, members in second.items():
        for subject in members:
            if placed.get(subject, name) != name:
                raise DataError(
                    f"subject {subject} is in split {placed[subject]} of one set and {name} of the other; make them agree"
                )
