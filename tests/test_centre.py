"""The rotation axis is found to a fraction of a step, with an error bar that holds."""

import numpy as np
import pytest
from analytic import ellipse_sinogram
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdct_sim.recover.centre import find_axis

STEP = 0.05
T = (np.arange(80) - 39.5) * STEP + 3.0
RANGES = {
    "half": np.arange(60) * np.pi / 60,
    "half with end": np.linspace(0, np.pi, 61),
    "whole": np.arange(120) * np.pi / 60,
}
CELL = [
    (1.0, 1.2, 1.2, 0.1, -0.05, 0.0),
    (4.0, 0.2, 0.6, 0.3, 0.4, 30.0),
    (8.0, 0.1, 0.1, -0.6, 0.5, 0.0),
]


@settings(deadline=None, max_examples=15)
@given(shift=st.floats(-4, 4))
@pytest.mark.parametrize("kind", RANGES)
def test_axis_is_found_without_noise(kind: str, shift: float) -> None:
    """Any position between the steps; over half a turn and a whole one."""
    axis = 3.0 + shift * STEP
    sinogram = ellipse_sinogram(CELL, T, RANGES[kind], axis_mm=axis, beam_mm=STEP)
    found = find_axis(sinogram, np.full_like(sinogram, 1e-12), T, RANGES[kind])
    # chords sampled across a beam of one step: the centre of mass is exact to quadrature
    assert found.position_mm == pytest.approx(axis, abs=0.01 * STEP)


@pytest.mark.parametrize("kind", RANGES)
def test_error_bar_of_the_axis_covers_it(kind: str) -> None:
    """300 noisy scans at a few counts a ray: pulls of unit width and no bias."""
    rng = np.random.default_rng(4)
    sinogram = ellipse_sinogram(CELL, T, RANGES[kind], axis_mm=3.04, beam_mm=STEP)
    mean = 3.0 * sinogram
    pulls, errors = [], []
    for _ in range(300):
        counts = rng.poisson(mean)
        found = find_axis(counts, counts.astype(float), T, RANGES[kind])
        pulls.append((found.position_mm - 3.04) / found.error_mm)
        errors.append(found.error_mm)
    # standard errors of 300 draws: 0.058 and 0.041; taking the residuals' scatter only when it
    # is larger than the noise makes the pulls narrower by some 5 %
    assert abs(np.mean(pulls)) < 0.25
    assert 0.8 < np.std(pulls) < 1.15
    assert np.mean(errors) < 0.3 * STEP


@pytest.mark.parametrize("kind", RANGES)
def test_absorption_and_a_constant_background_do_not_move_the_axis(kind: str) -> None:
    """A steel-like inclusion absorbs off centre; projections from behind stay mirror images."""
    axis = 3.03
    absorbed = [(0.3, 1.2, 1.2, 0.1, -0.05, 0.0), (1.0, 0.3, 0.2, 0.5, -0.3, 0.0)]
    sinogram = ellipse_sinogram(CELL, T, RANGES[kind], axis_mm=axis, beam_mm=STEP)
    depth = ellipse_sinogram(absorbed, T, RANGES[kind], axis_mm=axis, beam_mm=STEP)
    seen = sinogram * np.exp(-depth) + 0.5
    found = find_axis(seen, np.full_like(seen, 1e-12), T, RANGES[kind])
    # fifth and higher odd harmonics of the absorption are left over in half a turn
    limit = 0.01 if kind == "whole" else 0.1
    assert found.position_mm == pytest.approx(axis, abs=limit * STEP)


def test_a_scan_that_cannot_tell_is_refused() -> None:
    """Too few rotations, too little signal."""
    noise = np.random.default_rng(0).standard_normal((80, 60))
    with pytest.raises(ValueError, match="too little signal"):
        find_axis(noise, np.ones_like(noise), T, RANGES["half"])
    with pytest.raises(ValueError, match="needs 7"):
        find_axis(noise[:, :3], np.ones((80, 3)), T, RANGES["half"][:3])
