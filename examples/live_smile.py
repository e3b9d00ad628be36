"""A recording as if it were spoken live: cut into tenths of a second, one line a frame with what a rig would be told.

python examples/live_smile.py examples/speech.wav
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

import numpy as np

from emovoca_cli.animation.cues import parse_timeline
from emovoca_cli.animation.live_coefficients import LiveCoefficients
from emovoca_cli.animation.stream import SpeechStream
from emovoca_cli.audio.io import load_speech
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.generators.live import live_generator
from emovoca_cli.generators.load import load_generator
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points


def main(path: Path) -> None:
    """Print jaw and smile of every frame."""
    generator, rig = load_generator("s2l"), load_rig()
    timeline = parse_timeline("0:neutral, 1:happy@3", 2.0, names=generator.emotions)
    stream = SpeechStream(live_generator(generator, look_ahead=0.1), timeline, names=generator.emotions, fps=generator.fps)
    head = rig.template
    unit = eye_distance(landmark_points(head.vertices, head.faces, head.landmark_faces, head.landmark_weights))
    solver = LiveCoefficients(rig.landmark_deltas, unit=unit, names=rig.names)
    jaw, smile = rig.names.index("jawOpen"), rig.names.index("mouthSmileLeft")
    speech = load_speech(path)
    pieces = np.split(speech, range(1600, len(speech), 1600))
    for frame in chain(chain.from_iterable(stream.hear(piece) for piece in pieces), stream.end()):
        told = solver.step(frame.motion, unit=unit)
        sys.stdout.write(f"{frame.time:.2f} s  jawOpen {told[jaw]:.2f}  smile {told[smile]:.2f}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
