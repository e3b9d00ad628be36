"""Figure 5: what generators make of one sentence, side by side at chosen moments (section 4.4)."""

from __future__ import annotations

from emovoca_cli.errors import DataError
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.strips import Strip, clip_strip, draw_strips, face_template, moments_of
from emovoca_cli.reproduce.tables import Outcome
from emovoca_cli.reproduce.talkers import Talker, Talkers
from emovoca_cli.reproduce.talking import speak
from emovoca_cli.types import Clip

SHOWN = (Talker("s2l", "v1"), Talker("faceformer", "v1"))
PREFERRED = ("happy", "angry", "sad")
LEVEL = 3


def fig5(job: Job) -> Outcome:
    """Draw the truth of a test sentence, both generators of EmoVOCAv1 (first seed), and the clips that the user gives."""
    theirs = [clip_strip(name, Clip.load(path)) for name, path in job.given.clips.items()]  # before hours are spent
    talkers, seed = Talkers(job), job.seeds[0]
    data = talkers.data("v1")
    template = face_template(data.template)
    talk = talkers.tests("neutral")[0].talk
    emotions = [name for name in PREFERRED if name in data.emotions] or list(data.emotions)
    strips: list[Strip] = []
    for emotion in emotions[: talkers.scale.emotions]:
        found = [entry for entry in data.entries if (entry.talk, entry.emotion, entry.intensity) == (talk, emotion, LEVEL)]
        if not found:
            raise DataError(f"{data.root} has no {emotion} of {talk} at intensity {LEVEL}; build it again")
        rest = data.neutral(found[0].subject)
        moved = {"truth": data.displacement(found[0])}
        moved |= {talker.name: speak(talkers.generator(talker, seed), found[0]) for talker in SHOWN}
        strips += [Strip(f"{emotion}, {name}", rest + motion, data.fps, rest, template) for name, motion in moved.items()]
    strips += theirs
    moments = job.given.moments or moments_of(min(strip.seconds for strip in strips), talkers.scale.moments)
    picture = draw_strips(
        strips, moments, size=job.scale.picture, progress=lambda done, total: job.progress("drawing", done, total)
    )
    said = (
        f"the test sentence {talk} at intensity {LEVEL}, seed {seed}, at " + ", ".join(f"{moment:.2f}" for moment in moments) + " s"
    )
    return Outcome(pictures={"": picture}, notes=(said, "truth is the dataset's own sequence, mixed by DE-SD"))
