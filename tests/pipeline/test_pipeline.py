"""Every stage trained for a few steps at tiny scale and chained through the command line: prep to video."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.assets import ASSETS
from emovoca_cli.types import Clip

pytestmark = pytest.mark.pipeline


def emovoca(*arguments: str, folder: Path) -> dict[str, object]:
    """Run the entry point as a user does; returns its JSON."""
    script = Path(sys.executable).with_name("emovoca")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "emovoca_cli"]
    done = subprocess.run(
        [*command, *arguments, "--json"], cwd=folder, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where prep has run on two of the built-in sentences."""
    folder = tmp_path_factory.mktemp("pipeline")
    speech = folder / "speech"
    speech.mkdir()
    listed = json.loads((ASSETS / "speech" / "phones.json").read_text())
    listed["utterances"] = sorted(listed["utterances"], key=lambda row: row["phones"][-1][2])[:2]
    for row in listed["utterances"]:
        shutil.copy(ASSETS / "speech" / row["file"], speech / row["file"])
    (speech / "phones.json").write_text(json.dumps(listed))
    seen = emovoca("prep", "--speech", "speech", folder=folder)
    assert seen["talk_clips"] == 24
    assert seen["expression_clips"] == 132
    return folder


def test_every_stage_and_the_next(work: Path) -> None:
    tiny = ("--set", "sizes.encoder=[4, 4, 8, 8]", "--set", "sizes.decoder=[8, 8, 4, 4]", "--set", "sizes.latent=16")
    trained = emovoca("train", "desd", *tiny, "--set", "steps=4", "--batch-size", "4", folder=work)
    report = trained["report"]
    assert isinstance(report, dict)
    assert set(report["mixtures"]) == {"plain", "sealed", "truth"}
    assert report["mixtures"]["truth"]["mean"]["sealed"] == pytest.approx(1.0, abs=0.02)

    built = emovoca("build-dataset", "--version", "v1", "--model", "emovoca-runs/desd", "--seal", folder=work)
    assert built["sequences"] == 24 * 15
    assert emovoca("build-dataset", "--version", "v1", "--verify", folder=work)["problems"] == []
    again = emovoca("build-dataset", "--version", "v1", "--model", "emovoca-runs/desd", "--seal", folder=work)
    assert (again["built"], again["kept"]) == (0, 24)

    dataset = ("--data", "emovoca-data/emovoca-v1", "--preset", "tiny")
    emovoca("train", "s2l", *dataset, "--out", "emovoca-runs/s2l", folder=work)
    emovoca("train", "s2d", *dataset, "--out", "emovoca-runs/s2d", folder=work)
    emovoca("train", "faceformer", *dataset, "--out", "emovoca-runs/faceformer", folder=work)

    speech = next(iter(sorted((work / "speech").glob("*.ogg"))))
    line = ("animate", str(speech), "--model", "emovoca-runs", "--emotion", "happy", "--intensity", "3")
    made = emovoca(*line, "--out", "a.npz", "--render", "a.mp4", "--size", "64", folder=work)
    emovoca(*line, "--out", "b.npz", folder=work)
    first, second = Clip.load(work / "a.npz"), Clip.load(work / "b.npz")
    assert first.frames == made["frames"]
    assert np.array_equal(first.vertices, second.vertices), "the same seed has to give the same clip"
    assert (work / "a.mp4").stat().st_size > 1000
    assert emovoca("info", "a.npz", folder=work)["emotions"] == ["happy"]
    line = (*line[:2], "--model", "emovoca-runs/faceformer", *line[4:])
    assert emovoca(*line, "--out", "c.npz", folder=work)["frames"] == first.frames


def test_prep_continues_and_changes_nothing(work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (work / "emovoca-data").rglob("*.npy")}
    emovoca("prep", "--speech", "speech", folder=work)
    assert {path: path.stat().st_mtime_ns for path in before} == before
