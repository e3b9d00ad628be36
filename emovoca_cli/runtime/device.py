"""Which device computes, said once and never changed behind the user's back."""

from __future__ import annotations

import torch

from emovoca_cli.errors import DeviceError, UsageError


def pick_device(name: str = "auto") -> torch.device:
    """Give the device of a name: "auto" (CUDA where there is one, else CPU), "cpu", "cuda", "cuda:1".

    Raises UsageError for an unknown name, DeviceError for a device that this machine or this build of torch does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
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
    return device
