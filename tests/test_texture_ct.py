"""Lobes on a ring: their width, centre and error bars, and the texture route through FBP."""

import numpy as np
import pytest
from analytic import ellipse_sinogram
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from xrdct_sim.recover.least_squares import Status
from xrdct_sim.recover.reconstruct import axis_mm, make_plan, reconstruct, reconstruct_variance
from xrdct_sim.recover.texture import fit_lobes

N = 72
AZIMUTH = (np.arange(N) + 0.5) * 2 * np.pi / N - np.pi


def lobes(amplitude: float, centre: float, width: float, background: float) -> np.ndarray:
    """Sum of Gaussians on all turns of the circle: the nearest two lobes carry it."""
    apart = [(AZIMUTH - centre - k * np.pi) for k in range(-4, 5)]
    nearest = np.sort(np.abs(apart), axis=0)[:2]
    return background + amplitude * np.exp(-(nearest**2) / (2 * width**2)).sum(axis=0)


@settings(deadline=None, max_examples=30)
@given(
    amplitude=st.floats(1e-5, 1e4),
    centre=st.floats(0.01, np.pi),
    width_deg=st.floats(4, 40),
    level=st.floats(0, 2),
)
def test_an_exact_profile_returns_its_own_lobes(
    amplitude: float, centre: float, width_deg: float, level: float
) -> None:
    """Any scale, any direction, from less than a sector to broad; no variance needed."""
    width = np.deg2rad(width_deg)
    profile = lobes(amplitude, centre, width, level * amplitude)[None]
    fit = fit_lobes(AZIMUTH, profile)
    assert fit.status[0] == Status.OK
    # single precision, magnified where broad lobes and the level look alike
    assert fit.value["width_rad"][0] == pytest.approx(width, rel=2e-3)
    assert fit.value["amplitude"][0] == pytest.approx(amplitude, rel=5e-3)
    turn = np.remainder(fit.value["centre_rad"][0] - centre + np.pi / 2, np.pi) - np.pi / 2
    assert abs(turn) < 1e-4
    assert 0 < fit.value["centre_rad"][0] <= np.pi


def test_pulls_of_the_lobes_are_normal() -> None:
    """3000 draws at 12 degrees width; one sector masked."""
    rng = np.random.default_rng(1)
    rows = lobes(1.0, 1.5, np.deg2rad(12), 0.3) + 0.05 * rng.standard_normal((3000, N))
    rows[:, 40] = np.nan
    fit = fit_lobes(AZIMUTH, rows, np.full_like(rows, 0.05**2))
    assert np.all(fit.status == Status.OK)
    truth = {"amplitude": 1.0, "centre_rad": 1.5, "width_rad": np.deg2rad(12), "background": 0.3}
    for name, value in truth.items():
        pull = (fit.value[name] - value) / fit.error[name]
        # standard errors over 3000 draws: mean 0.018, width 0.013, coverage 0.0085
        assert abs(pull.mean()) < 0.09, name
        assert abs(pull.std() - 1) < 0.055, name
        assert abs(np.mean(np.abs(pull) < 1) - 0.6827) < 4 * 0.0085, name


def test_a_flat_ring_has_no_width() -> None:
    """Random orientation: too little signal, or a width at its bound; never a number."""
    rng = np.random.default_rng(8)
    rows = 1.0 + 0.05 * rng.standard_normal((500, N))
    fit = fit_lobes(AZIMUTH, rows, np.full_like(rows, 0.05**2))
    failed = fit.status != Status.OK
    assert failed.mean() > 0.75  # look-elsewhere: some tens of places for a lobe to hide
    assert np.isnan(fit.value["width_rad"][failed]).all()
    outside = fit_lobes(AZIMUTH, np.full((1, N), np.nan), np.full((1, N), np.nan))
    assert outside.status[0] == Status.NOT_ENOUGH_DATA


def test_sectors_average_the_lobe_by_their_width_squared_over_twelve() -> None:
    """The documented bias: 5 degree sectors add (1.44 degrees) squared."""
    width, sector = np.deg2rad(12), 2 * np.pi / N
    low, high = AZIMUTH - sector / 2, AZIMUTH + sector / 2
    mean = sum(ndtr((high - c) / width) - ndtr((low - c) / width) for c in (np.pi / 2, -np.pi / 2))
    fit = fit_lobes(AZIMUTH, mean[None])
    expected = np.sqrt(width**2 + sector**2 / 12)
    assert fit.value["width_rad"][0] == pytest.approx(expected, rel=1e-3)  # 4th order left over


def test_untilted_texture_survives_tomography() -> None:
    """Two discs of different widths: each voxel's fit returns the width of its disc."""
    t, step = (np.arange(48) - 23.5) * 0.05, 0.05
    rotations = np.arange(120) * np.pi / 120
    total = np.zeros((48, 120, N))
    widths = {-0.5: np.deg2rad(10), 0.5: np.deg2rad(25)}
    for x, width in widths.items():
        disc = ellipse_sinogram([(1.0, 0.3, 0.3, x, 0.1, 0.0)], t, rotations, beam_mm=step)
        total += disc[..., None] * lobes(1.0, np.pi / 2, width, 0.1)
    noise = 0.03
    rng = np.random.default_rng(6)
    variance = np.full(total.shape, noise**2)
    plan = make_plan(t, rotations, 0.0)
    image = reconstruct(plan, total + noise * rng.standard_normal(total.shape))
    fit = fit_lobes(AZIMUTH, image, reconstruct_variance(plan, variance))
    grid = axis_mm(48, step)
    for x, width in widths.items():
        core = np.hypot(grid[None, :] - x, grid[:, None] - 0.1) < 0.2
        found = fit.value["width_rad"][core]
        # streaks of the other disc are a percent of its value at this many angles
        assert np.median(found) == pytest.approx(width, rel=0.02)
        spread = np.std(found) / np.median(fit.error["width_rad"][core])
        assert 0.6 < spread < 1.6  # neighbours correlate; 50 voxels
