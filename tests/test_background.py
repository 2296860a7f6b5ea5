"""What lies under a ring or a peak: polynomials through side windows, areas of known peaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrdct_sim.recover.binning import Binning, RingBins, background_weights
from xrdct_sim.recover.peaks import PeakWindow, template_area

EDGES = np.linspace(1.0, 2.0, 51)
BANDS = ((10, 15), (15, 19), (31, 35), (35, 42))
WINDOW = (20, 30)


def binning() -> Binning:
    count = len(EDGES) - 1
    return Binning(
        cell_of_pixel=np.zeros((1, 1), np.int32),
        radial_of_cell=np.arange(count),
        sector_of_cell=np.full(count, -1),
        first_cell=np.arange(count + 1),
        q_edges_per_A=EDGES,
        azimuth_edges_rad=np.array([-np.pi, np.pi]),
        rings={},
    )


def mean_of(coefficients: np.ndarray, band: tuple[int, int]) -> float:
    low, high = EDGES[band[0]], EDGES[band[1]]
    whole = np.polynomial.Polynomial(coefficients).integ()
    return float((whole(high) - whole(low)) / (high - low))


@pytest.mark.parametrize("n_bands", [1, 2, 3, 4])
@given(coefficients=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_side_windows_tell_the_polynomial_they_can_hold(n_bands, coefficients):
    """One window holds a constant, two a line, three or more a parabola."""
    known = np.array(coefficients)
    known[min(n_bands, 3) :] = 0
    bands = BANDS[:n_bands]
    weights = background_weights(binning(), RingBins(window=WINDOW, background=bands))
    found = sum(w * mean_of(known, band) for w, band in zip(weights, bands, strict=True))
    assert found == pytest.approx(mean_of(known, WINDOW), abs=1e-9)  # double precision


def test_windows_on_both_sides_alike_count_alike():
    ring = RingBins(window=(20, 30), background=((10, 20), (30, 40)))
    np.testing.assert_allclose(background_weights(binning(), ring), 0.5, atol=1e-12)


def test_areas_of_weak_peaks_are_unbiased_and_their_error_bars_hold():
    """Peaks of a tenth of their own error bar, over a slope: mean and spread of the pulls."""
    rng = np.random.default_rng(4)
    q = 0.5 * (EDGES[1:] + EDGES[:-1])
    count, centre, sigma, noise = 4000, 1.5, 0.05, 0.3
    area = 0.005
    peak = area * np.exp(-((q - centre) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    data = peak + 2 + 0.7 * q + noise * rng.normal(size=(count, len(q)))
    window = PeakWindow(q_per_A=(1.1, 1.9))
    variance = np.full_like(data, noise**2)
    found, error = template_area(q, data, variance, window, centre, sigma)
    pulls = (found - area) / error
    assert abs(pulls.mean()) < 5 / np.sqrt(count)  # five standard errors
    assert pulls.std() == pytest.approx(1, abs=5 / np.sqrt(2 * count))
    assert area < 0.3 * error[0]


def test_a_voxel_without_data_has_no_area():
    q = 0.5 * (EDGES[1:] + EDGES[:-1])
    nothing = np.full((1, len(q)), np.nan)
    window = PeakWindow(q_per_A=(1.1, 1.9))
    found, error = template_area(q, nothing, nothing, window, 1.5, 0.05)
    assert np.isnan(found[0])
    assert np.isnan(error[0])
