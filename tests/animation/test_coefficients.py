"""Coefficients from landmark motion: those it was made of, within bounds, steady, and equal to a slow solver's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from emovoca_cli.animation import coefficients
from emovoca_cli.animation.coefficients import LEFT_OUT, solve_coefficients
from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.types import Float

pytestmark = pytest.mark.unit
UNIT = 0.088
SHAPES = load_rig().landmark_deltas


def solve(motion: Float) -> Float:
    return solve_coefficients(motion, SHAPES, unit=UNIT, names=ARKIT_NAMES)


def posed(rows: Float) -> Float:
    return np.tensordot(rows, SHAPES, 1).astype(np.float32)


def test_motion_that_the_rig_made_is_made_again() -> None:
    rows = np.stack([*load_visemes().values(), *load_emotions().values()])
    rows[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] = 0
    for row in rows:
        found = solve(np.repeat(posed(row[None]), 2, axis=0))
        missed = np.linalg.norm(posed(found)[0] - posed(row[None])[0], axis=1)
        assert missed.mean() < 0.3e-3
        assert abs(float(lip_opening(posed(found)[0]) - lip_opening(posed(row[None])[0]))) < 0.1e-3


def test_coefficients_keep_within_their_bounds_and_leave_out_what_cannot_be_seen() -> None:
    wild = np.random.default_rng(0).normal(0, 0.02, (12, 68, 3)).astype(np.float32)
    found = solve(wild)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] == 0).all()
    assert np.abs(solve(np.zeros((5, 68, 3), np.float32))).max() == 0


def test_a_single_frame_is_the_bounded_least_squares_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coefficients, "STEPS", 20000)
    monkeypatch.setattr(coefficients, "ENOUGH", 1e-9)
    monkeypatch.setattr(coefficients, "ROUNDS", 1)
    motion = posed(1.3 * load_emotions()["happy"][None])
    usable = np.array([name not in LEFT_OUT and np.abs(SHAPES[i]).max() > 0 for i, name in enumerate(ARKIT_NAMES)])
    matrix = coefficients.compared(SHAPES[usable] / UNIT).T
    goal = coefficients.compared(motion / UNIT)[0]
    full = np.concatenate([matrix, coefficients.EFFORT * np.eye(usable.sum())])
    wanted = lsq_linear(full, np.concatenate([goal, np.zeros(usable.sum())]), bounds=(0, 1), method="bvls").x
    np.testing.assert_allclose(solve(motion)[0, usable], wanted, atol=2e-3)


def test_fast_closures_close_as_far_as_they_should() -> None:
    """p between two open vowels in three frames: the lips' opening is that of the motion, however much haste counts."""
    visemes = load_visemes()
    rows = np.stack([visemes[name] for name in ("AA", "AA", "PP", "AA", "AA")])
    rows[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] = 0
    apart = lip_opening(posed(solve(posed(rows)))) - lip_opening(posed(rows))
    assert abs(apart[2]) < 0.02e-3


def test_a_flicker_is_calmed_and_a_steady_pose_is_not_changed() -> None:
    row = load_visemes()["AA"]
    steady = np.repeat(posed(row[None]), 30, axis=0)
    noise = np.random.default_rng(1).normal(0, 0.4e-3, steady.shape).astype(np.float32)
    alone = np.concatenate([solve(frame[None]) for frame in steady + noise])
    together = solve(steady + noise)
    assert np.abs(np.diff(together, axis=0)).mean() < 0.7 * np.abs(np.diff(alone, axis=0)).mean()
    np.testing.assert_allclose(solve(steady)[3], solve(steady[:1])[0], atol=2e-3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="do not fit"):
        solve_coefficients(np.zeros((2, 51, 3), np.float32), SHAPES, unit=UNIT, names=ARKIT_NAMES)
    with pytest.raises(DataError, match="do not fit"):
        solve_coefficients(np.zeros((2, 68, 3), np.float32), SHAPES, unit=UNIT, names=ARKIT_NAMES[:3])
