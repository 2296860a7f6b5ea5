"""Peak fits: error bars that hold, statuses that tell, areas that are integrals."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.special import ndtr

from xrdct_sim.recover.least_squares import EXPLANATION, FitMaps, Status
from xrdct_sim.recover.peaks import PeakWindow, fit_peak

EDGES = np.linspace(1.1, 1.6, 51)
Q = 0.5 * (EDGES[1:] + EDGES[:-1])
WINDOW = PeakWindow(q_per_A=(1.1, 1.6))


def binned_peak(area: float, centre: float, sigma: float) -> np.ndarray:
    """Mean over each bin of a Gaussian on the line 2 + 0.5 (q - 1.35)."""
    whole = area * np.diff(ndtr((EDGES - centre) / sigma)) / np.diff(EDGES)
    return whole + 2.0 + 0.5 * (Q - 1.35)


def drawn(area: float, noise: float, n: int = 4000) -> FitMaps:
    rng = np.random.default_rng(11)
    rows = binned_peak(area, 1.337, 0.04) + noise * rng.standard_normal((n, len(Q)))
    return fit_peak(Q, rows.astype(np.float32), np.full((n, len(Q)), noise**2, np.float32), WINDOW)


def test_pulls_are_normal_and_68_percent_of_error_bars_cover() -> None:
    """4000 draws of one peak at 30 times its error: mean, width and coverage of the pulls."""
    fit = drawn(area=1.0, noise=0.5)
    assert np.mean(fit.status == Status.OK) == 1.0
    truth = {"area": 1.0, "centre": 1.337, "sigma": 0.04, "background": 2.0, "slope": 0.5}
    for name, value in truth.items():
        pull = (fit.value[name] - value) / fit.error[name]
        # standard errors over 4000 draws: mean 0.016, width 0.011, coverage
        # sqrt(0.68 * 0.32 / 4000) = 0.0074; the model's curvature biases by (1/30)/2 at most
        assert abs(pull.mean()) < 0.08, name
        assert abs(pull.std() - 1) < 0.05, name
        assert abs(np.mean(np.abs(pull) < 1) - 0.6827) < 4 * 0.0074, name
    reduced = fit.chi_squared.mean() / (len(Q) - 5)
    assert reduced == pytest.approx(1, abs=4 * np.sqrt(2 / 45 / 4000))


@settings(deadline=None, max_examples=25)
@given(
    area=st.floats(1e-6, 1e6),
    centre=st.floats(1.25, 1.45),
    sigma=st.floats(0.02, 0.08),
)
def test_a_peak_without_noise_comes_back_whatever_its_scale(
    area: float, centre: float, sigma: float
) -> None:
    """Areas over twelve decades, in single precision."""
    rows = area * binned_peak(1.0, centre, sigma)[None]
    fit = fit_peak(Q, rows, np.full_like(rows, (1e-3 * area) ** 2), WINDOW)
    # float32 of data 1e-7 of the peak's height over a background twice to half as high
    assert fit.value["area"][0] == pytest.approx(area, rel=1e-4)
    assert fit.value["centre"][0] == pytest.approx(centre, abs=1e-5)
    assert fit.value["sigma"][0] == pytest.approx(sigma, rel=1e-4)


def test_another_program_finds_the_same_minimum_and_error_bars() -> None:
    """scipy's curve_fit, uneven weights, the same bin average."""
    rng = np.random.default_rng(7)
    noise = rng.uniform(0.2, 0.6, len(Q))
    row = binned_peak(1.0, 1.34, 0.035) + noise * rng.standard_normal(len(Q))

    def model(_: np.ndarray, a: float, c: float, s: float, b0: float, b1: float) -> np.ndarray:
        return a * np.diff(ndtr((EDGES - c) / s)) / np.diff(EDGES) + b0 + b1 * (Q - 1.35)

    best, covariance = curve_fit(
        model, Q, row, p0=(1, 1.34, 0.04, 2, 0), sigma=noise, absolute_sigma=True
    )
    with jax.enable_x64(True):
        fit = fit_peak(Q, row[None], noise[None] ** 2, WINDOW)
    names = ("area", "centre", "sigma", "background", "slope")
    found = np.array([fit.value[n][0] for n in names])
    error = np.array([fit.error[n][0] for n in names])
    np.testing.assert_allclose(error, np.sqrt(np.diag(covariance)), rtol=1e-2)
    assert np.max(np.abs(found - best) / error) < 0.01  # chi squared within 1e-4 of the minimum


def test_every_failure_leaves_nan_and_a_reason() -> None:
    """Empty, masked, off-window and slowly rising profiles, side by side with a good one."""
    rng = np.random.default_rng(2)
    noise = 0.05 * rng.standard_normal(len(Q))
    good = binned_peak(1.0, 1.35, 0.04) + noise
    empty = 2.0 + noise
    masked = np.where(np.arange(len(Q)) < 46, np.nan, good)
    beside = binned_peak(3.0, 1.64, 0.03) + noise
    rows = np.stack([good, empty, masked, beside, np.full_like(Q, np.nan)])
    fit = fit_peak(Q, rows, np.full_like(rows, 0.05**2), WINDOW)
    assert fit.status[0] == Status.OK
    assert fit.status[1] in (Status.TOO_LITTLE_SIGNAL, Status.AT_BOUND)
    assert fit.status[2] == Status.NOT_ENOUGH_DATA
    assert fit.status[3] in (Status.AT_BOUND, Status.TOO_LITTLE_SIGNAL)
    assert fit.status[4] == Status.NOT_ENOUGH_DATA
    for maps in (fit.value, fit.error):
        for values in maps.values():
            assert np.isnan(values[1:]).all()
            assert np.isfinite(values[0])
    assert set(EXPLANATION) == set(Status)


def test_weak_peaks_are_called_empty_at_the_stated_level() -> None:
    """Pure noise passes a demand of three error bars rarely, though the centre is free."""
    fit = drawn(area=0.0, noise=0.5)
    assert np.mean(fit.status == Status.OK) < 0.15  # look-elsewhere: some ten places at 0.3 % each


def test_maps_keep_the_voxels_shape_and_batches_change_nothing() -> None:
    """A (2, 3) map of voxels equals six single fits."""
    rng = np.random.default_rng(3)
    rows = binned_peak(1.0, 1.35, 0.04) + 0.1 * rng.standard_normal((2, 3, len(Q)))
    fit = fit_peak(Q, rows, np.full_like(rows, 0.01), WINDOW)
    assert fit.value["area"].shape == (2, 3)
    alone = fit_peak(Q, rows[1, 2][None], np.full((1, len(Q)), 0.01), WINDOW)
    assert alone.value["area"][0] == pytest.approx(fit.value["area"][1, 2], rel=1e-4)


def test_a_window_with_too_few_bins_is_refused() -> None:
    """Five parameters need six points."""
    with pytest.raises(ValueError, match="holds 5 radial bins, needs 6"):
        fit_peak(Q, np.ones((1, 50)), np.ones((1, 50)), PeakWindow(q_per_A=(1.30, 1.35)))
