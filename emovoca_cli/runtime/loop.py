"""The one training loop. A stage hands it a model and a function from step number to loss; it does the rest.

A run that was stopped and resumed ends with the same weights as an unbroken one, bit for bit on the CPU: batches depend on the step
number alone, and weights, optimiser and random generators are stored together in one file that is replaced whole.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emovoca_cli.errors import CheckpointError, EmovocaError, OutputError, UsageError
from emovoca_cli.files import atomic_write
from emovoca_cli.runtime.seeding import random_state, set_random_state

TRAINING = "training"
STATE, LOG = "state.safetensors", "log.jsonl"
LOOP_SCHEMA = 1

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (steps done, steps in all, means since the last call)."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast: AdamW (Adam while weight_decay is 0), linear warm-up, cosine decay to zero, gradients clipped to norm
    `clip`."""

    steps: int
    lr: float
    warmup: int
    checkpoint_every: int
    log_every: int
    weight_decay: float = 0.0
    clip: float | None = None


@dataclass(frozen=True)
class LoopReport:
    """What a run did: where it began (0 or the resumed step), its last means, and seconds spent in this run."""

    first_step: int
    steps: int
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
    step: Callable[[int], Mapping[str, Tensor]],
    *,
    settings: LoopSettings,
    folder: Path,
    mark: Mapping[str, Any],
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> LoopReport:
    """Train `model` in place; keeps `folder`/training/state.safetensors and log.jsonl.

    step: from a step number to scalar tensors; "loss" is what is minimised, the others are logged. mark: plain values (settings,
    data hashes) that a resumed run has to share. resume: continue from the stored state when there is one. validate: scores to log
    at each checkpoint. An interrupt (Ctrl-C) ends the current step, stores the state and raises KeyboardInterrupt. Raises
    UsageError when the stored run is of other settings, CheckpointError when it is damaged, EmovocaError when the loss is not
    finite.
    """
    place = folder / TRAINING
    begun = time.monotonic()
    # None gradients: the encoder that a step does not use is left alone by Adam, momentum included.
    optimiser = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=settings.lr, weight_decay=settings.weight_decay
    )
    run, first = _Run(model, optimiser, mark, device), 0
    if resume and (place / STATE).is_file():
        first = _restore(place / STATE, run)
    log = _Log(place / LOG, first)
    window = _Window()
    means: Mapping[str, float] = {}
    with _interrupts() as interrupted:
        at_boundary, done = True, first
        try:
            for number in range(first, settings.steps):
                at_boundary = False
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate(number, settings)
                values = step(number)
                optimiser.zero_grad(set_to_none=True)
                values["loss"].backward()  # type: ignore[no-untyped-call]
                if settings.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
                optimiser.step()
                window.add(values)
                done = number + 1
                at_boundary = True
                stored = done % settings.checkpoint_every == 0 or done == settings.steps
                if stored or interrupted.is_set() or done % settings.log_every == 0:
                    means = window.means(done)
                    scores = validate() if validate is not None and stored else {}
                    log.write({"step": done, "lr": learning_rate(number, settings), **means, **scores})
                    if stored:
                        _store(place / STATE, run, done)
                    if progress is not None:
                        progress(done, settings.steps, {**means, **scores})
                if interrupted.is_set():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            if at_boundary and done > first:
                _store(place / STATE, run, done)
            raise
    return LoopReport(first, settings.steps, means, time.monotonic() - begun)


@dataclass(frozen=True, eq=False)
class _Run:
    """All that has to be stored to continue."""

    model: nn.Module
    optimiser: torch.optim.AdamW
    mark: Mapping[str, Any]
    device: torch.device


class _Window:
    """Means of what the steps returned since it was last read; kept as tensors so that a GPU need not be waited for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value.detach()
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self, done: int) -> dict[str, float]:
        means = {name: float(total) / self._counts[name] for name, total in sorted(self._sums.items())}
        for name, value in means.items():
            if not math.isfinite(value):
                raise EmovocaError(
                    f"training went wrong: {name} is {value} at step {done}; try a lower learning rate (lr) or look for bad data"
                )
        self._sums, self._counts = {}, {}
        return means


class _Log:
    """log.jsonl, one line a record; a resumed run forgets what came after the step that it continues from."""

    def __init__(self, path: Path, first: int) -> None:
        self._path = path
        kept = [line for line in _lines(path) if line["step"] <= first] if first else []
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error


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


def _store(path: Path, run: _Run, done: int) -> None:
    tensors = {f"model/{name}": value for name, value in run.model.state_dict().items()}
    tensors |= {f"random/{name}": value for name, value in random_state(run.device).items()}
    for name, weight in run.model.named_parameters():
        tensors |= {f"adam/{key}/{name}": torch.as_tensor(value) for key, value in run.optimiser.state.get(weight, {}).items()}
    # One entry: safetensors writes several in random order, and equal runs should give equal files.
    metadata = {"emovoca": json.dumps({"schema": LOOP_SCHEMA, "step": done, "mark": run.mark}, sort_keys=True)}
    with atomic_write(path) as temporary:
        try:
            # clone: safetensors refuses tensors that share memory
            save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, temporary, metadata)
        except SafetensorError as error:
            raise OutputError(f"cannot write {path}: {error}") from error


def _restore(path: Path, run: _Run) -> int:
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            head = json.loads((stream.metadata() or {})["emovoca"])
            tensors: dict[str, Tensor] = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        schema, done, stored = int(head["schema"]), int(head["step"]), head["mark"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable training state ({error}); delete it to start over") from error
    if schema > LOOP_SCHEMA:
        raise CheckpointError(f"{path} has training schema {schema}, this version reads up to {LOOP_SCHEMA}; update emovoca")
    wanted = json.loads(json.dumps(run.mark))
    if stored != wanted:
        changed = ", ".join(sorted(key for key in {*stored, *wanted} if stored.get(key) != wanted.get(key)))
        raise UsageError(
            f"{path} is of a run with other {changed}; resume with the same settings and data, or train into another --out"
        )
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "random": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = value
    try:
        run.model.load_state_dict(groups["model"])
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the model ({str(error).splitlines()[0]}); delete it to start over") from error
    parameters = dict(run.model.named_parameters())
    for name, value in groups.get("adam", {}).items():
        key, _, weight = name.partition("/")
        # Adam keeps its own step counter on the CPU
        run.optimiser.state[parameters[weight]][key] = value if key == "step" else value.to(run.device)
    set_random_state(groups["random"], run.device)
    return done
