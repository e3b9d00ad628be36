"""The lip-gap loss: mixtures without a truth are told what speech asks of the lips (ours, beyond the paper).

Training by eq. 3 never shows the decoder a mixture, and what it learns is to add the two motions: a smile that parts the lips
parts them in p, b and m too. Here random pairs of a spoken and a felt face are mixed, and their 68 landmarks are held to what is
known without a truth: lips are as far apart as the speech has them, no more and no less, and everything else is where speech and
emotion together put it. The second half matters as much as the first. The gap alone is kept most easily by losing the emotion: it
flattened smiles to a sixth and let both lips wander off together.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.data.loaders import FrameSampler
from emovoca_cli.desd.model import DESD
from emovoca_cli.mesh.landmarks import landmark_operator
from emovoca_cli.types import MeshTemplate

STRENGTHS = (0.5, 1.5)
"""Range that the strength of the emotion is drawn from, 1 is its own: what intensities 1 to 3 are."""

MOUTH_SHARE = 0.6
"""What a speaking mouth keeps of an emotion's motion: the rule of the demo corpus (`demo/entangle.py`), for the corners."""

LIP_PAIRS = (*INNER_LIP_PAIRS, (50, 58), (51, 57), (52, 56))
"""Landmarks of the upper and the lower lip that lie over each other; the emotion moves their middle."""

MOUTH_ENDS = (48, 54, 60, 64)
"""Outer and inner corners, which have no gap."""

FIRST_OF_MOUTH = 48
"""Landmarks before it are jaw line, brows, nose and eyes."""


class GapLoss:
    """The loss of unpaired mixtures, at the landmarks alone: a restricted decoder computes no other vertex."""

    def __init__(self, model: DESD, template: MeshTemplate, speech: FrameSampler, *, seed: int) -> None:
        """Prepare for a model on a template. speech: the talking faces to mix expressions with; seed: draws the strengths.

        Raises DataError for a template without 68 landmarks.
        """
        corners, weights = landmark_operator(template)
        vertices, places = np.unique(corners, return_inverse=True)
        device = model.scale.device
        self._model, self._speech, self._seed = model, speech, seed
        self._decoder = model.decoder.restrict(vertices)
        self._vertices = torch.from_numpy(vertices).to(device)
        self._places = torch.from_numpy(places.reshape(corners.shape)).to(device)
        self._weights = torch.from_numpy(weights).to(device)

    def __call__(self, number: int, expression: Tensor) -> dict[str, Tensor]:
        """The two terms of `mixture_terms`, in units of the model's scale, for expressions (B,V,3) in metres.

        number: of the batch; what they are mixed with, and how strongly, depends on it alone.
        """
        talk = torch.from_numpy(self._speech.at(number)).to(expression)
        strength = torch.from_numpy(np.random.default_rng((self._seed, number)).uniform(*STRENGTHS, len(talk))).to(expression)
        codes, mu = (self._model.encode_talk(talk), self._model.encode_expression(expression)), self._model.natural_mu
        mixed = self._model.mix(*codes, mu, mu * strength, only=self._decoder)
        spoken, felt = (self._landmarks(faces[:, self._vertices]) for faces in (talk, expression))
        terms = mixture_terms(self._landmarks(mixed), spoken, felt, strength)
        return {name: value / self._model.scale for name, value in zip(("gap", "kept"), terms, strict=True)}

    def _landmarks(self, vertices: Tensor) -> Tensor:
        """Landmarks (B,68,3) of the vertices under them (B,n,3)."""
        # (B,68,3 corners,3)
        return (vertices[:, self._places] * self._weights[..., None]).sum(2)


def mixture_terms(mixed: Tensor, spoken: Tensor, felt: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """How far landmarks of mixtures are from what is known of them, metres, means over the batch: lip gap, and all else.

    mixed, spoken and felt (B,68,3): displacements of the landmarks in metres; strength (B,): of the emotion, 1 is its own. Gap: of
    the inner lips, two-sided, against the speech's. All else: distance of the pairs' middles, the corners and the landmarks outside
    the mouth from speech plus emotion, of which a mouth gets `MOUTH_SHARE`.
    """
    inner = torch.tensor(INNER_LIP_PAIRS, device=mixed.device)
    pairs = torch.tensor(LIP_PAIRS, device=mixed.device)
    gap = (_opening(mixed, inner) - _opening(spoken, inner)).abs().mean()
    emotion = strength[:, None, None] * felt
    in_mouth = mixed - spoken - MOUTH_SHARE * emotion
    outside = (mixed - spoken - emotion)[:, :FIRST_OF_MOUTH]
    middles = (in_mouth[:, pairs[:, 0]] + in_mouth[:, pairs[:, 1]]) / 2
    kept = torch.cat([outside, in_mouth[:, list(MOUTH_ENDS)], middles], dim=1)
    return gap, torch.linalg.vector_norm(kept, dim=-1).mean()


def _opening(points: Tensor, pairs: Tensor) -> Tensor:
    """Height (B,n) of the upper over the lower landmark of each pair."""
    return points[:, pairs[:, 0], 1] - points[:, pairs[:, 1], 1]
