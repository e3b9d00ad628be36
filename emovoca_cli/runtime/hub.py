"""Models in the Hugging Face Hub's convention: a repository user/name holds one model folder, or s2l/ and s2d/ of a pair.

Only safetensors, JSON and npz files ever travel, besides the model card: nothing that could run code is sent, fetched or read.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write, read_json
from emovoca_cli.runtime.checkpoint import CONFIG

CARD = "README.md"
KINDS = (".safetensors", ".json", ".npz")
"""Suffixes of the files that are sent and fetched."""

ENVIRONMENT = "EMOVOCA_HUB"
"""Names a folder that stands in for the Hub: user/name is a folder in it. For offline work, mirrors and tests."""

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(text: str | Path) -> bool:
    """Whether this reads as user/name and is no folder here."""
    return NAME.fullmatch(str(text)) is not None and ".." not in str(text) and not Path(text).exists()


def model_folders(folder: Path) -> list[Path]:
    """The model folders in a folder: itself, or those of a pair below it. Raises UsageError when there is none."""
    found = [place for place in (folder, folder / "s2l", folder / "s2d") if (place / CONFIG).is_file()]
    if not found:
        raise UsageError(f"{folder} holds no model; give a folder that `emovoca train` wrote, or one with s2l/ and s2d/")
    return found


def travelling(folder: Path) -> list[Path]:
    """Files of a model folder that travel, sorted: those of the model and a report of its scores; no training state."""
    own = {"training", ".git", ".cache"}
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix in KINDS)
    return sorted(path for path in files if not own & set(path.relative_to(folder).parts) and not path.name.startswith("."))


def model_card(folder: Path, name: str) -> str:
    """The README.md of a repository: licence, kind, origin and scores of each model in it. Raises UsageError, DataError."""
    heads = {place: read_json(place / CONFIG) for place in model_folders(folder)}
    for place, head in heads.items():
        if not isinstance(head, dict) or not {"kind", "licence", "files"} <= set(head):
            raise DataError(f"{place / CONFIG} is not the config of an emovoca model; train it again")
    licences = list(dict.fromkeys(str(head["licence"]) for head in heads.values()))
    known = all(re.fullmatch(r"mit( \([^()]*\))?", licence, re.IGNORECASE) for licence in licences)
    lines = [
        "---",
        f"license: {'mit' if known else 'other'}",
        "library_name: emovoca",
        "tags: [3d, talking-head, emotion]",
        "---",
        "",
    ]
    lines += [f"# {name}", "", f"For `emovoca`, as `--model {name}`. Licence: {'; '.join(licences)}.", ""]
    for place, head in heads.items():
        lines += [f"## {head['kind']}" + ("" if place == folder else f" ({place.name}/)"), ""]
        lines += [f"- {key}: {_words(value)}" for key, value in sorted(head.get("provenance", {}).items()) if key != "settings"]
        lines += ["", *_scores(place)]
    return "\n".join(lines).rstrip() + "\n"


def push(folder: Path, name: str, *, to: Path | None = None, private: bool = False) -> str:
    """Send a model folder, with a new model card, to the Hub as user/name, or into a folder `to`; returns where it went.

    Raises UsageError for a bad name or folder, OutputError when it cannot be sent.
    """
    if NAME.fullmatch(name) is None or ".." in name:
        raise UsageError(f"{name!r} is not a name in the Hub; write it as user/name")
    card, files, hub = model_card(folder, name), travelling(folder), to or _stand_in()
    if hub is not None:
        target = hub / name
        copy_files(folder, files, target)
        with atomic_write(target / CARD) as temporary:
            temporary.write_text(card, encoding="utf-8")
        return str(target)
    from huggingface_hub import CommitOperationAdd, HfApi

    sent = [CommitOperationAdd(path.relative_to(folder).as_posix(), str(path)) for path in files]
    sent.append(CommitOperationAdd(CARD, card.encode()))
    try:
        place = HfApi().create_repo(name, private=private, exist_ok=True)
        HfApi().create_commit(name, sent, commit_message="Add the model")
    except Exception as error:
        raise OutputError(f"cannot send {name} to the Hub ({_reason(error)}); log in with `hf auth login`, or use --to") from error
    return str(place)


def pull(name: str, *, source: Path | None = None, revision: str | None = None) -> Path:
    """The folder of user/name: fetched from the Hub into its cache, or found in a folder `source` that stands in for the Hub.

    Raises UsageError when there is no such repository or no network.
    """
    if NAME.fullmatch(name) is None or ".." in name:
        raise UsageError(f"{name!r} is not a name in the Hub; write it as user/name")
    hub = source or _stand_in()
    if hub is not None:
        folder = hub / name
        if not folder.is_dir():
            raise UsageError(f"there is no model {name} in {hub}; see what is there, or give another name")
    else:
        from huggingface_hub import snapshot_download

        patterns = [f"*{kind}" for kind in KINDS]
        try:
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["training/*"]))
        except Exception as error:
            raise UsageError(
                f"there is no folder or built-in model {name}, and it cannot be fetched from the Hub ({_reason(error)}); "
                "check the name and the network"
            ) from error
    model_folders(folder)
    return folder


def copy_files(folder: Path, files: list[Path], target: Path) -> None:
    """Copy files of a folder to the same places under another, each whole or not at all; config.json, which makes a model, last."""
    for path in sorted(files, key=lambda path: path.name == CONFIG):
        with atomic_write(target / path.relative_to(folder)) as temporary:
            shutil.copyfile(path, temporary)


def _stand_in() -> Path | None:
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def _scores(place: Path) -> list[str]:
    if not (place / "report.json").is_file():
        return []
    report = read_json(place / "report.json")
    test = report.get("test", report.get("mve_mm")) if isinstance(report, dict) else None
    if not isinstance(test, Mapping) or not test:
        return []
    title = "test" if "test" in report else "MVE mm"
    rows = [f"| {name} | {value:.3f} |" for name, value in sorted(test.items()) if isinstance(value, (int, float))]
    return [f"| {title} | score |", "|---|---|", *rows, ""]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in sorted(value.items()))
    return " ".join(str(value).split())


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
