"""Using a trained DE-SD: encode speech and expression, decode their mixture (paper section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emovoca_cli.config.desd import DesdSizes
from emovoca_cli.config.load import with_values
from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.data.template import load_template
from emovoca_cli.desd.model import DESD
from emovoca_cli.desd.seal import seal_mask
from emovoca_cli.errors import TopologyError, UsageError
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.mesh.landmarks import landmark_operator
from emovoca_cli.nn.spiral import RestrictedDecoder
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, load_checkpoint
from emovoca_cli.types import Float, MeshTemplate

KIND = "desd"
BUILT_IN = "desd"


@dataclass(frozen=True, eq=False)
class _Sealing:
    """The vertices that sealing touches: their places (n,) among those decoded, a decoder of them, how strongly (n,1)."""

    places: Tensor
    decoder: RestrictedDecoder
    strength: Tensor


class Mixer:
    """A trained DE-SD for inference. Arrays in and out; displacements in metres, codes as the encoders give them."""

    def __init__(
        self, model: DESD, template: MeshTemplate, path: Path, *, licence: str = "", provenance: Mapping[str, Any] | None = None
    ) -> None:
        """Wrap a model; `path` is the checkpoint folder it came from."""
        self.model = model.eval()
        self.template = template
        self.path = path
        self.licence = licence
        self.provenance = dict(provenance or {})
        self._decoders: dict[bytes, RestrictedDecoder] = {}
        self._sealings: dict[bytes, _Sealing | None] = {}

    @classmethod
    def load(cls, path: str | Path = BUILT_IN, *, device: torch.device | str = "cpu") -> Mixer:
        """Load a checkpoint folder, or the built-in model. Raises UsageError and CheckpointError."""
        checkpoint = load_checkpoint(path, kind=KIND)
        template = load_template(checkpoint.path / TEMPLATE)
        sizes = with_values(DesdSizes(), checkpoint.config["sizes"], where=str(checkpoint.path))
        model = DESD(Hierarchy.load(checkpoint.path / HIERARCHY), sizes)
        checkpoint.load_into(model)
        return cls(model.to(device), template, checkpoint.path, licence=checkpoint.licence, provenance=checkpoint.provenance)

    def encode_talk(self, displacement: Float) -> Float:
        """Codes (T,C) of talking displacements (T,V,3). Raises TopologyError for another vertex count."""
        with torch.no_grad():
            return _array(self.model.encode_talk(self._mesh(displacement)))

    def encode_expression(self, displacement: Float) -> Float:
        """Codes (T,C) of expression displacements (T,V,3). Raises TopologyError for another vertex count."""
        with torch.no_grad():
            return _array(self.model.encode_expression(self._mesh(displacement)))

    def mix(
        self,
        z_talk: Float,
        z_expr: Float,
        mu_t: float = NEUTRAL_MU,
        mu_e: float = NEUTRAL_MU,
        *,
        closedness: Float | None = None,
        vertices: NDArray[np.integer[Any]] | None = None,
    ) -> Float:
        """D(mu_t f_t ⊕ mu_e f_e): talk codes (T,C), expression codes (C,) or (T,C), to displacements (T,V,3) in metres.

        closedness (T,) from `seal.closedness`: the lips get mu_e (1 - closedness) instead. vertices (n,): give (T,n,3) of these
        alone, which is faster and equal.
        """
        with torch.no_grad():
            chosen = None if vertices is None else np.asarray(vertices, np.int64)
            return _array(self._mix((z_talk, z_expr), (mu_t, mu_e), closedness, chosen))

    def mix_landmarks(
        self, z_talk: Float, z_expr: Float, mu_t: float = NEUTRAL_MU, mu_e: float = NEUTRAL_MU, *, closedness: Float | None = None
    ) -> Float:
        """The 68 landmarks (T,68,3) of the displacements that `mix` gives, without computing the rest of the face."""
        vertices, places, weights = self._landmarks
        with torch.no_grad():
            mixed = self._mix((z_talk, z_expr), (mu_t, mu_e), closedness, vertices)
            # (T,n,3) to (T,68,3 corners,3)
            return _array((mixed[:, places] * weights[..., None]).sum(2))

    @cached_property
    def _landmarks(self) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """The vertices under the landmarks, the places (68,3) of the corners among them, barycentric weights (68,3)."""
        corners, weights = landmark_operator(self.template)
        vertices, places = np.unique(corners, return_inverse=True)
        device = self.model.scale.device
        return (
            vertices.astype(np.int64),
            torch.from_numpy(places.reshape(corners.shape)).to(device),
            torch.from_numpy(weights).to(device),
        )

    @cached_property
    def _mask(self) -> Float:
        return seal_mask(self.template)

    def _mix(
        self, codes: tuple[Float, Float], mu: tuple[float, float], closedness: Float | None, vertices: NDArray[np.int64] | None
    ) -> Tensor:
        talk, expression = (self._codes(code) for code in codes)
        if len(expression) not in (1, len(talk)):
            raise UsageError(
                f"{len(talk)} talk and {len(expression)} expression codes cannot be mixed; give one expression code or one a frame"
            )
        expression = expression.expand(len(talk), -1)
        mu_e = torch.full((len(talk),), float(mu[1]), device=talk.device)
        mixed = self.model.mix(talk, expression, mu[0], mu_e, only=None if vertices is None else self._decoder(vertices))
        if closedness is None:
            return mixed
        if np.shape(closedness) != (len(talk),):
            raise UsageError(f"closedness has shape {np.shape(closedness)}, expected one number for each of the {len(talk)} frames")
        closed = torch.from_numpy(np.array(closedness, np.float32)).to(talk.device)
        frames = torch.nonzero(closed > 0)[:, 0]
        sealing = self._sealing(vertices)
        if len(frames) and sealing is not None:
            weaker = (mu_e * (1 - closed))[frames]
            lips = self.model.mix(talk[frames], expression[frames], mu[0], weaker, only=sealing.decoder)
            where = (frames[:, None], sealing.places[None])
            mixed[where] = torch.lerp(mixed[where], lips, sealing.strength)
        return mixed

    def _decoder(self, vertices: NDArray[np.int64]) -> RestrictedDecoder:
        key = vertices.tobytes()
        if key not in self._decoders:
            self._decoders[key] = self.model.decoder.restrict(vertices)
        return self._decoders[key]

    def _sealing(self, vertices: NDArray[np.int64] | None) -> _Sealing | None:
        key = b"all" if vertices is None else vertices.tobytes()
        if key not in self._sealings:
            chosen = np.arange(len(self._mask)) if vertices is None else vertices
            touched = np.flatnonzero(self._mask[chosen] > 0)
            device, decoder = self.model.scale.device, self.model.decoder
            self._sealings[key] = None
            if len(touched):
                strength = torch.from_numpy(self._mask[chosen[touched], None]).to(device)
                self._sealings[key] = _Sealing(torch.from_numpy(touched).to(device), decoder.restrict(chosen[touched]), strength)
        return self._sealings[key]

    def _codes(self, codes: Float) -> Tensor:
        array = np.atleast_2d(np.asarray(codes, np.float32))
        if array.ndim != 2 or array.shape[1] != self.model.latent:
            raise UsageError(f"codes have shape {np.shape(codes)}, this model's have {self.model.latent} numbers a frame")
        return torch.from_numpy(np.array(array)).to(self.model.scale.device)

    def _mesh(self, displacement: Float) -> Tensor:
        array = np.array(displacement, np.float32)
        if array.ndim != 3 or array.shape[1:] != self.template.vertices.shape:
            expected = f"(frames, {len(self.template.vertices)}, 3), the topology of {self.path}"
            raise TopologyError(f"displacements have shape {array.shape}, expected {expected}")
        return torch.from_numpy(array).to(self.model.scale.device)


def _array(x: Tensor) -> Float:
    return np.asarray(x.cpu().numpy(), np.float32)
