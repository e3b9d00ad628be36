"""`emovoca push` and `emovoca pull`: models to and from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from emovoca_cli.cli.options import Json, Quiet

Name = Annotated[str, typer.Argument(help="Repository in the Hub, as user/name.")]


def push(
    folder: Annotated[Path, typer.Argument(help="A model folder, or one with s2l/ and s2d/.")],
    name: Name,
    to: Annotated[Optional[Path], typer.Option("--to", help="Folder that stands in for the Hub.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send a model, with a model card of its licence, origin and scores, to the Hugging Face Hub.

    Examples:\n
      emovoca push emovoca-runs/desd anna/my-desd\n
      emovoca push emovoca-runs/pair anna/speaker --to /mnt/models
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.runtime.hub import push as send

    reporter = Reporter(json_output=json, quiet=quiet)
    place = send(folder, name, to=to, private=private)
    stand_in = f" and EMOVOCA_HUB={to}" if to is not None else ""
    reporter.say(f"sent {name} to {place}; use it with --model {name}{stand_in}")
    reporter.result({"name": name, "to": place})


def pull(
    name: Name,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder to copy the model to (default: only the Hub's cache).")
    ] = None,
    source: Annotated[Optional[Path], typer.Option("--from", help="Folder that stands in for the Hub.")] = None,
    revision: Annotated[Optional[str], typer.Option("--revision", help="Branch, tag or commit (default: the newest).")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model from the Hugging Face Hub: safetensors, JSON and npz files, nothing else.

    `--model user/name` of every command does the same on its own.\n
    Examples:\n
      emovoca pull anna/my-desd\n
      emovoca pull anna/my-desd --out my-desd
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output
    from emovoca_cli.runtime.hub import copy_files, travelling
    from emovoca_cli.runtime.hub import pull as fetch

    reporter = Reporter(json_output=json, quiet=quiet)
    if out is not None:
        check_output(out, directory=True)
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty; choose another --out")
    folder = fetch(name, source=source, revision=revision)
    if out is not None:
        copy_files(folder, travelling(folder), out)
        folder = out
    reporter.say(f"{name} is in {folder}")
    reporter.result({"name": name, "folder": str(folder)})
