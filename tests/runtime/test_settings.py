"""Averaged weights, accumulated gradients, early stopping, bfloat16, trackers and the record of a run, through the one loop."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emovoca_cli.config.desd import DesdConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import LoopSettings, comparable
from emovoca_cli.errors import UsageError
from emovoca_cli.runtime.loop import LOG, RUN, STATE, TRAINING, LoopReport, Progress, learning_rate, train_loop
from emovoca_cli.runtime.processes import Share
from emovoca_cli.runtime.seeding import seed_everything

pytestmark = pytest.mark.unit
SETTINGS = LoopSettings(steps=12, lr=0.05, warmup=3, checkpoint_every=2, log_every=2, batch=4)
Scores = Callable[[nn.Module], Mapping[str, float]]


def new_model() -> nn.Module:
    seed_everything(4)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


def loss_of(model: nn.Module, share: Share, batch: int) -> Tensor:
    rows = torch.stack([torch.sin(torch.arange(3.0) * (1 + sample)) for sample in share.samples(batch)])
    out: Tensor = model(rows)
    return (out - rows.sum(1, keepdim=True)).square().mean()


def run(
    folder: Path,
    settings: LoopSettings = SETTINGS,
    *,
    scores: Scores | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    watch: str = "",
) -> tuple[nn.Module, LoopReport]:
    model = new_model()
    report = train_loop(
        model,
        lambda share: {"loss": loss_of(model, share, settings.batch)},
        settings=settings,
        folder=folder,
        mark=plain_values(settings),
        device=torch.device("cpu"),
        resume=resume,
        progress=progress,
        validate=None if scores is None else lambda: scores(model),
        watch=watch,
    )
    return model, report


def weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def twin(settings: LoopSettings) -> list[Tensor]:
    """The weights after every step, by a loop as plain as can be."""
    model = new_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=settings.weight_decay)
    after = []
    for number in range(settings.steps):
        optimiser.param_groups[0]["lr"] = learning_rate(number, settings)
        optimiser.zero_grad()
        loss_of(model, Share(number), settings.batch).backward()
        optimiser.step()
        after.append(weights(model))
    return after


def test_the_average_is_that_of_a_plain_twin(tmp_path: Path) -> None:
    settings = replace(SETTINGS, ema=0.8, batch=2)
    expected = weights(new_model())
    validated: list[Tensor] = []
    for done, now in enumerate(twin(settings), 1):
        decay = min(0.8, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * now

    def scores(model: nn.Module) -> Mapping[str, float]:
        validated.append(weights(model))
        return {"score": 0.0}

    model, _ = run(tmp_path, settings, scores=scores)
    torch.testing.assert_close(weights(model), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(validated[-1], expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(expected, twin(settings)[-1], atol=1e-3)


@pytest.mark.parametrize("more", [{"ema": 0.9}, {"accumulate": 2}, {"ema": 0.9, "patience": 3}])
def test_resuming_is_exact_with_averages_accumulation_and_patience(tmp_path: Path, more: dict[str, float]) -> None:
    settings = replace(SETTINGS, **more)  # type: ignore[arg-type]

    def scores(model: nn.Module) -> Mapping[str, float]:
        return {"score": float(weights(model).square().sum())}

    def interrupt(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 6:
            raise KeyboardInterrupt

    whole, first = run(tmp_path / "whole", settings, scores=scores, watch="score")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", settings, scores=scores, watch="score", progress=interrupt)
    parts, second = run(tmp_path / "parts", settings, scores=scores, watch="score", resume=True)
    assert second.first_step == 6
    assert (first.steps, first.best_step) == (second.steps, second.best_step)
    assert torch.equal(weights(whole), weights(parts))
    assert (tmp_path / "whole" / TRAINING / STATE).read_bytes() == (tmp_path / "parts" / TRAINING / STATE).read_bytes()


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    # clipped in some steps alone: Adam by itself does not see the gradient's size
    large, _ = run(tmp_path / "large", replace(SETTINGS, batch=12, clip=1.5))
    small, _ = run(tmp_path / "small", replace(SETTINGS, batch=4, accumulate=3, clip=1.5))
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-5, atol=1e-6)
    other, _ = run(tmp_path / "other", replace(SETTINGS, batch=4, clip=1.5))
    assert not torch.allclose(weights(other), weights(large), atol=1e-3)


def by_step(values: list[float]) -> Scores:
    """Scores given in order, one a checkpoint."""
    waiting = iter(values)
    return lambda model: {"bad": next(waiting), "other": 1.0}


def test_patience_stops_and_keeps_the_best_weights(tmp_path: Path) -> None:
    after = twin(SETTINGS)
    settings = replace(SETTINGS, patience=2)
    model, report = run(tmp_path, settings, scores=by_step([3.0, 1.0, 2.0, math.nan]), watch="bad")
    assert (report.steps, report.best_step) == (8, 4)
    torch.testing.assert_close(weights(model), after[3], rtol=1e-5, atol=1e-6)
    again, finished = run(tmp_path, settings, scores=by_step([]), watch="bad", resume=True)
    assert (finished.first_step, finished.steps, finished.best_step) == (8, 8, 4)
    assert torch.equal(weights(again), weights(model))


def test_a_minus_watches_for_the_highest_and_without_patience_the_last_weights_stay(tmp_path: Path) -> None:
    values = [1.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    _, report = run(tmp_path / "high", replace(SETTINGS, patience=9, watch="-bad"), scores=by_step(values))
    assert (report.steps, report.best_step) == (12, 4)
    model, report = run(tmp_path / "last", scores=by_step(values), watch="bad")
    assert report.best_step is None
    torch.testing.assert_close(weights(model), twin(SETTINGS)[-1], rtol=1e-5, atol=1e-6)


def test_patience_for_an_unknown_score_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'worse'; this training has bad, other"):
        run(tmp_path / "a", replace(SETTINGS, patience=1, watch="worse"), scores=by_step([1.0]))
    with pytest.raises(UsageError, match="no validation"):
        run(tmp_path / "b", replace(SETTINGS, patience=1), watch="bad")


def test_bfloat16_rounds_the_forward_pass_and_keeps_float32_weights(tmp_path: Path) -> None:
    exact, _ = run(tmp_path / "exact")
    model, _ = run(tmp_path / "bf16", replace(SETTINGS, mixed_precision="bf16"))
    assert weights(model).dtype == torch.float32
    assert not torch.equal(weights(model), weights(exact))
    torch.testing.assert_close(weights(model), weights(exact), rtol=0.1, atol=0.1)


def test_a_tracker_gets_what_the_log_gets(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, replace(SETTINGS, tracker="tensorboard"), scores=lambda model: {"score": 0.5})
    events = EventAccumulator(str(tmp_path / TRAINING / "tensorboard"))
    events.Reload()
    logged = [json.loads(line) for line in (tmp_path / TRAINING / LOG).read_text(encoding="utf-8").splitlines()]
    assert [event.step for event in events.Scalars("loss")] == [line["step"] for line in logged]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([line["loss"] for line in logged])
    assert [event.value for event in events.Scalars("score")] == [0.5] * 6


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "emovoca_cli.runtime.processes.find_spec", lambda name: None if name in {"wandb", "tensorboard"} else found(name)
    )
    for name in ("wandb", "tensorboard"):
        with pytest.raises(UsageError, match=rf"tracker {name} is not installed; run pip install 'emovoca\[{name}\]'"):
            run(tmp_path, replace(SETTINGS, tracker=name))  # type: ignore[arg-type]


def test_a_launchers_precision_that_the_settings_do_not_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emovoca_cli.runtime import processes

    class Launched:
        mixed_precision = "bf16"

    monkeypatch.setattr(processes, "Accelerator", lambda **_: Launched())
    with pytest.raises(UsageError, match="asks for mixed precision bf16, the settings for no"):
        processes.join(torch.device("cpu"), SETTINGS)
    assert processes.join(torch.device("cpu"), replace(SETTINGS, mixed_precision="bf16"))


def test_the_run_folder_says_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, plain = tmp_path / "checkout", tmp_path / "plain"
    checkout.mkdir()
    plain.mkdir()
    git = ("git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.chdir(checkout)

    def interrupt(step: int, total: int, metrics: Mapping[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", progress=interrupt)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(plain)
    run(tmp_path / "run", replace(SETTINGS, log_every=3), resume=True)
    record = json.loads((tmp_path / "run" / TRAINING / RUN).read_text(encoding="utf-8"))
    assert record["settings"] == plain_values(replace(SETTINGS, log_every=3))
    first, second = record["starts"]
    assert (first["step"], second["step"]) == (0, 2)
    assert first["git"] == {"commit": commit, "changed": False}
    assert "git" not in second
    environment = first["environment"]
    assert environment["packages"]["torch"] == importlib.metadata.version("torch")
    assert (environment["processes"], environment["device"]) == (1, "cpu")


def test_runs_are_compared_by_what_changes_weights() -> None:
    old = {key: value for key, value in plain_values(DesdConfig()).items() if key not in ("ema", "accumulate", "patience", "clip")}
    now = plain_values(replace(DesdConfig(), tracker="wandb", log_every=7, storage="float16"))
    assert comparable(old) == comparable(now)
    assert comparable({"settings": old}) == comparable({"settings": now})
    assert comparable(plain_values(replace(DesdConfig(), ema=0.9))) != comparable(old)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ema": 1.0}, "ema is 1.0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"patience": -1}, "patience is -1"),
        ({"clip": 0.0}, "clip is 0.0"),
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LoopSettings(**change)  # type: ignore[arg-type]
