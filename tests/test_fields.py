"""Random fields: unit variance, the stated correlation, the same draw for the same key."""

import numpy as np
import pytest

from xrdct_sim.sample.fields import bounded, draw_field

ORIGIN = np.zeros((1, 2))


def ensemble(points: np.ndarray, count: int = 4000) -> np.ndarray:
    """Values of many independent fields of correlation length 0.7 mm at the points."""
    return np.array([np.asarray(draw_field(seed, 1, 0.7)(points)) for seed in range(count)])


def test_fields_have_unit_variance_and_gaussian_correlation():
    points = np.array([[0.0, 0.0], [0.35, 0.0], [0.0, 0.7], [1.0, 1.0]])
    values = ensemble(points)
    noise = 5 * np.sqrt(2 / len(values))  # five standard errors of a covariance of unit variance
    covariance = values.T @ values / len(values)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.testing.assert_allclose(covariance, np.exp(-(distance**2) / (2 * 0.49)), atol=noise)


def test_a_field_belongs_to_its_seed_and_purpose():
    points = np.random.default_rng(0).uniform(-3, 3, (20, 2))
    first = draw_field(7, 1, 0.5)(points)
    np.testing.assert_array_equal(draw_field(7, 1, 0.5)(points), first)
    assert np.max(np.abs(draw_field(7, 2, 0.5)(points) - first)) > 0.1
    assert np.max(np.abs(draw_field(8, 1, 0.5)(points) - first)) > 0.1


def test_a_bounded_field_stays_within_its_limit_and_small_values_stay():
    values = np.linspace(-10, 10, 101)
    assert np.max(np.abs(bounded(values))) <= 2
    small = float(bounded(np.array(0.1)))
    assert small == pytest.approx(0.1, rel=1e-3)  # tanh x = x (1 - x²/3), x = 0.05
