"""Coefficients from motion: the bounded minimum against a slow solver, recovery of known coefficients, steadiness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from emovoca_cli.animation.coefficients import CoefficientSolver, LandmarkSolver, bounded_minimum
from emovoca_cli.constants import ARKIT_INDEX
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.landmarks import lip_opening

pytestmark = pytest.mark.unit


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


def test_known_shapes_of_the_rig_are_found_again() -> None:
    rig = load_rig()
    truth = np.zeros((5, len(rig.names)), np.float32)
    truth[:, ARKIT_INDEX["jawOpen"]] = (0, 0.2, 0.4, 0.6, 0.3)
    truth[:, ARKIT_INDEX["mouthSmileLeft"]] = truth[:, ARKIT_INDEX["mouthSmileRight"]] = (0, 0.5, 0.8, 0.4, 0.2)
    motion = np.einsum("tk,klc->tlc", truth, rig.landmark_deltas)
    seen = CoefficientSolver(rig.landmark_deltas).solve(motion)
    assert np.abs(seen - truth).max() < 0.06  # the ridge and the pull towards the last frame cost a little
    exact = CoefficientSolver(rig.landmark_deltas, ridge=1e-5, steady=0).solve(motion)
    told = np.abs(rig.landmark_deltas).max(axis=(1, 2)) > 1e-4  # the tongue moves no landmark
    np.testing.assert_allclose(exact[:, told], truth[:, told], atol=0.01)
    assert not exact[:, ARKIT_INDEX["tongueOut"]].any()


def test_steadiness_calms_what_the_points_cannot_tell() -> None:
    rng = np.random.default_rng(0)
    rig = load_rig()
    noise = rng.normal(scale=2e-4, size=(40, 68, 3)).astype(np.float32)
    loose, steady = (CoefficientSolver(rig.landmark_deltas, steady=pull).solve(noise) for pull in (0.0, 3e-3))
    assert np.abs(np.diff(steady, axis=0)).mean() < 0.7 * np.abs(np.diff(loose, axis=0)).mean()


def test_step_by_step_is_solve() -> None:
    rig = load_rig()
    motion = np.random.default_rng(2).normal(scale=2e-3, size=(6, 68, 3)).astype(np.float32)
    stepped = CoefficientSolver(rig.landmark_deltas)
    rows = [stepped.step(frame) for frame in motion]
    np.testing.assert_array_equal(rows, CoefficientSolver(rig.landmark_deltas).solve(motion))


def test_the_lips_opening_is_kept_where_the_shapes_cannot_follow() -> None:
    rig = load_rig()
    rng = np.random.default_rng(3)
    coefficients = rng.uniform(0, 1.6, size=(20, len(rig.names))) * (rng.uniform(size=(20, len(rig.names))) < 0.2)
    motion = np.einsum("tk,klc->tlc", coefficients, rig.landmark_deltas).astype(np.float32)  # beyond what 0-1 can make
    errors = []
    for solver in (CoefficientSolver(rig.landmark_deltas), LandmarkSolver(rig.landmark_deltas)):
        back = np.einsum("tk,klc->tlc", solver.solve(motion), rig.landmark_deltas)
        errors.append(float(np.abs(lip_opening(back) - lip_opening(motion)).mean()))
    assert errors[1] < 0.4 * errors[0], errors


def test_a_point_of_no_weight_is_not_followed() -> None:
    shapes = np.zeros((2, 2, 3), np.float32)
    shapes[0, 0, 0], shapes[1, 1, 1] = 0.01, 0.01
    motion = np.array([[0.005, 0, 0], [0, 0.005, 0]], np.float32)
    seen = CoefficientSolver(shapes, weights=np.array([1, 0], np.float32), ridge=1e-5, steady=0).step(motion)
    np.testing.assert_allclose(seen, [0.5, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "options", "said"),
    [
        (np.zeros((2, 3)), {}, "expected \\(K,N,3\\)"),
        (np.zeros((2, 4, 3)), {"ridge": 0.0}, "ridge is above 0"),
        (np.zeros((2, 4, 3)), {"weights": np.ones(3)}, "expected \\(4,\\)"),
    ],
)
def test_wrong_use_is_said(shapes: np.ndarray, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        CoefficientSolver(shapes, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the motion has shape"):
        CoefficientSolver(np.zeros((1, 4, 3), np.float32)).step(np.zeros((3, 3), np.float32))
