"""The space that E-FaceFormer trains in: the motion's principal axes, or every vertex; and the way back to the vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.errors import DataError
from emovoca_cli.generators.faceformer import FaceFormer
from emovoca_cli.mesh.landmarks import landmark_operator
from emovoca_cli.types import Float, MeshTemplate

MOUTH = "mouth"


@dataclass(frozen=True, eq=False)
class MotionSpace:
    """Coordinates (T,K) of displacements (T,V,3): of `axes` (3V,K), orthonormal, after each is multiplied by `weight` (3V,).

    The squared length of coordinates is thus the weighted squared L2 of the vertices. `scale` (metres) makes the largest axis's
    coordinates of size 1, and `energy` is the mean squared length of a frame of the training motion. Without axes K = 3V.
    """

    weight: Float
    scale: float
    energy: float
    axes: Float | None = None

    @property
    def size(self) -> int:
        """Coordinates K of a frame."""
        return len(self.weight) if self.axes is None else int(self.axes.shape[1])

    def project(self, moved: Float) -> Float:
        """Coordinates (T,K) of displacements (T,V,3) in metres."""
        flat = moved.reshape(len(moved), -1) * self.weight
        return np.asarray((flat if self.axes is None else flat @ self.axes) / np.float32(self.scale), dtype=np.float32)

    def expand(self, coordinates: Float) -> Float:
        """Displacements (T,V,3) in metres of coordinates (T,K)."""
        flat = coordinates if self.axes is None else coordinates @ self.axes.T
        return np.asarray(flat * (np.float32(self.scale) / self.weight), dtype=np.float32).reshape(len(flat), -1, 3)

    def lip_opening(self, template: MeshTemplate) -> Float:
        """What each coordinate adds to the opening of the lips (K,), metres: opening of a frame = its coordinates @ these."""
        corners, weights = landmark_operator(template)
        flat = np.zeros((len(template.vertices), 3))
        for upper, lower in INNER_LIP_PAIRS:
            np.add.at(flat[:, 1], corners[upper], weights[upper] / len(INNER_LIP_PAIRS))
            np.subtract.at(flat[:, 1], corners[lower], weights[lower] / len(INNER_LIP_PAIRS))
        sized = flat.reshape(-1) * self.scale / self.weight
        return np.asarray(sized if self.axes is None else sized @ self.axes, dtype=np.float32)

    def unfold(self, network: FaceFormer, config: FaceFormerConfig) -> FaceFormer:
        """The same network over vertices in metres: what comes out is expanded, what is fed back is projected."""
        whole = FaceFormer(
            config,
            speech_channels=network.speech_channels,
            emotions=network.emotions,
            styles=network.style.in_features,
            outputs=len(self.weight),
        )
        state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        sizes = torch.from_numpy(self.weight.astype(np.float64))[:, None] / self.scale  # (3V,1)
        axes = None if self.axes is None else torch.from_numpy(self.axes.astype(np.float64))
        for name in ("motion_out.weight", "motion_out.bias"):
            column = state[name].double().reshape(self.size, -1)  # (K,D) or (K,1)
            expanded = (column if axes is None else axes @ column) / sizes
            state[name] = expanded.float().reshape(len(self.weight), *state[name].shape[1:])
        inward = state["motion_in.weight"].double()  # (D,K)
        state["motion_in.weight"] = ((inward if axes is None else inward @ axes.T) * sizes.T).float()
        whole.load_state_dict(state)
        return whole


def fit_space(source: SequenceSource, entries: Sequence[SequenceEntry], config: FaceFormerConfig) -> MotionSpace:
    """Find the space from `basis_frames` frames spread over the training entries. Raises DataError when nothing moves."""
    weight = np.repeat(_vertex_weight(source.template, config.mouth_weight), 3)
    frames = _sample(source, entries, config)
    rows = frames.reshape(len(frames), -1).astype(np.float32) * weight
    energy = float(np.square(rows, dtype=np.float64).sum(axis=1).mean())
    if not energy > 0:
        raise DataError("the training frames never move; build the dataset again")
    if config.basis == 0:
        scale = float(np.sqrt(energy / rows.shape[1]))
        return MotionSpace(weight, scale, energy / scale**2)
    # few frames, many coordinates: the axes come from the frames' products with one another
    gram = rows @ rows.T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    kept = [index for index in range(len(values) - 1, -1, -1) if values[index] > 1e-9 * values[-1]][: config.basis]
    axes = rows.T.astype(np.float64) @ (vectors[:, kept] / np.sqrt(values[kept]))
    axes, _ = np.linalg.qr(axes)  # the smallest ones are orthonormal only to rounding
    scale = float(np.sqrt(values[-1] / len(rows)))
    return MotionSpace(weight, scale, energy / scale**2, axes.astype(np.float32))


def _vertex_weight(template: MeshTemplate, extra: float) -> Float:
    """Square roots (V,) of what each vertex counts: 1, and 1 + extra in the mouth's region."""
    mouth = template.regions.get(MOUTH, np.zeros(len(template.vertices), dtype=np.bool_))
    return np.asarray(np.sqrt(1.0 + extra * mouth), dtype=np.float32)


def _sample(source: SequenceSource, entries: Sequence[SequenceEntry], config: FaceFormerConfig) -> NDArray[np.float32]:
    rng = np.random.default_rng((config.seed, 1))
    each = 8  # decoding one frame alone costs nearly as much
    count = min(len(entries), -(-config.basis_frames // each))
    each = max(each, -(-config.basis_frames // count))
    parts = []
    for number in np.sort(rng.permutation(len(entries))[:count]):
        entry = entries[number]
        picked = np.sort(rng.choice(entry.frames, min(each, entry.frames), replace=False)).astype(np.int64)
        parts.append(source.displacement(entry, picked))
    return np.concatenate(parts)
