"""Rebuild the built-in head or its rig: `python -m emovoca_cli.demo.build head|rig` (layout plans a new topology)."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from emovoca_cli.errors import UsageError

ASSETS = Path(__file__).resolve().parents[1] / "assets"


def build(what: str) -> Path:
    """Rebuild the named asset in the package and return its path. Raises UsageError for another name."""
    if what == "head":
        from emovoca_cli.demo.head_build import write_head

        path = ASSETS / "head.npz"
        write_head(path)
    elif what == "layout":
        from emovoca_cli.demo.head_build import write_layout

        path = ASSETS / "head_layout.npz"
        write_layout(path)
    elif what == "rig":
        path = ASSETS / "rig.npz"
        import_module("emovoca_cli.demo.rig_build").write_rig(path)
    else:
        raise UsageError(f"no asset {what!r}; give head, layout or rig")
    return path


if __name__ == "__main__":
    build(*sys.argv[1:2] or ["head"])
