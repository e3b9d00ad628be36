"""The one training loop. A stage hands it a model and a function from a share of a step to its loss; it does the rest.

It runs in one process, or in many that `accelerate launch` started: each takes its share of every step, and the first one alone
writes, validates and reports. A run that was stopped and resumed ends with the same weights as an unbroken one, bit for bit on the
CPU: batches and what is drawn for them depend on the seed, the step and the share alone, and all else is stored in one file that is
replaced whole.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.errors import EmovocaError, UsageError
from emovoca_cli.runtime.processes import Share, average_gradients, average_values, from_main, join, same_start
from emovoca_cli.runtime.record import Log, write_run
from emovoca_cli.runtime.seeding import seed_batch
from emovoca_cli.runtime.state import TrainingState
from emovoca_cli.runtime.weights import Watch, average_weights, borrowed, copy_weights, put_weights

TRAINING = "training"
STATE, LOG, RUN = "state.safetensors", "log.jsonl", "run.json"

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (steps done, steps in all, means since the last call)."""

Step = Callable[[Share], Mapping[str, Tensor]]
"""From a share of a step to scalar tensors; "loss" is what is minimised, the others are logged."""


@dataclass(frozen=True)
class LoopReport:
    """What a run did: where it began (0 or the resumed step), the step it ended with, that of its weights if they are the best of a
    watched score (else None), its last means, and seconds spent in this run."""

    first_step: int
    steps: int
    best_step: int | None
    metrics: Mapping[str, float]
    seconds: float


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Learning rate of a step: linear warm-up, then a cosine from the peak to zero."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * done))


def train_loop(
    model: nn.Module,
    step: Step,
    *,
    settings: LoopSettings,
    folder: Path,
    mark: Mapping[str, Any],
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
    validate: Callable[[], Mapping[str, float]] | None = None,
    watch: str = "",
    count: Callable[[Share], Sequence[float]] | None = None,
) -> LoopReport:
    """Train `model` in place; keeps state.safetensors, log.jsonl and run.json in `folder`/training.

    step: the loss of one share. The gradient of a step is the mean over its shares, which is that of one big batch where all
    shares are equally large; for padded batches `count` tells how much is in a share (frames, say) and the loss divides its sums
    by `share.counts`. mark: plain values (settings, data hashes) that a resumed run has to share. resume: continue from the stored
    state when there is one. validate: scores to log at each checkpoint; watch: the one that `settings.patience` looks at unless
    `settings.watch` names another. The model ends with the weights to save: averaged with `settings.ema`, the best with
    `settings.patience`. An interrupt (Ctrl-C) ends the current step, stores the state and raises KeyboardInterrupt. Raises
    UsageError when the stored run is of other settings, CheckpointError when it is damaged, EmovocaError when the loss is not
    finite.
    """
    place = folder / TRAINING
    begun = time.monotonic()
    accelerator = join(device, settings)
    if settings.patience and validate is None:
        raise UsageError("patience needs scores, and this training has no validation; set patience=0")
    main = accelerator.is_main_process
    if accelerator.num_processes > 1:
        mark = {**mark, "processes": accelerator.num_processes}
    same_start(accelerator, model, json.dumps(mark, sort_keys=True))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # None gradients: the encoder that a step does not use is left alone by Adam, momentum included.
    optimiser = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay)
    average = copy_weights(model) if settings.ema else None
    state = TrainingState(model, optimiser, mark, device, average, Watch(settings.watch or watch, settings.patience))
    first = 0
    if resume and (place / STATE).is_file():
        first = state.restore(place / STATE)
    accelerator.wait_for_everyone()  # before the first process writes over what others still read
    log = Log(place / LOG, first, settings) if main else None
    if main:
        write_run(place / RUN, settings, mark, accelerator, device, first)
    precision = torch.autocast(device.type, torch.bfloat16) if settings.mixed_precision == "bf16" else nullcontext()
    window, stop = _Window(), False
    means: Mapping[str, float] = {}
    with _interrupts() as interrupted, _closing(log):
        at_boundary, done = True, first
        try:
            while done < settings.steps and not state.watch.finished:
                at_boundary = False
                rate = learning_rate(done, settings)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.zero_grad(set_to_none=True)
                for share in _shares(done, accelerator, settings, count, device):
                    seed_batch(settings.seed, share.index(), device)
                    with precision:
                        values = step(share)
                    loss = values["loss"] / settings.accumulate if settings.accumulate > 1 else values["loss"]
                    loss.backward()  # type: ignore[no-untyped-call]
                    window.add(values)
                stop = average_gradients(accelerator, trained, flag=interrupted.is_set())
                if settings.clip is not None:
                    nn.utils.clip_grad_norm_(trained, settings.clip)
                optimiser.step()
                done += 1
                if average is not None:
                    average_weights(average, model, decay=settings.ema, done=done)
                at_boundary = True
                stored = done % settings.checkpoint_every == 0 or done == settings.steps
                if stored or stop or done % settings.log_every == 0:
                    means = window.means(done, accelerator)
                    scores = _scores(validate, state, done, accelerator) if stored and validate is not None else {}
                    if log is not None:
                        log.write({"step": done, "lr": rate, **means, **scores})
                    if stored and main:
                        state.store(place / STATE, done)
                    if progress is not None and main:
                        progress(done, settings.steps, {**means, **scores})
                if stop:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            if at_boundary and done > first and main:
                state.store(place / STATE, done)
            if stop:
                accelerator.wait_for_everyone()  # a launcher stops all processes when the first of them ends
            raise
    best = state.watch.weights
    if (chosen := average if best is None else best) is not None:
        put_weights(model, chosen)
    return LoopReport(first, done, None if best is None else state.watch.step, means, time.monotonic() - begun)


def _shares(
    number: int,
    accelerator: Accelerator,
    settings: LoopSettings,
    count: Callable[[Share], Sequence[float]] | None,
    device: torch.device,
) -> list[Share]:
    """This process's batches of a step."""
    processes, parts = accelerator.num_processes, accelerator.num_processes * settings.accumulate
    shares = [Share(number, accelerator.process_index + processes * turn, parts) for turn in range(settings.accumulate)]
    if count is None:
        return shares
    sums = torch.tensor([count(share) for share in shares], dtype=torch.float32).sum(0)
    means = accelerator.reduce(sums.to(device), "sum") / parts
    return [replace(share, counts=means) for share in shares]


def _scores(
    validate: Callable[[], Mapping[str, float]], state: TrainingState, done: int, accelerator: Accelerator
) -> Mapping[str, float]:
    """Scores of the weights that would be saved now. One process finds them: others might get other last digits, and stop apart."""
    scores: Mapping[str, float] = {}
    with borrowed(state.model, state.average):
        if accelerator.is_main_process:
            scores = validate()
        scores = from_main(accelerator, dict(scores))
        if state.watch.patience:
            state.watch.see(scores, done, state.model)
    return scores


class _Window:
    """Means of what the steps returned since it was last read; kept as tensors so that a GPU need not be waited for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self, done: int, accelerator: Accelerator) -> dict[str, float]:
        own = {name: float(total) / self._counts[name] for name, total in sorted(self._sums.items())}
        means = average_values(accelerator, own)
        for name, value in means.items():
            if not math.isfinite(value):
                raise EmovocaError(
                    f"training went wrong: {name} is {value} at step {done}; try a lower learning rate (lr) or look for bad data"
                )
        self._sums, self._counts = {}, {}
        return means


@contextmanager
def _closing(log: Log | None) -> Iterator[None]:
    try:
        yield
    finally:
        if log is not None:
            log.close()


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn Ctrl-C into a flag that the loop looks at between steps; a second one stops at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
