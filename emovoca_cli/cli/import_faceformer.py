"""`emovoca import faceformer`: FaceFormer's published weights as a model folder that the other commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from emovoca_cli.cli.options import RUNS_DIR, Json, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.types import MeshTemplate


def faceformer(
    file: Annotated[Path, typer.Argument(help="FaceFormer's vocaset.pth, as published.")],
    template: Annotated[
        Path, typer.Option("--template", help="A face of its topology at rest: FLAME_sample.ply, or a model's template.npz.")
    ],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Model folder to write (default: emovoca-runs/faceformer-vocaset).")
    ] = None,
    style: Annotated[
        Optional[str], typer.Option("--style", help="Training subject to speak like (default: that of FaceFormer's demo).")
    ] = None,
    wav2vec2_config: Annotated[
        Optional[Path], typer.Option("--wav2vec2-config", help="JSON of the speech model inside (default: wav2vec2-base).")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import FaceFormer as trained on VOCASET, with the wav2vec 2.0 that was trained along; nothing in the file is run.

    Examples:\n
      emovoca import faceformer vocaset.pth --template FLAME_sample.ply --out my-faceformer\n
      emovoca animate speech.wav --model my-faceformer --render out.mp4
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output
    from emovoca_cli.generators.import_faceformer import import_faceformer

    reporter = Reporter(json_output=json, quiet=quiet)
    if out is None:
        out = RUNS_DIR / "faceformer-vocaset"
        reporter.default("--out", out)
        RUNS_DIR.mkdir(exist_ok=True)
    check_output(out, directory=True)
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; choose another --out")
    face = read_template(template, reporter)
    model = import_faceformer(file, face, out, wav2vec2_config=wav2vec2_config, style=style)
    reporter.say(f"wrote {out}: {len(face.vertices)} vertices at {model.fps:g} fps, speaks like {model.style or 'the mean style'}")
    reporter.say(f"  licence: {model.licence}")
    reporter.result({"out": str(out), "style": model.style, "styles": list(model.styles), "licence": model.licence})


def read_template(path: Path, reporter: Reporter) -> MeshTemplate:
    """A template.npz as it is; a mesh with landmarks and regions carried over from the built-in head, which is said."""
    from emovoca_cli.cli.faces import builtin_template
    from emovoca_cli.data.template import load_template
    from emovoca_cli.mesh.io import read_mesh
    from emovoca_cli.mesh.landmarks import landmark_points
    from emovoca_cli.mesh.regions import regions
    from emovoca_cli.mesh.transfer import transfer_landmarks
    from emovoca_cli.types import MeshTemplate

    if path.suffix == ".npz":
        return load_template(path)
    vertices, faces = read_mesh(path)
    reporter.say(f"  landmarks of {path.name}: carried over from the built-in head (they guide camera and reports, not the motion)")
    corners, weights = transfer_landmarks(builtin_template(), vertices, faces)
    named = regions(vertices, faces, landmark_points(vertices, faces, corners, weights))
    return MeshTemplate(path.stem, vertices, faces, corners, weights, regions=named)
