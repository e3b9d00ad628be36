"""`emovoca animate`: speech and an emotion to a moving face, as a clip and as a video; one recording or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Backend, Device, Json, Overwrite, Quiet, Seed

if TYPE_CHECKING:
    from emovoca_cli.animation.lids import Lids
    from emovoca_cli.animation.track import Timeline
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.types import Clip, MeshTemplate

CLIPS = Path("clips")
"""Where the clips of several recordings go when nothing is given."""

VIDEOS = (".mp4", ".gif")


def animate(
    speech: Annotated[
        Optional[list[str]],
        typer.Argument(
            help="Recordings (wav, flac, ogg, mp3; any rate, mono or stereo), folders of them, or patterns like 'a*.wav'. "
            "None with --stream.",
            show_default=False,
        ),
    ] = None,
    emotion: Annotated[
        str,
        typer.Option(
            "--emotion",
            "-e",
            help="neutral, afraid, disgust, angry, sad, happy, drunk, ill, moody, pleased, suspicious or upset; a blend "
            "(happy:0.7,sad:0.3); a timeline in seconds (0:neutral, 1.5:happy@3, 3:sad@2); or a file (YAML, CSV, SubRip).",
        ),
    ] = "neutral",
    intensity: Annotated[
        str,
        typer.Option(
            "--intensity",
            "-i",
            help="0 (none) to 3 (high), for emotions without an @; 2 is an emotion's own strength. Also low, mid, high, "
            "a timeline (0:1, 2:3) or a file.",
        ),
    ] = "2",
    transition: Annotated[
        float, typer.Option("--transition", help="Seconds that one emotion takes to give way to the next.")
    ] = 0.4,
    render: Annotated[
        Optional[Path],
        typer.Option(
            "--render", help="Video to write: out.mp4, out.gif, or a folder for PNG pictures; of several: a folder of mp4."
        ),
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option(
            "--out", help="Clip to write: clip.npz (the default when no --render is given); of several: a folder (clips)."
        ),
    ] = None,
    template: Annotated[
        Optional[str],
        typer.Option(
            "--template",
            help="The face: a built-in identity, any mesh (.ply, .obj, .glb; with --landmarks unless its topology is known), "
            "a FaceXModel folder, or ict-facekit (`emovoca face get ict-facekit`).",
        ),
    ] = None,
    landmarks: Annotated[
        Optional[Path],
        typer.Option(
            "--landmarks",
            help="The mesh's 68 landmarks (.json, .npy, .npz, .txt, .pkl): points, vertex numbers, or faces and weights; for FLAME "
            "the folder of its embeddings.",
        ),
    ] = None,
    life: Annotated[
        Optional[bool],
        typer.Option(
            "--life/--no-life",
            help="Blinks, small shifts of gaze and head motion. Default: in videos, not in clips; --life: both; --no-life: none.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", help="Generator: s2l or faceformer (built in), a folder with s2l/ and s2d/, or one of faceformer."),
    ] = "s2l",
    fps: Annotated[Optional[float], typer.Option("--fps", help="Frames a second (default: the model's, 30).")] = None,
    size: Annotated[int, typer.Option("--size", help="Width and height of the video in pixels.")] = 512,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Recordings that go through the first network together.")] = 8,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Follow live speech: raw 16-bit mono on standard input, a line of JSON a frame on output."),
    ] = False,
    rate: Annotated[Optional[int], typer.Option("--rate", help="With --stream: samples a second (default: 16000).")] = None,
    emit: Annotated[
        Optional[str],
        typer.Option("--emit", help="With --stream: landmarks (default), coefficients (ARKit's names), or both with a comma."),
    ] = None,
    look_ahead: Annotated[
        Optional[float],
        typer.Option("--look-ahead", help="With --stream: milliseconds of speech that a frame waits for (default: 200)."),
    ] = None,
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
      emovoca animate speech.wav --emotion sad --out clip.npz --fps 60\n
      emovoca animate speech.wav --emotion '0:neutral, 1.5:happy@3, 3:sad@2' --render out.mp4\n
      emovoca animate speech.wav --template scan.ply --landmarks scan.json --render out.mp4\n
      emovoca animate a.wav b.wav recordings/ --emotion track.srt --out clips\n
      arecord -t raw -f S16_LE -r 16000 | emovoca animate --stream --emit coefficients --emotion happy
    """
    from emovoca_cli.audio.find import find_recordings
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError

    reporter = Reporter(json_output=json, quiet=quiet)
    for_clips = {
        "a recording": speech, "--out": out, "--render": render, "--landmarks": landmarks, "--life": life, "--fps": fps,
    }  # fmt: skip
    for_streams = {"--rate": rate, "--emit": emit, "--look-ahead": look_ahead}
    if strange := [name for name, given in (for_clips if stream else for_streams).items() if given is not None and given != []]:
        raise UsageError(f"{strange[0]} does not go {'with' if stream else 'without'} --stream; leave it out")
    if stream:
        from emovoca_cli.cli.animate_stream import stream as follow

        follow(
            reporter, emotion=emotion, intensity=intensity, transition=transition, template=template, model=model, device=device,
            rate=16000 if rate is None else rate, emit=emit or "landmarks", look_ahead=look_ahead,
        )  # fmt: skip
        return
    if not speech:
        raise UsageError("there is no recording; give one or more (wav, flac, ogg, mp3), or --stream to follow standard input")
    # Everything that can be refused is refused before the work begins.
    recordings = find_recordings(speech)
    single = recordings == (Path(speech[0]),) and len(speech) == 1
    if out is None and render is None:
        out = Path("clip.npz") if single else CLIPS
        reporter.default("--out", out)
    places = _places(recordings, out, render, single=single, overwrite=overwrite)

    from emovoca_cli.animation.animate import animate_many
    from emovoca_cli.animation.cues import parse_timeline
    from emovoca_cli.cli.faces import find_speaker
    from emovoca_cli.errors import EmovocaError
    from emovoca_cli.generators.load import load_generator
    from emovoca_cli.runtime.device import pick_device
    from emovoca_cli.runtime.seeding import seed_everything

    seed_everything(seed)
    generator = load_generator(model, device=pick_device(device))
    timeline = parse_timeline(emotion, intensity, names=generator.emotions, transition=transition)
    speaker = find_speaker(template, landmarks, generator, reporter)
    if template is None:
        reporter.default("--template", speaker.name)
    reporter.say(f"  track: {timeline.words}")
    arguments = {"template": speaker.name, "model": model, "fps": fps, "seed": seed, "emotion": emotion, "intensity": intensity}
    if landmarks is not None:
        arguments["landmarks"] = str(landmarks)
    clips = animate_many(
        recordings, speaker.generator,
        emotion=timeline, face=speaker.rest, fps=fps, batch_size=batch_size, provenance={"arguments": arguments},
    )  # fmt: skip
    if life is None and render is not None:
        reporter.default("--life", "blinks, gaze and head motion in the video (--no-life leaves them out)")
    alive = None if life is False else _Alive(speaker.generator.template, speaker.lids, seed, in_clip=bool(life))
    rows: list[dict[str, Any]] = []
    for place, (_, clip) in zip(places, clips, strict=True):
        row: dict[str, Any] = {"speech": str(place.speech)}
        try:
            if isinstance(clip, EmovocaError):
                raise clip
            row |= _about(clip, timeline, place.speech, reporter)
            row |= place.write(
                clip, alive, reporter, template=speaker.generator.template, size=size, backend=backend, overwrite=overwrite
            )
        except EmovocaError as error:
            if single:
                raise
            row["error"] = str(error)
            reporter.say(f"{place.speech.name}: {error}")
        rows.append(row)
    if single:
        reporter.result(rows[0])
        return
    _summarise(rows, reporter)


@dataclass(frozen=True)
class _Place:
    """Where what is made of one recording goes."""

    speech: Path
    clip: Path | None
    video: Path | None

    def write(
        self,
        clip: Clip,
        alive: _Alive | None,
        reporter: Reporter,
        *,
        template: MeshTemplate,
        size: int,
        backend: str,
        overwrite: bool,
    ) -> dict[str, Any]:
        """Save a clip and draw it with its model's eyes and teeth; returns what was written."""
        made: dict[str, Any] = {
            "life": {"clip": alive is not None and alive.in_clip, "video": alive is not None and self.video is not None}
        }
        lively = clip if alive is None or (self.video is None and not alive.in_clip) else alive.of(clip, self.speech)
        if self.clip is not None:
            (lively if alive is not None and alive.in_clip else clip).save(self.clip)
            reporter.say(f"wrote {self.clip}")
            made["clip"] = str(self.clip)
        if self.video is not None:
            from emovoca_cli.cli.render import draw

            self.video.parent.mkdir(exist_ok=True)
            made |= draw(
                lively, self.video, reporter,
                speech=self.speech, size=size, backend=backend, overwrite=overwrite, template=template,
            )  # fmt: skip
        return made


@dataclass(frozen=True)
class _Alive:
    """How clips get their life: the topology, the face's own lids (None: made from its landmarks), a seed, and whether it stays."""

    template: MeshTemplate
    lids: Lids | None
    seed: int
    in_clip: bool

    def of(self, clip: Clip, speech: Path) -> Clip:
        """The clip with life in it."""
        from emovoca_cli.animation.life import add_life
        from emovoca_cli.audio.io import load_speech

        return add_life(clip, self.template, load_speech(speech), seed=self.seed, lids=self.lids)


def _places(
    recordings: Sequence[Path], out: Path | None, render: Path | None, *, single: bool, overwrite: bool
) -> tuple[_Place, ...]:
    """The outputs of every recording, checked: none is in the way, none twice."""
    from emovoca_cli.audio.find import short_names
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output

    if single:
        if out is not None:
            check_output(out, overwrite=overwrite)
        if render is not None:
            check_output(render, overwrite=overwrite, directory=render.suffix.lower() not in VIDEOS)
        return (_Place(recordings[0], out, render),)
    for option, folder in (("--out", out), ("--render", render)):
        if folder is None:
            continue
        if folder.suffix.lower() in {*VIDEOS, ".npz"}:
            raise UsageError(f"{option} {folder} is one file for {len(recordings)} recordings; give a folder")
        check_output(folder, overwrite=overwrite, directory=True)
    if out is not None and render is not None and out.resolve() == render.resolve():
        raise UsageError(f"--out and --render are both {out}; give each a folder of its own")
    places = tuple(
        _Place(path, None if out is None else out / f"{name}.npz", None if render is None else render / f"{name}.mp4")
        for path, name in zip(recordings, short_names(recordings), strict=True)
    )
    for place in places:
        for target in (place.clip, place.video):
            if target is not None and target.exists():
                check_output(target, overwrite=overwrite)
    return places


def _about(clip: Clip, timeline: Timeline, speech: Path, reporter: Reporter) -> dict[str, Any]:
    """Say and return what a clip is."""
    seconds = clip.frames / clip.fps
    reporter.say(f"{speech.name}: {clip.frames} frames at {clip.fps:g} fps, {timeline.words}")
    if late := [cue.words for cue in timeline.cues if cue.start >= seconds]:
        reporter.say(f"  not reached, for the speech lasts {seconds:.2f} s: {', '.join(late)}")
    return {
        "emotion": timeline.words,
        "track": timeline.record(),
        "intensity": float(clip.intensity.max()),
        "frames": clip.frames,
        "fps": clip.fps,
    }


def _summarise(rows: Sequence[dict[str, Any]], reporter: Reporter) -> None:
    """Show what became of every recording. Raises EmovocaError when one failed."""
    from emovoca_cli.errors import EmovocaError

    failed = [row for row in rows if "error" in row]
    lines: list[tuple[str, ...]] = [
        (row["speech"], "-", "-", "failed")
        if "error" in row
        else (
            row["speech"], str(row["frames"]), f"{row['frames'] / row['fps']:.2f}", row.get("clip", row.get("video", ""))
        )
        for row in rows
    ]  # fmt: skip
    reporter.table(f"{len(rows) - len(failed)} of {len(rows)} animated", ("recording", "frames", "seconds", "written"), lines)
    reporter.result({"clips": list(rows), "failed": len(failed)})
    if failed:
        first = failed[0]
        raise EmovocaError(f"{len(failed)} of {len(rows)} recordings failed, the rest is done; the first: {first['error']}")
