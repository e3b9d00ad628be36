"""The state of a training in one file, replaced whole: weights, Adam's moments, averages, and the step that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emovoca_cli.config.loop import comparable
from emovoca_cli.errors import CheckpointError, OutputError, UsageError
from emovoca_cli.files import atomic_write
from emovoca_cli.runtime.weights import Watch, Weights

LOOP_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that has to be stored to continue. Random generators are not: every batch seeds them."""

    model: nn.Module
    optimiser: torch.optim.AdamW
    mark: Mapping[str, Any]
    device: torch.device
    average: Weights | None
    watch: Watch

    def store(self, path: Path, done: int) -> None:
        """Write the state after `done` steps. Raises OutputError."""
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        for group, values in (("ema", self.average), ("best", self.watch.weights)):
            tensors |= {f"{group}/{name}": value for name, value in (values or {}).items()}
        for name, weight in self.model.named_parameters():
            tensors |= {f"adam/{key}/{name}": torch.as_tensor(value) for key, value in self.optimiser.state.get(weight, {}).items()}
        head = {"schema": LOOP_SCHEMA, "step": done, "mark": self.mark, "watch": self.watch.facts()}
        # One entry: safetensors writes several in random order, and equal runs should give equal files.
        metadata = {"emovoca": json.dumps(head, sort_keys=True)}
        with atomic_write(path) as temporary:
            try:
                # clone: safetensors refuses tensors that share memory
                save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, temporary, metadata)
            except SafetensorError as error:
                raise OutputError(f"cannot write {path}: {error}") from error

    def restore(self, path: Path) -> int:
        """Put a stored state back; returns its step. Raises UsageError for another run's, CheckpointError for a damaged one."""
        try:
            with safe_open(path, framework="pt", device="cpu") as stream:
                head = json.loads((stream.metadata() or {})["emovoca"])
                tensors: dict[str, Tensor] = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            schema, done, stored = int(head["schema"]), int(head["step"]), comparable(head["mark"])
            watched = head.get("watch", {})
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path} is not a readable training state ({error}); delete it to start over") from error
        if schema > LOOP_SCHEMA:
            raise CheckpointError(f"{path} has training schema {schema}, this version reads up to {LOOP_SCHEMA}; update emovoca")
        wanted = comparable(json.loads(json.dumps(self.mark)))
        if stored != wanted:
            changed = ", ".join(sorted(key for key in {*stored, *wanted} if stored.get(key) != wanted.get(key)))
            raise UsageError(
                f"{path} is of a run with other {changed}; resume with the same settings and data, or train into another --out"
            )
        groups: dict[str, Weights] = {"model": {}, "adam": {}, "ema": {}, "best": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = value
        try:
            self.model.load_state_dict(groups["model"])
            parameters = dict(self.model.named_parameters())
            for name, value in groups["adam"].items():
                key, _, weight = name.partition("/")
                # Adam keeps its own step counter on the CPU
                self.optimiser.state[parameters[weight]][key] = value if key == "step" else value.to(self.device)
            if self.average is not None:
                for name, kept in self.average.items():
                    kept.copy_(groups["ema"][name])
            for key in self.watch.facts():
                setattr(self.watch, key, watched.get(key, getattr(self.watch, key)))
            if groups["best"]:
                self.watch.weights = {name: groups["best"][name].to(self.device) for name in parameters}
        except (RuntimeError, KeyError) as error:
            raise CheckpointError(
                f"{path} does not fit the model ({str(error).splitlines()[0]}); delete it to start over"
            ) from error
        return done
