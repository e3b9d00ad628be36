"""Which device computes, said once and never changed behind the user's back."""

from __future__ import annotations

import os

import torch

from emovoca_cli.errors import DeviceError, UsageError


def pick_device(name: str = "auto") -> torch.device:
    """Give the device of a name: "auto" (CUDA where there is one, else CPU), "cpu", "cuda", "cuda:1".

    Where many processes were launched, "auto" and "cuda" are the GPU of this process.
    Raises UsageError for an unknown name, DeviceError for a device that this machine or this build of torch does not have.
    """
    if name == "auto":
        return _cuda() if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is usable here (see `emovoca doctor`); pass --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{name} does not exist, this machine has {torch.cuda.device_count()} CUDA devices; pass --device cuda:0")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported; choose auto, cpu, cuda or cuda:N")
    return _cuda() if name == "cuda" else device


def launched() -> bool:
    """Whether this is one of many processes that `accelerate launch` or `torchrun` started."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


def is_first() -> bool:
    """Whether this process speaks for all: the only one, or the first of those launched."""
    return not launched() or int(os.environ.get("RANK") or 0) == 0


def _cuda() -> torch.device:
    if not launched():
        return torch.device("cuda")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count())
