"""`emovoca animate`: speech and an emotion to a moving face, as a clip and as a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Backend, Device, Json, Overwrite, Quiet, Seed


def animate(
    speech: Annotated[Path, typer.Argument(help="A recording: wav, flac, ogg, mp3; any rate, mono or stereo.")],
    emotion: Annotated[
        str,
        typer.Option(
            "--emotion",
            "-e",
            help="neutral, afraid, disgust, angry, sad, happy, drunk, ill, moody, pleased, suspicious or upset.",
        ),
    ] = "neutral",
    intensity: Annotated[
        float, typer.Option("--intensity", "-i", help="0 (none) to 3 (high); 2 is the emotion's own strength.")
    ] = 2.0,
    render: Annotated[
        Optional[Path], typer.Option("--render", help="Video to write: out.mp4, out.gif, or a folder for PNG pictures.")
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Clip to write: clip.npz (default clip.npz when no --render is given).")
    ] = None,
    template: Annotated[
        Optional[str], typer.Option("--template", help="The face: a built-in identity or a mesh file of the model's topology.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="Generator: the built-in one (s2l), a folder with s2l/ and s2d/, or one of faceformer.")
    ] = "s2l",
    fps: Annotated[Optional[float], typer.Option("--fps", help="Frames a second (default: the model's, 30).")] = None,
    size: Annotated[int, typer.Option("--size", help="Width and height of the video in pixels.")] = 512,
    backend: Backend = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Animate a face from speech.

    Examples:\n
      emovoca animate speech.wav --emotion happy --intensity 3 --render out.mp4\n
      emovoca animate speech.wav --emotion sad --out clip.npz --fps 60
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.files import check_output

    reporter = Reporter(json_output=json, quiet=quiet)
    if out is None and render is None:
        out = Path("clip.npz")
        reporter.default("--out", out)
    # Everything that can be refused is refused before the work begins.
    if out is not None:
        check_output(out, overwrite=overwrite)
    if render is not None:
        check_output(render, overwrite=overwrite, directory=render.suffix.lower() not in {".mp4", ".gif"})

    from emovoca_cli.animation.animate import animate as make_clip
    from emovoca_cli.cli.faces import face_at_rest
    from emovoca_cli.generators.load import load_generator
    from emovoca_cli.runtime.device import pick_device
    from emovoca_cli.runtime.seeding import seed_everything

    seed_everything(seed)
    generator = load_generator(model, device=pick_device(device))
    name, face = face_at_rest(template, generator.template)
    if template is None:
        reporter.default("--template", name)
    arguments = {"template": name, "model": model, "fps": fps, "seed": seed}
    clip = make_clip(
        speech, generator, emotion=emotion, intensity=intensity, face=face, fps=fps, provenance={"arguments": arguments}
    )
    reporter.say(f"{speech.name}: {clip.frames} frames at {clip.fps:g} fps, {emotion} {clip.intensity[0]:g}")
    summary: dict[str, Any] = {
        "speech": str(speech),
        "emotion": emotion,
        "intensity": float(clip.intensity[0]),
        "frames": clip.frames,
        "fps": clip.fps,
    }
    if out is not None:
        clip.save(out)
        reporter.say(f"wrote {out}")
        summary["clip"] = str(out)
    if render is not None:
        from emovoca_cli.cli.render import draw

        summary |= draw(clip, render, reporter, speech=speech, size=size, backend=backend, overwrite=overwrite)
    reporter.result(summary)
