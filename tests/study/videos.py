"""Tiny real videos, and the answers of made-up participants."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emovoca_cli.render.video import ffmpeg_path
from emovoca_cli.study.answers import checksum
from emovoca_cli.study.design import Design

Choose = Callable[[str, tuple[str, ...], int], str]
"""(question, videos from A to B, trial) to the answer given."""


def write_video(path: Path, *, seconds: float = 0.4, size: int = 96, tone: int | None = 440, pixels: str = "yuv420p") -> Path:
    """A moving test picture with a tone (None: without sound), and the file's own name in its title."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        ffmpeg_path(),
        "-y",
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={size}x{size}:rate=25:duration={seconds}",
    ]
    if tone is not None:
        command += ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration={seconds}"]
    codecs = ["-c:v", "libvpx", "-c:a", "libvorbis"] if path.suffix == ".webm" else ["-c:v", "libx264", "-c:a", "aac"]
    subprocess.run([*command, *codecs, "-pix_fmt", pixels, "-metadata", f"title=made by {path.parent.name}", str(path)], check=True)
    return path


def filled_in(design: Design, participant: int, choose: Choose, *, screens: int | None = None) -> dict[str, Any]:
    """What the page would save for a participant who answers as `choose` says, each a second after the videos' end."""
    clock = 1_700_000_000_000
    rows = []
    for index, videos in design.shown(participant)[:screens]:
        took = int(1000 * sum(design.videos[number].seconds for number in videos)) + 1000
        rows.append(
            {
                "trial": index,
                "videos": list(videos),
                "given": {question: choose(question, videos, index) for question in design.trials[index].asks},
                "plays": [1 for _ in videos],
                "shown": clock,
                "answered": clock + took,
            }
        )
        clock += took
    finished = clock if screens is None else None
    content: dict[str, Any] = {
        "kind": "emovoca-study-answers", "schema": 1, "emovoca": "test", "study": design.study, "participant": participant,
        "agreed": 1_700_000_000_000, "finished": finished, "answers": rows,
    }  # fmt: skip
    return content | {"checksum": checksum(content)}


def save(path: Path, content: dict[str, Any]) -> Path:
    """Write an answer file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
