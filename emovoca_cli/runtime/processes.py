"""Many processes that train one model, through Accelerate. In a single process all of this does nothing.

Gradients are averaged here, in one message a step, rather than by DistributedDataParallel: DE-SD uses one of its two encoders a
step, so every step has weights without a gradient, which must stay without one (Adam would move them otherwise); accumulated
batches need one message and not one a batch; and the models are small (1-3 million weights), so there is little to overlap with the
backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast, broadcast_object_list
from torch import Tensor, nn

from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.runtime.device import launched

PATIENCE = timedelta(hours=12)
"""How long processes wait for one another: the first one may be decoding a large dataset."""


@dataclass(frozen=True, eq=False)
class Share:
    """One batch of one optimiser step. A step has `parts` batches: those of all processes, times the accumulated ones.

    counts: what `count` of the training gave, as a mean over the parts of the step; dividing sums by it makes the mean over the
    parts equal the mean over all of their elements.
    """

    step: int
    part: int = 0
    parts: int = 1
    counts: Tensor | None = None

    def index(self, step: int | None = None) -> int:
        """Number of this batch in an endless stream of which each step takes `parts` batches; `step` stands in for its own."""
        return (self.step if step is None else step) * self.parts + self.part

    def rows(self, batch: int) -> slice:
        """Which of the samples of the whole step, `batch` a part, are in this batch."""
        return slice(self.part * batch, (self.part + 1) * batch)

    def samples(self, batch: int) -> range:
        """Numbers of this batch's samples in an endless stream: those of a step are the same however they are shared out."""
        return range(self.index() * batch, (self.index() + 1) * batch)


def join(device: torch.device, settings: LoopSettings | None = None) -> Accelerator:
    """Meet the other processes, if this is one of many; returns Accelerate's handle on them (a new one on the same group).

    settings: checked against what is installed and against the launcher's flags. Raises UsageError.
    """
    accelerator = Accelerator(
        cpu=launched() and device.type == "cpu", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)] if launched() else None
    )
    if settings is not None:
        if settings.tracker != "none" and find_spec(settings.tracker) is None:
            raise UsageError(
                f"tracker {settings.tracker} is not installed; run pip install 'emovoca[{settings.tracker}]' or set tracker=none"
            )
        asked = accelerator.mixed_precision
        if asked not in ("no", settings.mixed_precision):
            raise UsageError(
                f"accelerate launch asks for mixed precision {asked}, the settings for {settings.mixed_precision}; "
                "pass --set mixed_precision=bf16, or --mixed_precision no to accelerate launch"
            )
    return accelerator


def same_start(accelerator: Accelerator, model: nn.Module, mark: str) -> None:
    """Give every process the first one's weights, to the last bit. Raises DataError where another was started on other data."""
    if accelerator.num_processes == 1:
        return
    (first,) = broadcast_object_list([mark])
    differs = accelerator.reduce(torch.tensor(float(first != mark), device=accelerator.device), "sum")
    if float(differs):
        raise DataError(
            f"{int(differs)} of {accelerator.num_processes} processes read other data or settings than the first; "
            "give all of them the same version, --data and settings"
        )
    for value in [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]:
        broadcast(value.detach())


def average_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter], *, flag: bool = False) -> bool:
    """Replace every gradient by its mean over the processes; returns whether any process raised its `flag`.

    A weight that got no gradient in some process counts as zero there; one that got none anywhere keeps none.
    """
    if accelerator.num_processes == 1:
        return flag
    sizes = [parameter.numel() for parameter in parameters]
    gradients = [
        torch.zeros(size, device=parameter.device) if parameter.grad is None else parameter.grad.flatten()
        for parameter, size in zip(parameters, sizes, strict=True)
    ]
    notes = torch.tensor([float(parameter.grad is not None) for parameter in parameters] + [float(flag)])
    message = torch.cat([*gradients, notes.to(gradients[0].device)])
    message = accelerator.reduce(message, "sum")
    notes = message[-len(notes) :].cpu()
    means = message[: -len(notes)] / accelerator.num_processes
    for parameter, mean, count in zip(parameters, means.split(sizes), notes[:-1], strict=True):
        parameter.grad = mean.view_as(parameter) if count else None
    return bool(notes[-1])


def average_values(accelerator: Accelerator, values: Mapping[str, float]) -> dict[str, float]:
    """Mean over the processes of each value; all have to have the same names."""
    if accelerator.num_processes == 1 or not values:
        return dict(values)
    # float32 would round step counts and losses; every backend but MPS takes float64
    means = accelerator.reduce(torch.tensor(list(values.values()), dtype=torch.float64, device=accelerator.device), "mean")
    return dict(zip(values, means.tolist(), strict=True))


def from_main(accelerator: Accelerator, value: Any) -> Any:
    """The first process's value, in every process."""
    if accelerator.num_processes == 1:
        return value
    return broadcast_object_list([value])[0]
