"""Strips of rendered faces: a row a clip, a column a moment (Figures 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emovoca_cli.data.dressing import dress_clip
from emovoca_cli.demo.head import load_head
from emovoca_cli.errors import UsageError
from emovoca_cli.render.backends import pick_backend
from emovoca_cli.render.clip import render_mesh
from emovoca_cli.render.sheet import contact_sheet
from emovoca_cli.render.video import Picture
from emovoca_cli.types import Clip, Float, MeshTemplate, topology_hash


@dataclass(frozen=True, eq=False)
class Strip:
    """A row: what it shows, frames (T,V,3) in metres at fps, the face at rest (V,3), its topology, and words for each moment."""

    name: str
    vertices: Float
    fps: float
    rest: Float
    template: MeshTemplate
    says: Callable[[float], str] = lambda _: ""

    @property
    def seconds(self) -> float:
        """When its last frame is shown."""
        return (len(self.vertices) - 1) / self.fps


def face_template(topology: MeshTemplate) -> MeshTemplate:
    """The built-in head with parts and colours when a topology is its own, else the topology itself."""
    head = load_head().template
    return head if head.topology_hash == topology.topology_hash else topology


def clip_strip(name: str, clip: Clip) -> Strip:
    """A strip of a user's clip, of any topology."""
    template = load_head().template
    if topology_hash(clip.vertices.shape[1], clip.faces) != template.topology_hash:
        clip, template = dress_clip(clip)
    return Strip(name, clip.vertices, clip.fps, clip.template, template)


def moments_of(seconds: float, count: int) -> tuple[float, ...]:
    """`count` moments spread over the middle of a sentence that lasts so long."""
    return tuple(float(moment) for moment in np.linspace(0.1, 0.9, count) * seconds)


def draw_strips(
    strips: Sequence[Strip], moments: Sequence[float], *, size: int, progress: Callable[[int, int], None] | None = None
) -> Picture:
    """One picture (H,W,3): each strip at each moment (seconds). Raises UsageError for a moment past a clip's end."""
    for strip in strips:
        if not moments or min(moments) < 0 or max(moments) > strip.seconds + 1 / strip.fps:
            raise UsageError(f"{strip.name} lasts {strip.seconds:.2f} s; give moments within it with --at, such as --at 0.5,1")
    drawer = pick_backend("auto")
    pictures, labels = [], []
    for number, strip in enumerate(strips):
        for column, moment in enumerate(moments):
            frame = min(len(strip.vertices) - 1, round(moment * strip.fps))
            pictures.append(render_mesh(strip.vertices[frame], strip.template, neutral=strip.rest, size=size, backend=drawer))
            labels.append(f"{strip.says(moment)} {moment:.2f} s".strip())
            if progress is not None:
                progress(number * len(moments) + column + 1, len(strips) * len(moments))
    return contact_sheet(pictures, labels, columns=len(moments), heads=[strip.name for strip in strips])
