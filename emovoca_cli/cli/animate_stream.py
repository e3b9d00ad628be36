"""`emovoca animate --stream`: raw speech on standard input, a line of JSON a frame on standard output."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from emovoca_cli.animation.stream import LiveFrame, SpeechStream
    from emovoca_cli.audio.pcm import PcmReader
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.generators.load import SpeechGenerator
    from emovoca_cli.types import Float, MeshTemplate

EMITTED = ("landmarks", "coefficients")
BLOCK = 4096
"""Bytes asked for at once at most; what is there is taken at once, however little."""

Line = dict[str, Any]


def stream(
    reporter: Reporter,
    *,
    emotion: str,
    intensity: str,
    transition: float,
    template: str | None,
    model: str,
    device: str,
    rate: int,
    emit: str,
    look_ahead: float | None,
) -> None:
    """Follow the speech on standard input until it ends; look_ahead in milliseconds."""
    from emovoca_cli.animation.cues import parse_timeline
    from emovoca_cli.animation.stream import SpeechStream
    from emovoca_cli.audio.pcm import PcmReader
    from emovoca_cli.cli.faces import find_speaker
    from emovoca_cli.errors import UsageError
    from emovoca_cli.generators.live import live_generator
    from emovoca_cli.generators.load import load_generator
    from emovoca_cli.runtime.device import pick_device

    kinds = _kinds(emit)
    reader = PcmReader(rate)
    generator = load_generator(model, device=pick_device(device))
    timeline = parse_timeline(emotion, intensity, names=generator.emotions, transition=transition)
    live = live_generator(generator, look_ahead=None if look_ahead is None else look_ahead / 1000)
    speaker = find_speaker(template, None, generator, reporter)
    if speaker.generator is not generator:
        raise UsageError(
            f"--template {template} is no face of the model's topology, which --stream needs; give one, or leave it out"
        )
    line = _line_maker(kinds, generator, speaker.rest)
    speech = SpeechStream(live, timeline, names=generator.emotions, fps=generator.fps)
    reporter.say(f"  track: {timeline.words}")
    late, waited = 1000 * (speech.latency + reader.delay), 1000 * live.ahead / generator.fps
    reporter.say(
        f"  {generator.fps:g} frames a second of 16-bit mono at {rate} Hz; a frame comes {late:.0f} ms after its sound "
        f"({waited:.0f} ms of look-ahead in it), plus the time to compute it"
    )
    _follow(speech, reader, line, sys.stdin.buffer, reporter)


def _kinds(emit: str) -> tuple[str, ...]:
    from emovoca_cli.errors import UsageError

    kinds = tuple(kind.strip() for kind in emit.split(","))
    if unknown := [kind for kind in kinds if kind not in EMITTED]:
        raise UsageError(f"--emit '{unknown[0]}' is unknown; give {' or '.join(EMITTED)}, or both with a comma")
    return kinds


def _line_maker(kinds: tuple[str, ...], generator: SpeechGenerator, face: Float) -> Callable[[LiveFrame], Line]:
    """What a frame says as plain data."""
    import numpy as np

    from emovoca_cli.animation.live_coefficients import LiveCoefficients
    from emovoca_cli.animation.track import NEUTRAL
    from emovoca_cli.demo.rig import load_rig
    from emovoca_cli.mesh.landmarks import eye_distance, landmark_points

    def points(template: MeshTemplate, vertices: Float) -> Float:
        return landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)

    template, rig = generator.template, load_rig()
    rest = points(template, face)
    # each head is measured by its eyes, so that its motion asks the rig for as much as its own would
    ours, theirs = (eye_distance(points(known, known.vertices)) for known in (rig.template, template))
    solver = LiveCoefficients(rig.landmark_deltas, unit=ours, names=rig.names)

    def line(frame: LiveFrame) -> Line:
        shares = {name: _short(share, 4) for name, share in zip(generator.emotions, frame.emotion, strict=True) if share > 0}
        said: Line = {
            "frame": frame.number,
            "time": _short(frame.time, 6),
            "emotion": shares or {NEUTRAL: 1.0},
            "intensity": _short(frame.intensity, 4),
        }
        if "landmarks" in kinds:
            said["landmarks"] = np.round((rest + frame.motion).astype(np.float64), 6).tolist()
        if "coefficients" in kinds:
            solved = solver.step(frame.motion, unit=theirs)
            said["coefficients"] = {name: _short(value, 4) for name, value in zip(rig.names, solved, strict=True)}
        return said

    return line


def _short(value: Any, digits: int) -> float:
    return round(float(value), digits)


def _follow(
    speech: SpeechStream, reader: PcmReader, line: Callable[[LiveFrame], Line], source: BinaryIO, reporter: Reporter
) -> None:
    """Read until the end or an interrupt, then give what was still waiting. Raises DataError when nothing came."""
    from emovoca_cli.errors import DataError

    spent, count = 0.0, 0

    def give(frames: Iterator[LiveFrame]) -> None:
        nonlocal spent, count
        while True:
            begun = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return
            text = json.dumps(line(frame), separators=(",", ":"))
            spent, count = spent + time.perf_counter() - begun, count + 1
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    with _interrupts() as interrupt:
        while data := interrupt.read(source):
            give(speech.hear(reader.read(data)))
        give(speech.hear(reader.read(b"", last=True)))
        give(speech.end())
    if not count:
        raise DataError(
            "no speech came on standard input; send it 16-bit mono samples, e.g. from arecord -t raw -f S16_LE -r 16000"
        )
    if reader.odd:
        reporter.say("  the stream ended in the middle of a sample: its last byte was left out")
    if not speech.voiced:
        reporter.say("  only silence was heard: the face stayed at rest")
    took, room = 1000 * spent / count, 1000 / speech.fps
    slow = "" if took < room else ": too slow to keep up with speech, the face falls behind"
    reporter.say(f"  {count} frames, {took:.1f} ms of work each where {room:.1f} ms are there{slow}")
    if interrupt.asked:
        raise KeyboardInterrupt


class _Interrupt:
    """Ctrl-C as the end of the speech: it breaks a wait for sound, and nothing else; a second one breaks anything."""

    def __init__(self) -> None:
        self.asked, self._waiting = False, False

    def __call__(self, *_: object) -> None:
        again, self.asked = self.asked, True
        if self._waiting or again:
            raise KeyboardInterrupt

    def read(self, source: BinaryIO) -> bytes:
        """The next bytes; none at the end, and none once interrupted."""
        if self.asked:
            return b""
        try:
            self._waiting = True
            return source.read1(BLOCK) if hasattr(source, "read1") else source.read(BLOCK)
        except KeyboardInterrupt:
            self.asked = True
            return b""
        finally:
            self._waiting = False


@contextlib.contextmanager
def _interrupts() -> Iterator[_Interrupt]:
    handler = _Interrupt()
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGINT, before)
