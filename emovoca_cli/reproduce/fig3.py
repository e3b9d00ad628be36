"""Figure 3: mixtures as a grid, DE-SD beside interpolation, and what the decoder's layers do (paper section 4.3)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.render.clip import render_mesh
from emovoca_cli.render.sheet import contact_sheet
from emovoca_cli.render.video import Picture
from emovoca_cli.reproduce.activations import Codes, overlap, remainder, responses, vertex_maps
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.scenes import Scene, Scenes
from emovoca_cli.reproduce.tables import Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.variants import DESD, mixer_of, trained
from emovoca_cli.reproduce.ways import MixerWay, Way, addition, interpolation, reversed_mixer, truth_way
from emovoca_cli.runtime.checkpoint import HIERARCHY
from emovoca_cli.types import Float, MeshTemplate

FAVOURITES = ("happy", "angry", "sad", "afraid")
"""Expressions of the grid where the data has them: brows and mouths that differ plainly."""

SMILE = "happy"
"""The expression of (b): a smile parts the lips, so what mixing does to p, b and m is seen at once."""

SPEECH, ZOOM = "speech", 1.3

COLD, WARM, HOT = (0.16, 0.18, 0.23), (0.86, 0.42, 0.18), (1.0, 0.95, 0.80)
"""Colours of no, half and full response."""

COLUMNS = (
    Column("overlap", "overlap of talking and expression", 2, "neither"),
    Column("additive", "mixed beyond talking + expression", 2, "neither"),
    Column("reversed", "reversed beyond mixed", 2, "neither"),
    Column("own_additive", "DE-SD, equal start: mixed beyond both", 2, "neither"),
    Column("zero_overlap", "zero-cat: overlap", 2, "neither"),
    Column("zero_additive", "zero-cat: mixed beyond both", 2, "neither"),
)
NOTES = (
    "Responses: features of a layer less those of a face at rest, on talking frames and expressions of the test identities.",
    "The first three columns are of the paper's DE-SD, whose two halves of the decoder's entry start at random.",
    "Overlap: cosine of the mean sizes over all units (vertex, channel): 1 when the same units answer alike, 0 when none does.",
    "Beyond: size of the difference over the size of the mixed response: 0 when mixing only adds, or the order does not matter.",
)


def fig3(job: Job) -> Outcome:
    """Draw (a), (b), (c), and measure what (c) shows. Pictures are of the first seed, numbers of all."""
    scenes = Scenes(job.talk, job.expression, clips=min(2, job.scale.talk_clips), stride=1)
    first = mixer_of(job, trained(job, DESD, job.seeds[0]))
    pictures = {"a": grid_picture(job, scenes, MixerWay(first)), "b": strip_picture(job, scenes, first)}
    values: list[list[dict[str, float]]] = []
    for seed in job.seeds:
        measured_layers, picture = _layers(job, scenes, seed, draw=seed == job.seeds[0])
        values.append(measured_layers)
        if picture is not None:
            pictures["c"] = picture
    rows = tuple(
        Row(f"L{layer + 1}", {column.key: measured(seed[layer][column.key] for seed in values) for column in COLUMNS})
        for layer in range(len(values[0]))
    )
    table = ResultTable("fig3c", "Figure 3c: what the decoder's layers do", COLUMNS, rows, NOTES, job.describe())
    return Outcome((table,), pictures)


def grid_picture(job: Job, scenes: Scenes, way: Way) -> Picture:
    """(a): talking heads across the top, expressive heads down the left, their mixtures at mu 2, 2 between."""
    count = job.scale.grid
    scene = scenes.all[0]
    frames = _moments(scene, count)
    emotions = [one for one in FAVOURITES if one in scenes.emotions][:count] or list(scenes.emotions[:count])
    draw = _Painter(job, scene)
    still = np.zeros_like(scene.speech[0])
    pictures, labels = [draw(still)], ["at rest"]
    for frame in frames:
        pictures.append(draw(scene.speech[frame]))
        labels.append(f"{scene.numbers[frame] / job.talk.fps:.2f} s")
    for emotion in emotions:
        pictures.append(draw(scene.peaks[emotion]))
        labels.append(emotion)
        mixed = way(scene, emotion, NEUTRAL_MU)
        pictures += [draw(mixed[frame]) for frame in frames]
        labels += [""] * len(frames)
    return contact_sheet(pictures, labels, columns=1 + len(frames))


def strip_picture(job: Job, scenes: Scenes, mixer: Mixer) -> Picture:
    """(b): moments of one sentence under one emotion, a row for each way of mixing; sounds that seal the lips are marked."""
    scene = scenes.all[0]
    emotion = SMILE if SMILE in scenes.emotions else scenes.emotions[0]
    ways: dict[str, Way] = {
        SPEECH: lambda scene, emotion, mu_e: scene.speech,
        "DE-SD": MixerWay(mixer),
        "interpolation": interpolation,
        "addition": addition,
        "DE-SD --seal": MixerWay(mixer, seal=True),
    }
    if scenes.truth is not None:
        ways["truth"] = truth_way(scenes)
    frames = _moments(scene, job.scale.grid + 1)
    draw = _Painter(job, scene)
    pictures, labels = [], []
    for name, way in ways.items():
        mixed = way(scene, emotion, NEUTRAL_MU)
        for place, frame in enumerate(frames):
            pictures.append(draw(mixed[frame]))
            if name == SPEECH:
                said = " (p b m)" if scene.closing[frame] else ""
                labels.append(f"{scene.numbers[frame] / job.talk.fps:.2f} s{said}")
            else:
                labels.append(f"{name}, {emotion}" if place == 0 else name)
    return contact_sheet(pictures, labels, columns=len(frames))


def activation_picture(job: Job, maps: dict[str, list[Float]]) -> Picture:
    """(c): a row a layer, a column an input; each layer's maps (V,) share one scale."""
    template = job.talk.template
    pictures, labels = [], []
    for layer in range(len(next(iter(maps.values())))):
        strongest = max(float(np.quantile(column[layer], 0.995)) for column in maps.values())
        for name, column in maps.items():
            painted = replace(template, colors=heat(column[layer] / max(strongest, 1e-30)), parts=())
            pictures.append(_render(job, template.vertices, painted, template.vertices))
            labels.append(f"L{layer + 1} {name}")
    return contact_sheet(pictures, labels, columns=len(maps))


def heat(values: Float) -> Float:
    """Colours (V,3) of values (V,) in 0-1, from `COLD` through `WARM` to `HOT`."""
    share = np.clip(values, 0, 1)
    colours = [np.interp(share, (0, 0.5, 1), stops) for stops in zip(COLD, WARM, HOT, strict=True)]
    return np.stack(colours, axis=1).astype(np.float32)


class _Painter:
    """Draws displacements (V,3), metres, on the talking subject of a scene."""

    def __init__(self, job: Job, scene: Scene) -> None:
        self._job = job
        self._neutral = job.talk.neutral(scene.subject)

    def __call__(self, displacement: Float) -> Picture:
        return _render(self._job, self._neutral + displacement, self._job.talk.template, self._neutral)


def _render(job: Job, vertices: Float, template: MeshTemplate, neutral: Float) -> Picture:
    job.progress("drawing", 0, 1)
    return render_mesh(vertices, template, neutral=neutral, size=job.scale.picture, zoom=ZOOM, supersample=job.scale.supersample)


def _moments(scene: Scene, count: int) -> list[int]:
    """Places of `count` telling frames in order of time: wide open and closed lips by turns, apart from one another."""
    closed = np.where(scene.closing, scene.opening - 1, scene.opening)
    apart = max(1, len(scene.opening) // (3 * count))
    chosen: list[int] = []
    for number in range(count):
        ranked = np.argsort(closed if number % 2 else -scene.opening, kind="stable")
        free = [int(place) for place in ranked if all(abs(int(place) - other) >= apart for other in chosen)]
        chosen.append(free[0])
    return sorted(chosen)


def _layers(job: Job, scenes: Scenes, seed: int, *, draw: bool) -> tuple[list[dict[str, float]], Picture | None]:
    """Measures of each layer on one seed, and the picture when it is asked for."""
    speech, peaks = _pairs(scenes)
    models = {name: mixer_of(job, trained(job, name, seed)) for name in ("random start", DESD, "zero-cat")}
    moved = {name: responses(mixer, _inputs(mixer, speech, peaks)) for name, mixer in models.items()}
    paper = moved["random start"]
    # The other order of codes is the other order of weights, so that its rest is that of the same network.
    swapped = reversed_mixer(models["random start"])
    paper["reversed"] = responses(swapped, {"reversed": _inputs(swapped, speech, peaks)["mixed"]})["reversed"]
    found = [
        {
            "overlap": overlap(paper["talking"][layer], paper["expression"][layer]),
            "additive": _beyond(paper, layer),
            "reversed": remainder(paper["mixed"][layer], paper["reversed"][layer]),
            "own_additive": _beyond(moved[DESD], layer),
            "zero_overlap": overlap(moved["zero-cat"]["talking"][layer], moved["zero-cat"]["expression"][layer]),
            "zero_additive": _beyond(moved["zero-cat"], layer),
        }
        for layer in range(len(paper["mixed"]))
    ]
    if not draw:
        return found, None
    hierarchy = Hierarchy.load(swapped.path / HIERARCHY)
    drawn = paper | {"zero-cat": moved["zero-cat"]["mixed"]}
    return found, activation_picture(job, {name: vertex_maps(layers, hierarchy) for name, layers in drawn.items()})


def _inputs(mixer: Mixer, speech: Float, peaks: Float) -> dict[str, Codes]:
    """What a network sees in training for displacements (n,V,3) of each set, and their mixture at its own scale."""
    talk, felt = mixer.encode_talk(speech), mixer.encode_expression(peaks)
    mu = mixer.model.natural_mu
    nothing = np.zeros_like(talk)
    zero = mixer.model.features == "zero"
    return {
        "talking": (talk, nothing if zero else talk),
        "expression": (nothing if zero else felt, felt),
        "mixed": (mu * talk, mu * felt),
    }


def _beyond(moved: dict[str, list[Float]], layer: int) -> float:
    return remainder(moved["mixed"][layer], moved["talking"][layer], moved["expression"][layer])


def _pairs(scenes: Scenes) -> tuple[Float, Float]:
    """Talking frames that move (n,V,3) and, for each, the peak of an expression by turns (n,V,3), metres."""
    talking, acting = [], []
    for scene in scenes.all:
        for place, frame in enumerate(np.argsort(-scene.opening, kind="stable")[: 2 * len(scenes.emotions)]):
            talking.append(scene.speech[frame])
            acting.append(scene.peaks[scenes.emotions[place % len(scenes.emotions)]])
    return np.stack(talking), np.stack(acting)
