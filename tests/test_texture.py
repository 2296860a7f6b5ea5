"""Fibre texture: pole densities are normalised, rotate with the sample, and match quadrature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.integrate import quad
from scipy.special import sph_harm_y

from xrdct_sim.physics.material_files import load_structure
from xrdct_sim.physics.reflections import family_legendre
from xrdct_sim.physics.texture import (
    degree_for,
    direction_harmonics,
    harmonic_orders,
    legendre_even,
    march_dollase,
    rotate_about_z,
    scattering_direction,
    zonal_coefficients,
)

march = st.floats(0.3, 1.5)
angle = st.floats(-np.pi, np.pi)
direction = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).filter(
    lambda v: np.linalg.norm(v) > 0.1
)


def unit(v: tuple[float, float, float]) -> np.ndarray:
    return np.asarray(v) / np.linalg.norm(v)


@given(march_r=march)
def test_the_mean_pole_density_over_the_sphere_is_one(march_r):
    mean, _ = quad(
        lambda t: float(march_dollase(np.float64(t), march_r)), 0, 1, epsabs=1e-5, epsrel=1e-5
    )
    assert mean == pytest.approx(1, abs=1e-5)  # the tolerance of quad, above single precision


@given(march_r=march)
def test_the_series_keeps_the_mean_and_the_order_parameter(march_r):
    """S = a_2/5 has a closed form: (3 <t²> - 1)/2 with b = r³."""
    a = np.asarray(zonal_coefficients(march_r, 8), float)
    b = march_r**3
    e = 1 - b
    if abs(e) < 1e-2:
        return  # the closed form loses its digits next to the random limit
    if e > 0:
        squared = 1 / e - np.sqrt(b) * np.arcsin(np.sqrt(e)) / e**1.5
    else:
        squared = 1 / e + np.sqrt(b) * np.arcsinh(np.sqrt(-e)) / (-e) ** 1.5
    assert a[0] == pytest.approx(1, abs=2e-6)  # single precision
    assert a[1] / 5 == pytest.approx((3 * squared - 1) / 2, abs=5e-6)  # single precision


def test_a_march_parameter_of_one_is_a_random_powder():
    a = np.asarray(zonal_coefficients(1.0, 20), float)
    np.testing.assert_allclose(a, np.eye(11)[0], atol=5e-6)  # single precision times 2l + 1 = 41


@given(march_r=st.floats(0.35, 0.85))
def test_the_width_of_march_dollase_is_its_closed_form(march_r):
    """FWHM = 2 asin sqrt(0.58740 r³/(1 - r³)): half the peak is reached there."""
    sine = np.sqrt(0.5874010520 * march_r**3 / (1 - march_r**3))
    if sine > 1:
        return  # no half-width exists
    half = float(march_dollase(np.sqrt(1 - sine**2), march_r))
    assert half * march_r**3 == pytest.approx(0.5, abs=2e-6)  # single precision


@given(march_r=st.floats(0.4, 1.4), cosine=st.floats(-1, 1), rho=st.floats(0, np.pi / 2))
def test_the_series_is_the_integral_over_the_fibre(march_r, cosine, rho):
    """P_h(chi) = (1/pi) ∫ F(cos rho cos chi + sin rho sin chi cos psi) dpsi, midpoint rule."""
    l_max = degree_for(0.4, 1.4, 1e-4)
    weights = np.asarray(legendre_even(np.cos(rho), l_max), float)
    a = np.asarray(zonal_coefficients(march_r, l_max), float)
    series = float(np.sum(a * weights * np.asarray(legendre_even(cosine, l_max), float)))
    psi = (np.arange(128) + 0.5) * np.pi / 128
    sine = np.sqrt(1 - cosine**2)
    argument = np.cos(rho) * cosine + np.sin(rho) * sine * np.cos(psi)
    integral = float(np.mean(np.asarray(march_dollase(argument, march_r), float)))
    peak = max(march_r**-3, march_r**1.5)
    assert series == pytest.approx(integral, abs=1e-3 * peak)  # ten times the series' tolerance


def test_families_of_licoo2_stand_at_their_crystallographic_angles():
    """003 at 0°, 104 at 55.23°, 110 at 90° from c*; P_2 of the mean gives the angle back."""
    structure = load_structure("LiCoO2.cif")
    zonal = family_legendre(structure, np.array([[0, 0, 3], [1, 0, 4], [1, 1, 0]]), 2)
    rho = np.rad2deg(np.arccos(np.sqrt((2 * zonal[:, 1] + 1) / 3)))
    np.testing.assert_allclose(rho, [0, 55.23, 90], atol=0.01)  # cell constants to 4 digits


@given(n=direction, q=direction)
def test_harmonics_add_up_to_legendre_functions_of_the_angle_between(n, q):
    degrees = harmonic_orders(20, 20)
    product = np.asarray(direction_harmonics(unit(n), 20, 20), float)
    product = product * np.asarray(direction_harmonics(unit(q), 20, 20), float)
    sums = [product[degrees == degree].sum() for degree in range(0, 21, 2)]
    expected = np.asarray(legendre_even(unit(n) @ unit(q), 20), float)
    np.testing.assert_allclose(sums, expected, atol=2e-5)  # 20 steps of single precision


@pytest.mark.parametrize(("degree", "order"), [(2, 1), (4, 3), (8, 0), (12, 12), (24, 5)])
def test_harmonics_are_scipys_up_to_schmidt_normalisation(degree, order):
    polar, azimuth = 0.7, 1.9
    v = np.array([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
    found = np.asarray(direction_harmonics(v, 24, 24), float)
    place = int(np.flatnonzero(harmonic_orders(24, 24) == degree)[0]) + max(2 * order - 1, 0)
    scipy = sph_harm_y(degree, order, polar, azimuth).real * np.sqrt(4 * np.pi / (2 * degree + 1))
    scale = (-1) ** order * (np.sqrt(2) if order else 1)
    assert found[place] == pytest.approx(scale * scipy, abs=1e-5)  # single precision, 24 steps


@given(n=direction, turn=angle, eta=angle, theta=st.floats(0.005, 0.2))
def test_turning_the_sample_is_turning_the_axis(n, turn, eta, theta):
    """q in the sample frame is R_z(-omega) q: both ways give one angle to the axis."""
    q = np.asarray(scattering_direction(theta, eta), float)
    axis_turned = np.asarray(rotate_about_z(unit(n), turn), float) @ q
    vector_turned = unit(n) @ np.asarray(rotate_about_z(q, -turn), float)
    assert axis_turned == pytest.approx(vector_turned, abs=1e-6)  # single precision


def test_only_an_upright_axis_shows_one_profile_at_all_rotations():
    eta = np.linspace(-np.pi, np.pi, 24, endpoint=False)
    q = np.asarray(scattering_direction(0.019, eta), float)
    for tilt, constant in ((0.0, True), (0.1, False)):
        axis = np.array([np.sin(tilt), 0, np.cos(tilt)])
        views = [np.asarray(rotate_about_z(axis, w), float) @ q.T for w in (0.0, 1.0, 2.0)]
        assert np.allclose(views[0], views[1:], atol=1e-6) is constant  # single precision


@settings(max_examples=10)
@given(march_r=st.floats(0.4, 1.4), cosine=st.floats(-0.9, 0.9))
def test_gradients_of_the_pole_density_are_finite_differences(march_r, cosine):
    check_grads(
        march_dollase, (np.float32(cosine), np.float32(march_r)), order=1, atol=2e-2, rtol=2e-2
    )


@pytest.mark.parametrize("march_r", [0.3, 0.5, 0.8, 1.0, 1.3, 1.5, 2.0])
def test_the_degree_kept_holds_the_series_on_both_sides_of_random(march_r):
    degree = degree_for(min(march_r, 1.0), max(march_r, 1.0), 3e-3)
    t = np.linspace(0, 1, 201)
    series = np.asarray(legendre_even(t, degree) @ zonal_coefficients(march_r, degree), float)
    exact = np.asarray(march_dollase(t, march_r), float)
    # ten times the first term left out: terms alternate, and fall by a factor of 1.5 or more
    assert np.max(np.abs(series - exact)) < 0.03 * exact.max()


def test_textures_too_sharp_for_the_series_are_refused():
    with pytest.raises(ValueError, match="March parameters"):
        degree_for(0.15, 1.0, 1e-3)
