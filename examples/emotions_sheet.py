"""Draw one moment of one sentence in several emotions: the picture at the top of the README.

Run it as `python examples/emotions_sheet.py OUT.png [SPEECH.wav] [SECONDS]`; it shows the library behind `emovoca animate`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emovoca_cli.animation.animate import animate
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.generators.predict import Generator
from emovoca_cli.render.clip import render_mesh
from emovoca_cli.render.sheet import contact_sheet
from emovoca_cli.render.video import save_picture

EMOTIONS = ("neutral", "happy", "sad", "angry", "afraid", "disgust", "pleased", "suspicious")


def main(out: Path, speech: Path, seconds: float) -> None:
    """Write the sheet."""
    generator, template = Generator.load(), builtin_template()
    pictures = []
    for emotion in EMOTIONS:
        clip = animate(speech, generator, emotion=emotion, intensity=0 if emotion == "neutral" else 3)
        frame = min(round(seconds * clip.fps), clip.frames - 1)
        pictures.append(render_mesh(clip.vertices[frame], template, neutral=clip.template, size=320, supersample=2))
    save_picture(out, contact_sheet(pictures, EMOTIONS, columns=4))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        Path(arguments[0] if arguments else "emotions.png"),
        Path(arguments[1]) if len(arguments) > 1 else Path(__file__).with_name("speech.wav"),
        float(arguments[2]) if len(arguments) > 2 else 1.6,
    )
