"""Let a model speak the test sentences of a dataset, and write the truth beside it, for `emovoca evaluate score`.

Run it as `python examples/test_set_clips.py DATASET OUT MODEL... [--talks N]`. OUT/truth gets the mixtures of N talking clips,
spread over the test identities, in every emotion and intensity; OUT/MODEL what the model says to the same speech on the same face.
A model that lacks an emotion skips it. Clips that are there are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from emovoca_cli.animation.animate import animate
from emovoca_cli.data.sequences import SequenceEntry
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.generators.load import SpeechGenerator, load_generator
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip


def chosen(data: EmoDataset, talks: int) -> list[SequenceEntry]:
    """All versions of some talking clips of the test identities, evenly spread."""
    tested = [entry for entry in data.entries if entry.split == "test"]
    names = list(dict.fromkeys(entry.talk for entry in tested))
    kept = {names[index] for index in np.linspace(0, len(names) - 1, talks).round().astype(int)}
    return [entry for entry in tested if entry.talk in kept]


def spoken(data: EmoDataset, entry: SequenceEntry, model: SpeechGenerator) -> Clip:
    """What the model makes of an entry's speech and label, on its subject's face."""
    return animate(
        entry.audio, model, emotion=entry.emotion or "neutral", intensity=entry.intensity, face=data.neutral(entry.subject)
    )


def true(data: EmoDataset, entry: SequenceEntry, clip: Clip) -> Clip:
    """The dataset's own motion, told like the clip of a model. A dataset's last frame may be cut where the recording's is not."""
    template, vertices = data.template, data.displacement(entry) + clip.template
    frames = min(len(vertices), clip.frames)
    points = landmark_points(vertices[:frames], template.faces, template.landmark_faces, template.landmark_weights)
    return replace(
        clip, vertices=vertices[:frames], landmarks=points, emotion=clip.emotion[:frames], intensity=clip.intensity[:frames]
    )


def main(dataset: Path, out: Path, models: Sequence[str], talks: int) -> None:
    """Write the folders."""
    data = EmoDataset(dataset)
    entries = chosen(data, talks)
    for name in models:
        model = load_generator(name)
        folder = out / Path(name).name
        for place in (out, folder, out / "truth"):
            place.mkdir(exist_ok=True)
        for entry in entries:
            if entry.emotion is not None and entry.emotion not in model.emotions:
                continue
            path, truth = folder / f"{entry.id}.npz", out / "truth" / f"{entry.id}.npz"
            if path.is_file() and truth.is_file():
                continue
            clip = spoken(data, entry, model)
            clip.save(path)
            if not truth.is_file():
                true(data, entry, clip).save(truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--talks", type=int, default=4)
    given = parser.parse_args()
    main(given.dataset, given.out, given.models, given.talks)
