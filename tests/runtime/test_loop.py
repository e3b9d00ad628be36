"""The training loop: exact resume, interrupts, and states that do not fit."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.errors import CheckpointError, EmovocaError, UsageError
from emovoca_cli.runtime.loop import LOG, STATE, TRAINING, LoopReport, Progress, learning_rate, train_loop
from emovoca_cli.runtime.processes import Share
from emovoca_cli.runtime.seeding import seed_everything

pytestmark = pytest.mark.unit
SETTINGS = LoopSettings(steps=12, lr=0.05, warmup=3, checkpoint_every=4, log_every=2, weight_decay=0.01, clip=1.0)
MARK = {"seed": 1, "data": "abc"}


def run(
    folder: Path,
    *,
    settings: LoopSettings = SETTINGS,
    mark: Mapping[str, object] = MARK,
    resume: bool = False,
    progress: Progress | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, LoopReport]:
    """Train a small network with dropout, whose halves take turns: random state and missing gradients matter."""
    seed_everything(3)
    model = nn.ModuleDict(
        {"even": nn.Linear(4, 4), "odd": nn.Linear(4, 4), "last": nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))}
    )
    model.to(device)

    def step(share: Share) -> Mapping[str, Tensor]:
        x = torch.sin(torch.arange(8.0).view(2, 4) + share.index()).to(device)
        loss = model["last"](model["odd" if share.step % 2 else "even"](x)).square().mean()
        return {"loss": loss, "x": x.mean()}

    report = train_loop(
        model, step, settings=settings, folder=folder, mark=mark, device=torch.device(device), resume=resume, progress=progress
    )
    return model, report


def equal(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / TRAINING / LOG).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("stop", [2, 4, 7, 10])
def test_a_stopped_and_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path, stop: int) -> None:
    whole, _ = run(tmp_path / "whole")

    def interrupt(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step >= stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", progress=interrupt)
    resumed, report = run(tmp_path / "broken", resume=True)
    assert 0 < report.first_step < SETTINGS.steps
    assert equal(whole, resumed)
    assert [line["step"] for line in lines(tmp_path / "broken")] == [line["step"] for line in lines(tmp_path / "whole")]
    state = (tmp_path / "whole" / TRAINING / STATE).read_bytes()
    assert state == (tmp_path / "broken" / TRAINING / STATE).read_bytes()


def test_a_killed_run_continues_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole")

    def die(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 10:
            raise MemoryError

    with pytest.raises(MemoryError):
        run(tmp_path / "broken", progress=die)
    resumed, report = run(tmp_path / "broken", resume=True)
    assert report.first_step == 8
    assert equal(whole, resumed)
    assert [line["step"] for line in lines(tmp_path / "broken")] == [2, 4, 6, 8, 10, 12]


def test_ctrl_c_ends_the_step_and_stores_it(tmp_path: Path) -> None:
    def press(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=press)
    assert signal.getsignal(signal.SIGINT) is before
    _, report = run(tmp_path, resume=True)
    assert report.first_step in (6, 7)


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    again, report = run(tmp_path, resume=True)
    assert report.first_step == SETTINGS.steps
    assert equal(first, again)


def test_without_resume_a_run_starts_over(tmp_path: Path) -> None:
    run(tmp_path)
    _, report = run(tmp_path)
    assert report.first_step == 0
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 8, 10, 12]


def test_a_run_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(UsageError, match="is of a run with other data, more; resume with the same settings"):
        run(tmp_path, resume=True, mark={"seed": 1, "data": "xyz", "more": 2})


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    run(tmp_path)
    (tmp_path / TRAINING / STATE).write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable training state"):
        run(tmp_path, resume=True)


def test_a_loss_that_is_not_a_number_stops_the_run_before_it_is_stored(tmp_path: Path) -> None:
    weight = nn.Linear(1, 1)

    def step(share: Share) -> Mapping[str, Tensor]:
        return {"loss": weight(torch.ones(1, 1)).sum() * (math.nan if share.step == 5 else 1.0)}

    with pytest.raises(EmovocaError, match="loss is nan at step 6"):
        train_loop(weight, step, settings=SETTINGS, folder=tmp_path, mark={}, device=torch.device("cpu"))
    assert lines(tmp_path)[-1]["step"] == 4


def test_the_learning_rate_warms_up_peaks_and_ends_near_zero() -> None:
    settings = LoopSettings(steps=103, lr=2.0, warmup=3, checkpoint_every=1, log_every=1)
    rates = [learning_rate(step, settings) for step in range(103)]
    assert rates[:4] == pytest.approx([2 / 3, 4 / 3, 2.0, 2.0])
    assert rates[53] == pytest.approx(1.0)
    assert 0 < rates[-1] < 1e-3
    assert all(late <= early for early, late in itertools.pairwise(rates[3:]))
