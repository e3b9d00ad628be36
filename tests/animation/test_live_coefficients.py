"""Live coefficients: the bounded minimum against a slow solver, recovery of known coefficients, steadiness, lips that close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from emovoca_cli.animation.coefficients import LEFT_OUT, solve_coefficients
from emovoca_cli.animation.live_coefficients import LIVE_HASTE, LiveCoefficients, bounded_minimum
from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.types import Float

pytestmark = pytest.mark.unit
UNIT = 0.088
SHAPES = load_rig().landmark_deltas


def solve(motion: Float, *, haste: float = LIVE_HASTE, unit: float = UNIT) -> Float:
    solver = LiveCoefficients(SHAPES, unit=UNIT, names=ARKIT_NAMES, haste=haste)
    return np.stack([solver.step(frame, unit=unit) for frame in motion])


def posed(rows: Float) -> Float:
    return np.tensordot(rows, SHAPES, 1).astype(np.float32)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 24), rows=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_minimum_is_that_of_a_slow_solver(seed: int, count: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(rows, count)), rng.normal(size=rows) * 2
    stacked = np.concatenate([matrix, 0.1 * np.eye(count)])
    truth = lsq_linear(stacked, np.concatenate([target, np.zeros(count)]), bounds=(0, 1), method="bvls", tol=1e-14).x
    seen = bounded_minimum(stacked.T @ stacked, matrix.T @ target, start=rng.integers(0, 3, size=count) / 2)
    np.testing.assert_allclose(seen, truth, atol=1e-7)


def test_a_start_does_not_change_the_answer() -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(30, 20))
    gram, vector = matrix.T @ matrix + 0.01 * np.eye(20), matrix.T @ rng.normal(size=30)
    answers = [bounded_minimum(gram, vector, start=start) for start in (np.zeros(20), np.ones(20), np.full(20, 0.5))]
    np.testing.assert_allclose(answers[1:], [answers[0]] * 2, atol=1e-10)


def test_motion_that_the_rig_made_is_made_again_at_any_size() -> None:
    rows = np.stack(list(load_visemes().values()))
    rows[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] = 0
    for row in rows:
        found = solve(posed(row[None]))
        assert np.linalg.norm(posed(found)[0] - posed(row[None])[0], axis=1).mean() < 0.3e-3
        assert abs(float(lip_opening(posed(found)[0]) - lip_opening(posed(row[None])[0]))) < 0.1e-3
        np.testing.assert_allclose(solve(3 * posed(row[None]), unit=3 * UNIT), found, atol=1e-4)


def test_it_is_the_answer_over_all_frames_where_nothing_moves() -> None:
    row = load_visemes()["AA"][None]
    live = posed(solve(posed(row)))
    whole = posed(solve_coefficients(posed(row), SHAPES, unit=UNIT, names=ARKIT_NAMES))
    assert np.abs(live - whole).max() < 0.5e-3


def test_bounds_hold_and_what_cannot_be_seen_is_left_out() -> None:
    found = solve(np.random.default_rng(0).normal(0, 0.02, (12, 68, 3)).astype(np.float32))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] == 0).all()
    assert not solve(np.zeros((3, 68, 3), np.float32)).any()


def test_haste_calms_a_flicker() -> None:
    noise = np.random.default_rng(0).normal(scale=2e-4, size=(40, 68, 3)).astype(np.float32)
    loose, steady = solve(noise, haste=0.0), solve(noise, haste=0.033)
    assert np.abs(np.diff(steady, axis=0)).mean() < 0.7 * np.abs(np.diff(loose, axis=0)).mean()


def test_fast_closures_close_as_far_as_they_should() -> None:
    rows = np.stack([load_visemes()[name] for name in ("AA", "AA", "PP", "AA", "AA")])
    rows[:, [ARKIT_INDEX[name] for name in LEFT_OUT]] = 0
    apart = lip_opening(posed(solve(posed(rows)))) - lip_opening(posed(rows))
    assert abs(apart[2]) < 0.1e-3


def test_a_frame_depends_on_no_later_one() -> None:
    motion = np.random.default_rng(2).normal(scale=2e-3, size=(6, 68, 3)).astype(np.float32)
    np.testing.assert_array_equal(solve(motion)[:3], solve(motion[:3]))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="expected \\(3,68,3\\)"):
        LiveCoefficients(SHAPES, unit=UNIT, names=ARKIT_NAMES[:3])
    with pytest.raises(DataError, match="expected \\(68,3\\)"):
        LiveCoefficients(SHAPES, unit=UNIT, names=ARKIT_NAMES).step(np.zeros((51, 3), np.float32), unit=UNIT)
