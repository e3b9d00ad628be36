"""Write the two example meshes: a.ply says "ah", b.ply smiles. Both are the built-in head, posed by its ARKit-named rig.

Run it as `python examples/make_meshes.py [FOLDER]`; it shows how a pose is made from named coefficients.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emovoca_cli.demo.emotions import emotion_coefficients
from emovoca_cli.demo.head import load_head
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.mesh.io import write_mesh


def main(folder: Path) -> None:
    """Write a.ply and b.ply."""
    template, rig = load_head().template, load_rig()
    for name, coefficients in (("a", load_visemes()["AA"]), ("b", emotion_coefficients("happy"))):
        posed = template.vertices + rig.pose(coefficients)
        write_mesh(folder / f"{name}.ply", posed, template.faces, template.colors)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
