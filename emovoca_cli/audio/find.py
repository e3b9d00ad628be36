"""Finding recordings: files, folders and patterns of names become one sorted list."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from emovoca_cli.errors import UsageError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
"""What a folder is searched for; a file that is named is read whatever it is called."""


def find_recordings(inputs: Sequence[str | Path]) -> tuple[Path, ...]:
    """The recordings that are meant, each once, in the order given; those of a folder (not deeper) or a pattern by name.

    A file that is missing stays in the list: reading it says so. Raises UsageError for a folder or pattern that gives none.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            paths = [inside for inside in path.iterdir() if inside.suffix.lower() in SUFFIXES and inside.is_file()]
            if not paths:
                raise UsageError(f"the folder {path} holds no recording ({', '.join(SUFFIXES)})")
        elif is_pattern(text):
            paths = [match for match in map(Path, glob.glob(str(text), recursive=True)) if match.is_file()]
            if not paths:
                raise UsageError(f"no file fits the pattern '{text}'")
        else:
            paths = [path]
        for one in sorted(paths):
            found.setdefault(one.resolve(), one)
    return tuple(found.values())


def is_pattern(text: str | Path) -> bool:
    """Whether a word is a pattern of names rather than a file of that name."""
    return glob.has_magic(str(text)) and not Path(text).exists()


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """A name for what is made of each file, all different: its stem, with its folder or its suffix where two stems are alike."""

    def candidates(path: Path) -> tuple[str, ...]:
        kind, parent = path.suffix.lstrip("."), path.resolve().parent.name
        return path.stem, f"{parent}-{path.stem}", f"{path.stem}-{kind}", f"{parent}-{path.stem}-{kind}"

    names = [candidates(path) for path in paths]
    for choice in range(len(names[0]) if names else 0):
        # Names that differ only in their case are one file on some machines.
        seen = [row[choice].casefold() for row in names]
        if len(set(seen)) == len(seen):
            return tuple(row[choice] for row in names)
    raise UsageError("several recordings have the same name and folder name; animate them in calls of their own")
