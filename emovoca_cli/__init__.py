"""Speech-driven emotional 3D talking heads: the `emovoca` toolkit."""

__version__ = "0.1.0"
