"""`emovoca import`: published weights of others as checkpoint folders that the other commands take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

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
    given: dict[str, Path | None]
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


app = typer.Typer(no_args_is_help=True, help="Take over published weights: the EmoVOCA authors' desd, s2d and s2l; FaceFormer.")

File = Annotated[Path, typer.Argument(help="The file of weights, as published. Nothing in it is run.", metavar="FILE")]
Out = Annotated[Optional[Path], typer.Option("--out", help="Checkpoint folder to write (default: emovoca-runs/release/KIND).")]
Matrices = Annotated[
    Optional[Path],
    typer.Option(
        "--hierarchy", help=f"The release's {HIERARCHY_FILE}, which these weights fit alone (default: looked for near FILE)."
    ),
]
Template = Annotated[
    Optional[Path],
    typer.Option("--template", help=f"The face at rest, a FLAME mesh (default: {MESH_FILE} if near, else the hierarchy's own)."),
]
Static = Annotated[
    Optional[Path], typer.Option("--static-embedding", help=f"{STATIC_FILE}: 51 landmarks (default: looked for near the others).")
]
Dynamic = Annotated[
    Optional[Path], typer.Option("--dynamic-embedding", help=f"{DYNAMIC_FILE}: the jaw line (default: looked for likewise).")
]
SpeechConfig = Annotated[
    Optional[Path],
    typer.Option("--wav2vec2-config", help=f"JSON of the speech model in FILE (default: {SPEECH_FILE} near FILE, wav2vec2-base)."),
]


@app.command("desd")
def desd(
    file: File,
    hierarchy: Matrices = None,
    template: Template = None,
    static_embedding: Static = None,
    dynamic_embedding: Dynamic = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import the authors' DE-SD, emovoca_generator.tar, for `mix` and `build-dataset`; FLAME, non-commercial (CC BY-NC 4.0).

    Example: emovoca import desd emovoca_generator.tar --hierarchy downsampling_matrices.pkl --out release/desd
    """
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.desd.release import import_desd

    request = _request("desd", file, out, overwrite=overwrite, json=json, quiet=quiet)
    request.given.update(_flame_files(hierarchy, template, static_embedding, dynamic_embedding))
    state = open_release(file)
    levels, face, sources = _flame(request)
    _clear(request.out)
    import_desd(state, request.out, hierarchy=levels, template=face, sources=sources)
    _done("desd", request)


@app.command("s2d")
def s2d(
    file: File,
    hierarchy: Matrices = None,
    template: Template = None,
    static_embedding: Static = None,
    dynamic_embedding: Dynamic = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import the authors' E-S2D, es2d.tar: landmarks to mesh, for `animate`; FLAME, non-commercial (CC BY-NC 4.0).

    Example: emovoca import s2d es2d.tar --hierarchy downsampling_matrices.pkl --out release/s2d
    """
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.generators.release import import_s2d

    request = _request("s2d", file, out, overwrite=overwrite, json=json, quiet=quiet)
    request.given.update(_flame_files(hierarchy, template, static_embedding, dynamic_embedding))
    state = open_release(file)
    levels, face, sources = _flame(request)
    _clear(request.out)
    import_s2d(state, request.out, hierarchy=levels, template=face, sources=sources)
    _done("s2d", request)


@app.command("s2l")
def s2l(
    file: File,
    wav2vec2_config: SpeechConfig = None,
    hierarchy: Annotated[
        Optional[Path], typer.Option("--hierarchy", help="Not needed: landmarks have no mesh.", hidden=True)
    ] = None,
    template: Annotated[Optional[Path], typer.Option("--template", help="Not needed.", hidden=True)] = None,
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import the authors' E-S2L, es2l.tar, with its own wav2vec 2.0: speech to landmarks; non-commercial (CC BY-NC 4.0).

    Examples:\n
      emovoca import s2l es2l.tar --out release/s2l\n
      emovoca animate speech.wav --model release --emotion happy
    """
    from emovoca_cli.data.release_weights import open_release
    from emovoca_cli.generators.release import import_s2l

    request = _request("s2l", file, out, overwrite=overwrite, json=json, quiet=quiet)
    if hierarchy is not None or template is not None:
        request.reporter.say("  --hierarchy and --template are not used: this network moves landmarks, which have no mesh")
    request.given["--wav2vec2-config"] = wav2vec2_config
    state, config = open_release(file), request.find("--wav2vec2-config", SPEECH_FILE)
    _clear(request.out)
    import_s2l(state, request.out, wav2vec2_config=config)
    _done("s2l", request)


def _request(kind: str, file: Path, out: Path | None, *, overwrite: bool, json: bool, quiet: bool) -> Request:
    """Refuse what can be refused before work begins."""
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError

    reporter = Reporter(json_output=json, quiet=quiet)
    if not file.is_file():
        raise UsageError(f"{file} does not exist; give the published file of weights")
    folder = out or RUNS_DIR / "release" / kind
    if out is None:
        reporter.default("--out", folder)
    _check_room(folder, overwrite=overwrite)
    return Request(file, folder, {}, reporter)


def _done(kind: str, request: Request) -> None:
    from emovoca_cli.data.release_weights import LICENCE

    request.reporter.say(f"wrote {request.out}: {kind} from {request.file.name}, licence {LICENCE}")
    request.reporter.result({"out": str(request.out), "kind": kind, "file": str(request.file), "licence": LICENCE})


def _flame_files(matrices: Path | None, mesh: Path | None, static: Path | None, dynamic: Path | None) -> dict[str, Path | None]:
    return {"--hierarchy": matrices, "--template": mesh, "--static-embedding": static, "--dynamic-embedding": dynamic}


def _check_room(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds a model already, unless it may be replaced."""
    from emovoca_cli.errors import UsageError
    from emovoca_cli.runtime.checkpoint import CONFIG

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; choose another --out")
    if (folder / CONFIG).exists() and not overwrite:
        raise UsageError(f"{folder} holds a model already; pass --overwrite to replace it")


def _clear(folder: Path) -> None:
    """Take away the files of a model that is about to be replaced: another kind has other files."""
    import shutil

    from emovoca_cli.errors import OutputError
    from emovoca_cli.generators.own_speech import SPEECH_FOLDER
    from emovoca_cli.runtime.checkpoint import CONFIG, HIERARCHY, MODEL, TEMPLATE

    try:
        for name in (CONFIG, MODEL, TEMPLATE, HIERARCHY):
            (folder / name).unlink(missing_ok=True)
        if (folder / SPEECH_FOLDER).is_dir():
            shutil.rmtree(folder / SPEECH_FOLDER)
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
