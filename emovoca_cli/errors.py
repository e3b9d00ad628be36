"""Named errors. Each message is one line: what was seen, what was expected, what to do next."""

from __future__ import annotations


class EmovocaError(Exception):
    """Something failed; the command line prints the message and exits with `exit_code`."""

    exit_code = 1


class UsageError(EmovocaError):
    """Wrong use: a missing file, an unknown name, a value out of range."""

    exit_code = 2


class DataError(EmovocaError):
    """A file or folder was read and its content is not what it has to be."""


class TopologyError(DataError):
    """A mesh has other vertices or faces than the ones expected."""


class CheckpointError(DataError):
    """A checkpoint is missing parts, of a newer schema, or of another kind."""


class OutputError(EmovocaError):
    """A result could not be written."""


class DeviceError(EmovocaError):
    """A device or a rendering backend is not usable on this machine."""
