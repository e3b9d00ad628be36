"""Every word of the page: ours, with those that a maker replaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from emovoca_cli.errors import DataError, UsageError

OWN = Path(__file__).with_name("texts.yaml")


def read_texts(path: Path | None, *, choices: tuple[str, ...]) -> dict[str, Any]:
    """The page's words by key, with the words shown for each of `choices`. `path` is a .yaml that replaces some of them.

    Raises UsageError for a missing file, DataError for one with unknown keys, other values than text, or placeholders unlike ours.
    """
    texts: dict[str, Any] = yaml.safe_load(OWN.read_text(encoding="utf-8"))
    if path is not None:
        for key, value in _read(path).items():
            if key not in texts:
                raise DataError(f"{path}: there is no text '{key}'; there are: {', '.join(texts)}")
            if key == "emotions":
                _check_words(value, path)
                texts[key] = dict(value)
                continue
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{path}: '{key}' is {value!r}, expected text")
            if _holes(value, path, key) != _holes(texts[key], OWN, key):
                raise DataError(f"{path}: '{key}' has other places to fill than ours, which reads: {texts[key].strip()}")
            texts[key] = value
    unknown = [label for label in texts["emotions"] if label not in choices]
    if unknown:
        raise DataError(f"{path}: 'emotions' names {unknown[0]}, which is no choice of this study; there are: {', '.join(choices)}")
    texts["emotions"] = {label: texts["emotions"].get(label, label) for label in choices}
    return texts


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UsageError(f"{path} does not exist; expected a .yaml of texts")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} is not readable YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no texts; expected lines such as 'title: Talking faces'")
    return content


def _check_words(value: Any, path: Path) -> None:
    if not isinstance(value, dict) or not all(isinstance(word, str) and word.strip() for word in value.values()):
        raise DataError(f"{path}: 'emotions' is {value!r}, expected a word for each label, such as happy: heureux")


def _holes(text: str, path: Path, key: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise DataError(f"{path}: '{key}' has a brace too many ({error})") from error
