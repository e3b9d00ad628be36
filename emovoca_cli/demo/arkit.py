"""Apple's 52 face shapes, by name and by place; see `constants.py`."""

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES

__all__ = ["ARKIT_INDEX", "ARKIT_NAMES"]
