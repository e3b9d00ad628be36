"""How well predicted landmarks follow the truth: what training reports in millimetres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emovoca_cli.constants import MM
from emovoca_cli.data.sequences import SequenceEntry
from emovoca_cli.generators.bank import Batch
from emovoca_cli.generators.losses import MOUTH
from emovoca_cli.generators.s2l import ES2L
from emovoca_cli.mesh.landmarks import lip_gap
from emovoca_cli.types import Bool, Float

CLOSED = 0.2
"""Lips count as closed when their gap is under this share of the clip's 95th percentile."""


@dataclass(frozen=True)
class SequenceScore:
    """One sequence: mean error of all landmarks, of the mouth's and of the lip gap (mm), correlation of the gap, closures kept."""

    emotion: str
    l2_mm: float
    mouth_mm: float
    gap_mm: float
    gap_corr: float
    closed: float


def score_sequence(predicted: Float, truth: Float, rest: Float, *, emotion: str = "neutral") -> SequenceScore:
    """Compare displacements (T,68,3) with the truth on a subject's landmarks at rest (68,3), metres.

    `closed` is the share of the truth's closed frames that are closed in the prediction, NaN where the truth never closes.
    """
    errors = np.linalg.norm(predicted - truth, axis=2) * MM
    gap, wanted = (lip_gap(rest + moved) * MM for moved in (predicted, truth))
    shut = _closed(wanted)
    varied = min(gap.std(), wanted.std()) > 1e-4  # mm: what does not move correlates with nothing
    return SequenceScore(
        emotion=emotion,
        l2_mm=float(errors.mean()),
        mouth_mm=float(errors[:, MOUTH].mean()),
        gap_mm=float(np.abs(gap - wanted).mean()),
        gap_corr=float(np.corrcoef(gap, wanted)[0, 1]) if varied else float("nan"),
        closed=float(_closed(gap)[shut].mean()) if shut.any() else float("nan"),
    )


def _closed(gap: Float) -> Bool:
    above = gap - gap.min()
    return np.asarray(above < CLOSED * max(1e-9, float(np.percentile(above, 95))))


def score_all(
    model: ES2L, sequences: Sequence[tuple[SequenceEntry, Callable[[], Batch]]], device: torch.device
) -> list[SequenceScore]:
    """Score whole sequences one by one, in evaluation mode; the model's mode is put back."""
    was = model.training
    model.eval()
    scores = []
    with torch.no_grad():
        for entry, fetch in sequences:
            batch = fetch()
            speech, emotion, intensity = (to_tensor(values, device) for values in (batch.speech, batch.emotion, batch.intensity))
            predicted = model(speech, emotion, intensity)[0].cpu().numpy()
            scores.append(score_sequence(predicted, batch.truth[0], batch.rest[0], emotion=entry.emotion or "neutral"))
    model.train(was)
    return scores


def to_tensor(values: Float, device: torch.device) -> Tensor:
    """An array as float32 tensor on the device."""
    return torch.from_numpy(values).to(device)


def means(scores: Sequence[SequenceScore]) -> dict[str, float]:
    """Mean of every score, sequences without a number left out; empty for no sequences."""
    result = {}
    for name in ("l2_mm", "mouth_mm", "gap_mm", "gap_corr", "closed"):
        values = np.array([getattr(score, name) for score in scores], dtype=np.float64)
        if np.isfinite(values).any():
            result[name] = float(np.nanmean(values))
    return result


def by_emotion(scores: Sequence[SequenceScore]) -> Mapping[str, dict[str, float]]:
    """Means for each emotion that occurs, neutral first."""
    names = sorted({score.emotion for score in scores}, key=lambda name: (name != "neutral", name))
    return {name: means([score for score in scores if score.emotion == name]) for name in names}
