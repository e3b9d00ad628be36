"""What a run leaves besides its weights: run.json, the log, and what a tracker shows."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker

from emovoca_cli import __version__
from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write, read_json, write_json

PACKAGES = ("torch", "numpy", "scipy", "accelerate", "safetensors", "transformers")


def write_run(
    path: Path, settings: LoopSettings, mark: Mapping[str, Any], accelerator: Accelerator, device: torch.device, first: int
) -> None:
    """Write run.json: the resolved settings, what a resumed run has to share, and of every start step, time, environment, commit.

    A resumed run adds its start to those before; one that begins at step 0 begins the list anew.
    """
    starts: list[Any] = []
    if first:
        try:
            starts = list(read_json(path)["starts"])
        except (UsageError, DataError, KeyError, TypeError):
            starts = []  # lost or damaged: the record of earlier starts is not worth refusing to train for
    start = {"step": first, "time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "command": sys.argv}
    start["environment"] = environment(accelerator, device)
    if (commit := git_commit(Path.cwd())) is not None:
        start["git"] = commit
    write_json(path, {"settings": plain_values(settings), "mark": mark, "starts": [*starts, start]})


def environment(accelerator: Accelerator, device: torch.device) -> dict[str, Any]:
    """Versions, platform, device and processes of this run."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "emovoca": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
    }


def git_commit(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out in a folder and whether files differ from it; None where there is no git checkout."""
    answers = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        answers.append(done.stdout.strip())
    return {"commit": answers[0], "changed": bool(answers[1])}


class Log:
    """log.jsonl, one line a record, and a tracker beside it. A resumed run forgets what came after the step it continues from."""

    def __init__(self, path: Path, first: int, settings: LoopSettings) -> None:
        self._path = path
        kept = [line for line in _lines(path) if line["step"] <= first] if first else []
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._tracker = _tracker(path.parent, first, settings)

    def write(self, record: Mapping[str, Any]) -> None:
        """Add the record of a step."""
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error
        if self._tracker is not None:
            self._tracker.log({name: value for name, value in record.items() if name != "step"}, step=record["step"])

    def close(self) -> None:
        """Let the tracker write what it still holds."""
        if self._tracker is not None:
            self._tracker.finish()


def _tracker(folder: Path, first: int, settings: LoopSettings) -> GeneralTracker | None:
    if settings.tracker == "none":
        return None
    # purge_step and resume: a resumed run takes the place of what came after its first step
    tracker: GeneralTracker = (
        TensorBoardTracker("tensorboard", folder, purge_step=first + 1 if first else None)
        if settings.tracker == "tensorboard"
        else WandBTracker("emovoca", dir=str(folder), name=folder.resolve().parent.name)
    )
    tracker.start()
    values = plain_values(settings)
    simple = {name: value if isinstance(value, (bool, int, float, str)) else json.dumps(value) for name, value in values.items()}
    tracker.store_init_configuration(simple)
    return tracker


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the last line of a run that was killed while writing it
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            yield record
