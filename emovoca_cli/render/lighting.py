"""The studio: key, fill and rim lights, ambient light from above and below, and a plain background.

Directions are in the camera's frame (x right, y up, z towards the viewer), so that the face is lit alike from every side
it is looked at. Colours are linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emovoca_cli.types import Float

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A distant lamp: direction towards it (normalised on use), linear colour including its strength, half angle in degrees."""

    direction: Triple
    color: Triple
    spread: float = 8.0


@dataclass(frozen=True)
class Lights:
    """Everything that lights a picture.

    `key` throws soft shadows, `fill` and `rim` are dimmed in crevices, `catch` shines on eyes alone and puts the spark in them.
    """

    key: Light
    fill: Light
    rim: Light
    catch: Light
    sky: Triple
    ground: Triple
    background_inner: Triple = (0.43, 0.45, 0.49)
    background_outer: Triple = (0.19, 0.20, 0.235)


def portrait_lights() -> Lights:
    """Warm soft key from the upper left, cool weak fill from the right, a rim from behind on the right."""
    return Lights(
        key=Light((-0.62, 0.60, 0.58), (1.42, 1.29, 1.13), spread=9.0),
        fill=Light((0.82, 0.10, 0.56), (0.20, 0.235, 0.29)),
        rim=Light((0.74, 0.36, -0.62), (0.95, 1.00, 1.12)),
        catch=Light((-0.40, 0.40, 0.82), (4.5, 4.5, 4.5)),
        sky=(0.30, 0.32, 0.36),
        ground=(0.13, 0.105, 0.095),
    )


def unit(direction: Triple) -> Float:
    """The direction as a unit vector (3,)."""
    vector = np.asarray(direction, np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def background(lights: Lights, size: tuple[int, int]) -> Float:
    """The backdrop (H,W,3) in sRGB 0-1: a plain paper lit in the middle, with a trace of fixed grain against banding."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x + 0.5) / width - 0.5, ((y + 0.5) / height - 0.42) * 0.9) / 0.68
    mix = np.clip(radius, 0.0, 1.0)
    mix = (mix * mix * (3 - 2 * mix))[..., None]
    paper = np.asarray(lights.background_inner, np.float32) * (1 - mix) + np.asarray(lights.background_outer, np.float32) * mix
    grain = np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32) / 255
    return np.asarray(np.clip(paper + grain, 0.0, 1.0), np.float32)
