"""`emovoca render`: a clip to video or pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Backend, Json, Overwrite, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.types import Clip, MeshTemplate


def render(
    clip: Annotated[Path, typer.Argument(help="A clip made by `emovoca animate --out clip.npz`.")],
    out: Annotated[Path, typer.Option("--out", help="out.mp4, out.gif, or a folder for PNG pictures.")] = Path("out.mp4"),
    speech: Annotated[
        Optional[Path],
        typer.Option("--speech", help="Sound to put in (default: what the clip was made from, if it is still there)."),
    ] = None,
    template: Annotated[
        Optional[Path],
        typer.Option("--template", help="Eyes, teeth and colours of your own rig: its template.npz, or its data or model folder."),
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="No sound.")] = False,
    fps: Annotated[Optional[float], typer.Option("--fps", help="Frames a second of the video (default: the clip's).")] = None,
    size: Annotated[int, typer.Option("--size", help="Width and height in pixels.")] = 512,
    yaw: Annotated[float, typer.Option("--yaw", help="Turn of the camera in degrees; 0 is the front.")] = 10.0,
    pitch: Annotated[float, typer.Option("--pitch", help="Height of the camera in degrees.")] = 2.0,
    backend: Backend = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a clip.

    Examples:\n
      emovoca render clip.npz --out out.mp4\n
      emovoca render clip.npz --out frames --size 1024 --yaw 30\n
      emovoca render clip.npz --template my-data
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.cli.faces import drawn_with
    from emovoca_cli.types import Clip

    reporter = Reporter(json_output=json, quiet=quiet)
    loaded = Clip.load(clip)
    sound = None if silent else speech or speech_of(loaded, reporter)
    summary = draw(
        loaded, out, reporter,
        template=None if template is None else drawn_with(template, loaded),
        speech=sound, fps=fps, size=size, backend=backend, overwrite=overwrite, yaw=yaw, pitch=pitch,
    )  # fmt: skip
    reporter.result(summary)


def speech_of(clip: Clip, reporter: Reporter) -> Path | None:
    """The speech a clip was made from, if it is still what it was."""
    from emovoca_cli.files import hash_file

    said = clip.provenance.get("speech")
    if not isinstance(said, dict) or "path" not in said:
        return None
    path = Path(str(said["path"]))
    if path.is_file() and hash_file(path) == said.get("sha256"):
        return path
    reporter.say(f"  the speech {path} is gone or changed: the video has no sound (give it with --speech)")
    return None


def draw(
    clip: Clip,
    out: Path,
    reporter: Reporter,
    *,
    speech: Path | None,
    fps: float | None = None,
    size: int = 512,
    backend: str = "auto",
    overwrite: bool = False,
    yaw: float = 10.0,
    pitch: float = 2.0,
    template: MeshTemplate | None = None,
) -> dict[str, Any]:
    """Draw a clip and report it; template: what the clip was made with, where that is known. Returns a summary for JSON."""
    from emovoca_cli.cli.faces import dressed
    from emovoca_cli.files import check_output
    from emovoca_cli.render.clip import render_clip

    folder = out.suffix.lower() not in {".mp4", ".gif"}
    check_output(out, overwrite=overwrite, directory=folder)
    shown, dress = dressed(clip, template)
    with reporter.progress("drawing") as update:
        report = render_clip(
            shown, dress, out,
            fps=fps, size=size, backend=backend, speech=speech, progress=update, yaw=yaw, pitch=pitch,
        )  # fmt: skip
    sound = "with sound" if speech is not None and not folder else "without sound"
    what = f"{report.frames} frames at {report.fps:g} fps, {report.size[0]}x{report.size[1]}"
    reporter.say(f"wrote {out}: {what}, {sound}, drawn by {report.backend}")
    return {"video": str(out), "frames": report.frames, "fps": report.fps, "size": list(report.size), "backend": report.backend}
