"""`emovoca mix`: the motion of a talking face and of an expressive face entangled by DE-SD (paper section 3.2.2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Device, Json, Overwrite, Quiet

if TYPE_CHECKING:
    from emovoca_cli.desd.mix import Mixer
    from emovoca_cli.types import Float

MESHES = (".ply", ".obj")


def mix(
    talk: Annotated[Path, typer.Option("--talk", help="Talking face: a mesh, a folder of meshes in order, or a clip.")],
    expr: Annotated[Path, typer.Option("--expr", help="Expressive face: a mesh, or as many frames as --talk has.")],
    talk_neutral: Annotated[
        Optional[Path], typer.Option("--talk-neutral", help="The talking face at rest (default: the model's own head).")
    ] = None,
    expr_neutral: Annotated[
        Optional[Path], typer.Option("--expr-neutral", help="The expressive face at rest (default: the model's own head).")
    ] = None,
    mu_t: Annotated[float, typer.Option("--mu-t", help="Strength of speech; 2 is its own.")] = 2.0,
    mu_e: Annotated[
        str, typer.Option("--mu-e", help="Strength of the expression; 2 is its own. Several with commas between.")
    ] = "2",
    seal: Annotated[bool, typer.Option("--seal", help="Keep lips closed where speech closes them.")] = False,
    model: Annotated[str, typer.Option("--model", help="DE-SD: the built-in one (desd) or a folder.")] = "desd",
    out: Annotated[Optional[Path], typer.Option("--out", help="mix.ply or mix.obj for a mesh, mix.npz for a sequence.")] = None,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second of a sequence given as meshes.")] = 30.0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Entangle speech and expression: D(mu_t f_t + mu_e f_e) on the talking face.

    Examples:\n
      emovoca mix --talk examples/a.ply --expr examples/b.ply --mu-e 0.8\n
      emovoca mix --talk examples/a.ply --expr examples/b.ply --mu-e 1,2,3 --seal
    """
    from emovoca_cli.cli.build_dataset import numbers
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.desd.mix import Mixer
    from emovoca_cli.desd.seal import closedness, face_scale
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output
    from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
    from emovoca_cli.runtime.device import pick_device

    reporter = Reporter(json_output=json, quiet=quiet)
    strengths = numbers(mu_e, "--mu-e")
    mixer = Mixer.load(model, device=pick_device(device))
    template = mixer.template
    talking, rate = read_motion(talk, mixer, fps)
    acting, _ = read_motion(expr, mixer, fps)
    if len(acting) not in (1, len(talking)):
        raise UsageError(f"--expr has {len(acting)} frames and --talk {len(talking)}; give one expression, or as many frames")
    rest_talk, rest_expr = (
        _rest(given, option, mixer, reporter)
        for given, option in ((talk_neutral, "--talk-neutral"), (expr_neutral, "--expr-neutral"))
    )
    reporter.default("--mu-t", f"{mu_t:g} (2 leaves a motion at its own strength)")
    sequence = len(talking) > 1
    places = _places(out, strengths, sequence=sequence)
    if out is None:
        reporter.default("--out", ", ".join(map(str, places)))
    for place in places:
        check_output(place, overwrite=overwrite)

    z_talk, z_expr = mixer.encode_talk(talking - rest_talk), mixer.encode_expression(acting - rest_expr)
    closed = None
    if seal:
        points = [
            landmark_points(faces, template.faces, template.landmark_faces, template.landmark_weights)
            for faces in (talking, rest_talk)
        ]
        closed = closedness(lip_opening(points[0]), float(lip_opening(points[1])), scale=face_scale(template), fps=rate)
    for strength, place in zip(strengths, places, strict=True):
        mixed = rest_talk + mixer.mix(z_talk, z_expr, mu_t, strength, closedness=closed)
        _write(
            mixed,
            rest_talk,
            place,
            mixer,
            rate,
            {"talk": str(talk), "expr": str(expr), "mu_t": mu_t, "mu_e": strength, "seal": seal},
        )
        how = f"mu_t {mu_t:g}, mu_e {strength:g}{', sealed' if seal else ''}"
        reporter.say(f"wrote {place}: {len(mixed)} frame{'s' if sequence else ''}, {how}")
    reporter.result(
        {"out": [str(place) for place in places], "frames": len(talking), "mu_t": mu_t, "mu_e": strengths, "seal": seal}
    )


def read_motion(path: Path, mixer: Mixer, fps: float) -> tuple[Float, float]:
    """Vertices (T,V,3) of a mesh, a folder of meshes (in the order of their names) or a clip, and frames a second."""
    import numpy as np

    from emovoca_cli.cli.faces import read_face
    from emovoca_cli.errors import TopologyError, UsageError
    from emovoca_cli.types import Clip, topology_hash

    template = mixer.template
    if path.suffix.lower() == ".npz":
        clip = Clip.load(path)
        if topology_hash(clip.vertices.shape[1], clip.faces) != template.topology_hash:
            raise TopologyError(f"{path} has another topology than {template.name}, which the model was trained on")
        return clip.vertices, clip.fps
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in MESHES)
        if not files:
            raise UsageError(f"{path} holds no {' or '.join(MESHES)} meshes")
        return np.stack([read_face(file, template) for file in files]), fps
    return read_face(path, template)[None], fps


def _rest(given: Path | None, option: str, mixer: Mixer, reporter: Any) -> Float:
    from emovoca_cli.cli.faces import read_face

    if given is not None:
        return read_face(given, mixer.template)
    reporter.default(option, f"the neutral {mixer.template.name}")
    return mixer.template.vertices


def _places(out: Path | None, strengths: list[float], *, sequence: bool) -> list[Path]:
    """One output a mu_e; with several, the value goes into the name."""
    from emovoca_cli.errors import UsageError

    out = out or Path("mix.npz" if sequence else "mix.ply")
    wanted = (".npz",) if sequence else MESHES
    if out.suffix.lower() not in wanted:
        raise UsageError(
            f"--out is {out}, expected a name ending in {' or '.join(wanted)} for {'a sequence' if sequence else 'a mesh'}"
        )
    if len(strengths) == 1:
        return [out]
    return [out.with_name(f"{out.stem}-mu-e-{strength:g}{out.suffix}") for strength in strengths]


def _write(mixed: Float, rest: Float, place: Path, mixer: Mixer, fps: float, arguments: dict[str, Any]) -> None:
    import numpy as np

    from emovoca_cli import __version__
    from emovoca_cli.mesh.io import write_mesh
    from emovoca_cli.mesh.landmarks import landmark_points
    from emovoca_cli.types import Clip

    template = mixer.template
    if place.suffix.lower() != ".npz":
        write_mesh(place, mixed[0], template.faces, template.colors)
        return
    frames = len(mixed)
    provenance = {"emovoca": __version__, "arguments": arguments, "licence": mixer.licence}
    landmarks = landmark_points(mixed, template.faces, template.landmark_faces, template.landmark_weights)
    Clip(
        mixed, template.faces, rest, landmarks, fps, (), np.zeros((frames, 0), np.float32), np.zeros(frames, np.float32), provenance
    ).save(place)
