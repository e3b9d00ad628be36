"""`emovoca import`: published weights of others as checkpoint folders that the other commands take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import RUNS_DIR, Json, Overwrite, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.mesh.hierarchy import Hierarchy
    from emovoca_cli.types import MeshTemplate

HIERARCHY_FILE, STATIC_FILE, DYNAMIC_FILE = "downsampling_matrices.pkl", "flame_static_embedding.pkl", "flame_dynamic_embedding.npy"
MESH_FILE, SPEECH_FILE = "FLAME_sample.ply", "wav2vec2_config.json"
PLACES = ("", "template", "flame_model", "template/template", "template/flame_model")
"""Where the release and people's copies of it keep these files, under a folder."""


@dataclass(frozen=True)
class Request:
    """What the command line asked for: the file, the folder to write, and the files beside it by option."""

    file: Path
    out: Path
    given: Mapping[str, Path | None]
    reporter: Reporter

    def find(self, option: str, name: str) -> Path | None:
        """The file given for an option, or one of its usual name near the others, which is then named. Raises UsageError."""
        from emovoca_cli.errors import UsageError

        given = self.given.get(option)
        if given is not None:
            if not given.is_file():
                raise UsageError(f"{option} {given} does not exist")
            return given
        known = [path.absolute().parent for path in (self.file, *self.given.values()) if path is not None]
        for folder in (above for near in known for above in (near, *list(near.parents)[:2])):
            for place in PLACES:
                if (folder / place / name).is_file():
                    self.reporter.default(option, folder / place / name)
                    return folder / place / name
        return None


def import_release(
    kind: Annotated[str, typer.Argument(help="desd (emovoca_generator.tar), s2d (es2d.tar) or s2l (es2l.tar).", metavar="KIND")],
    file: Annotated[Path, typer.Argument(help="The file of weights, as published.", metavar="FILE")],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Checkpoint folder to write (default: emovoca-runs/release/KIND).")
    ] = None,
    hierarchy: Annotated[
        Optional[Path],
        typer.Option("--hierarchy", help=f"The release's {HIERARCHY_FILE} (default: looked for near FILE). For desd and s2d."),
    ] = None,
    template: Annotated[
        Optional[Path],
        typer.Option("--template", help="The face at rest, a FLAME mesh (default: FLAME_sample.ply, the hierarchy's)."),
    ] = None,
    static_embedding: Annotated[
        Optional[Path],
        typer.Option("--static-embedding", help=f"{STATIC_FILE}: 51 landmarks (default: looked for near the others)."),
    ] = None,
    dynamic_embedding: Annotated[
        Optional[Path], typer.Option("--dynamic-embedding", help=f"{DYNAMIC_FILE}: the jaw line (default: looked for likewise).")
    ] = None,
    wav2vec2_config: Annotated[
        Optional[Path],
        typer.Option("--wav2vec2-config", help="config.json of the speech model in FILE, where it is not wav2vec2-base. For s2l."),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take over published weights: the EmoVOCA authors' DE-SD, E-S2L and E-S2D, for FLAME, non-commercial (CC BY-NC 4.0).

    FILE is read as data: nothing in it is run.

    Examples:\n
      emovoca import desd emovoca_generator.tar --hierarchy downsampling_matrices.pkl\n
      emovoca import s2d es2d.tar --hierarchy downsampling_matrices.pkl --template FLAME_sample.ply --out release/s2d\n
      emovoca import s2l es2l.tar --out release/s2l\n
      emovoca animate speech.wav --model release --emotion happy
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import read_json
    from emovoca_cli.runtime.checkpoint import CONFIG

    reporter = Reporter(json_output=json, quiet=quiet)
    if kind not in KINDS:
        raise UsageError(f"cannot import '{kind}'; there is: {', '.join(KINDS)}")
    if not file.is_file():
        raise UsageError(f"{file} does not exist; give the published file of weights")
    folder = out or RUNS_DIR / "release" / kind
    if out is None:
        reporter.default("--out", folder)
    _make_room(folder, overwrite=overwrite)
    given = {
        "--hierarchy": hierarchy,
        "--template": template,
        "--static-embedding": static_embedding,
        "--dynamic-embedding": dynamic_embedding,
        "--wav2vec2-config": wav2vec2_config,
    }
    KINDS[kind](Request(file, folder, given, reporter))
    licence = read_json(folder / CONFIG)["licence"]
    reporter.say(f"wrote {folder}: {kind} from {file.name}, licence {licence}")
    reporter.result({"out": str(folder), "kind": kind, "file": str(file), "licence": licence})


def _make_room(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds a model already; with `overwrite`, take that model away."""
    import shutil

    from emovoca_cli.errors import OutputError, UsageError
    from emovoca_cli.generators.own_speech import SPEECH_FOLDER
    from emovoca_cli.runtime.checkpoint import CONFIG, HIERARCHY, MODEL, TEMPLATE

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; choose another --out")
    if not (folder / CONFIG).exists():
        return
    if not overwrite:
        raise UsageError(f"{folder} holds a model already; pass --overwrite to replace it")
    try:
        for name in (CONFIG, MODEL, TEMPLATE, HIERARCHY):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / SPEECH_FOLDER, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot replace {folder}: {error.strerror or error}") from error


def _flame(request: Request) -> tuple[Hierarchy, MeshTemplate, dict[str, Path | None]]:
    """The plain released hierarchy, the face at rest with landmarks and regions, and the files they came from."""
    from emovoca_cli.cli.faces import builtin_template
    from emovoca_cli.data.release_mesh import flame_landmarks, flame_vertices, load_release_hierarchy, release_template
    from emovoca_cli.errors import UsageError
    from emovoca_cli.mesh.transfer import transfer_landmarks

    matrices = request.find("--hierarchy", HIERARCHY_FILE)
    if matrices is None:
        raise UsageError(
            f"these weights fit one hierarchy of meshes alone: give the release's {HIERARCHY_FILE} with --hierarchy "
            "(src/template/template/ in github.com/miccunifi/EmoVOCA)"
        )
    hierarchy = load_release_hierarchy(matrices)
    finest = hierarchy.levels[0]
    mesh = request.find("--template", MESH_FILE)
    vertices = finest.vertices if mesh is None else flame_vertices(mesh, finest)
    if mesh is None:
        request.reporter.default("--template", f"the face of {matrices.name}")
    static, dynamic = request.find("--static-embedding", STATIC_FILE), request.find("--dynamic-embedding", DYNAMIC_FILE)
    if static is not None and dynamic is not None:
        landmarks = flame_landmarks(static, dynamic, len(finest.faces))
    else:
        missing = " and ".join(name for name, found in ((STATIC_FILE, static), (DYNAMIC_FILE, dynamic)) if found is None)
        request.reporter.say(f"  {missing} not found: landmarks are estimated from geometry, some millimetres off")
        landmarks = transfer_landmarks(builtin_template(), vertices, finest.faces)
    template = release_template(finest, vertices, landmarks)
    return hierarchy, template, {"hierarchy": matrices, "template": mesh}


def _desd(request: Request) -> None:
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.desd.release import import_desd

    state = open_release(request.file)
    hierarchy, template, sources = _flame(request)
    import_desd(state, request.out, hierarchy=hierarchy, template=template, sources=sources)


def _s2d(request: Request) -> None:
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.generators.release import import_s2d

    state = open_release(request.file)
    hierarchy, template, sources = _flame(request)
    import_s2d(state, request.out, hierarchy=hierarchy, template=template, sources=sources)


def _s2l(request: Request) -> None:
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.generators.release import import_s2l

    state = open_release(request.file)
    import_s2l(state, request.out, wav2vec2_config=request.find("--wav2vec2-config", SPEECH_FILE))


KINDS: dict[str, Callable[[Request], Any]] = {"desd": _desd, "s2d": _s2d, "s2l": _s2l}
"""What can be imported: a function that reads `request.file` and writes the checkpoint folder `request.out`."""
