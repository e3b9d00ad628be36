"""`emovoca face get`: faces that others publish, fetched into the user's cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from emovoca_cli.cli.options import Json, Quiet

app = typer.Typer(no_args_is_help=True, help="Fetch a published face into the cache.")


@app.callback()
def face() -> None:
    """Hold the commands on faces."""


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Which face: ict-facekit (USC ICT's face model, MIT, 405 MB).")],
    archive: Annotated[
        Optional[Path], typer.Option("--archive", help="A .zip or .tar.gz of the kit's repository instead of the network.")
    ] = None,
    out: Annotated[Optional[Path], typer.Option("--out", help="Folder to put it in (default: the user's cache).")] = None,
    base: Annotated[Optional[str], typer.Option("--from", help="Address of a mirror that has the same files.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a face: a pinned version, every file checked by its hash. An interrupted run continues.

    Examples:\n
      emovoca face get ict-facekit\n
      emovoca face get ict-facekit --archive ICT-FaceKit.zip
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.data.arkit import kit
    from emovoca_cli.errors import UsageError

    reporter = Reporter(json_output=json, quiet=quiet)
    if name != kit.NAME:
        raise UsageError(f"there is no face {name!r} to fetch; there is: {kit.NAME}")
    folder = out or kit.kit_folder()
    reporter.say(f"  {kit.NAME}: {kit.PAGE} at {kit.COMMIT[:12]}, licence {kit.LICENCE}")
    if archive is not None:
        with reporter.progress("unpacking") as bar:
            count = kit.unpack_kit(archive, folder, told=bar)
    else:
        with reporter.progress("fetching") as bar:
            count = kit.get_kit(folder, base=(base or kit.BASE).rstrip("/"), told=bar)
    model = folder / "FaceXModel"
    reporter.say(
        f"{'wrote' if count else 'had'} {count or len(kit.published())} files in {folder}; use it: "
        f"emovoca prep arkit --input {model if out else kit.NAME}"
    )
    reporter.result({"face": kit.NAME, "folder": str(model), "fetched": count, "commit": kit.COMMIT, "licence": kit.LICENCE})
