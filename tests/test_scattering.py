"""Laws of scattering, structure factors of disordered matter, and transmission."""

import jax
import numpy as np
import pytest
import xraylib
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xrdct_sim.physics.absorption import (
    optical_depth,
    transmission,
    transmission_in,
    transmission_out,
)
from xrdct_sim.physics.amorphous import (
    Halo,
    HaloPeak,
    amorphous_structure_factor,
    crystalline_window,
    gaussian_sum,
    structure_factor,
)
from xrdct_sim.physics.atoms import incoherent_function
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.material_files import load_material
from xrdct_sim.physics.scattering import (
    bandwidth_fwhm_rad,
    combined_fwhm,
    compton_parts_per_mm_sr,
    compton_ratio,
    place_diffuse,
    polarisation_parts,
    ring_power_per_mm,
    size_fwhm_rad,
    strain_fwhm_rad,
)
from xrdct_sim.physics.tables import material_scattering

ENERGY_KEV = 69.95
WAVELENGTH_A = HC_KEV_A / ENERGY_KEV
HALOS = ("PP", "PE", "Nylon66", "PVDF", "KOH30", "glass", "C", "Kapton")


def test_iron_110_carries_its_textbook_power():
    """Hand calculation: r_e² λ³ m|F|²/(4 v² sinθ) with |F| = 36.15, λ = 0.17725 Å, d = 2.0269 Å."""
    sine = 0.17725 / (2 * 2.0269)
    expected = 7.94079e-10 * 0.17725**3 * 12 * 36.15**2 / (4 * 23.5535**2 * sine) * 1e7
    rings = material_scattering(load_material("Fe"), ENERGY_KEV, 4.0).rings
    # density 7.86 as given, not the 7.874 of the cell: 0.2 %; |F| to 4 digits
    assert rings.power_per_mm[0] == pytest.approx(expected, rel=0.003)


def test_polarisation_of_dipoles_seen_in_and_across_the_plane_of_the_field():
    angle = np.linspace(0, np.pi, 7)
    a, b = polarisation_parts(angle)
    np.testing.assert_allclose(a - b, np.cos(angle) ** 2, atol=1e-15)  # in the field's plane
    np.testing.assert_allclose(a + b, 1.0, atol=1e-15)  # across it


@pytest.mark.parametrize("symbol", ["O", "Fe"])
@pytest.mark.parametrize("two_theta_deg", [2.0, 20.0, 90.0, 150.0])
@pytest.mark.parametrize("chi_deg", [0.0, 30.0, 90.0])
def test_compton_of_a_polarised_beam_equals_xraylibs_polarised_cross_section(
    symbol, two_theta_deg, chi_deg
):
    angle, chi = np.radians(two_theta_deg), np.radians(chi_deg)
    s = np.sin(angle / 2) / WAVELENGTH_A
    a, b = compton_parts_per_mm_sr(angle, ENERGY_KEV, incoherent_function(symbol, s))
    found = (a - np.cos(2 * chi) * b) / 1e7 * 1e8  # one atom per Å³: 1/mm -> 1/Å -> barn
    z = xraylib.SymbolToAtomicNumber(symbol)
    expected = xraylib.DCSPb_Compt(z, ENERGY_KEV, angle, chi)
    assert found == pytest.approx(expected, rel=1e-5)  # its constants


def test_backscattered_photons_lose_what_momentum_conservation_says():
    found = compton_ratio(np.array([0.0, np.pi]), 511.0)
    np.testing.assert_allclose(found, [1, 1 / 3], rtol=1e-5)  # 511 keV is mc² to 2e-6


def test_diffuse_scattering_is_variance_of_a_position():
    """Two species at random: o1 o2 |f1 - f2|²; frozen atoms of one kind: none."""
    s = np.linspace(0, 2, 5)
    f = np.array([np.full(5, 20 + 1j), np.full(5, 8 + 0j)])
    frozen = place_diffuse(s, np.array([0.3, 0.7]), f, np.zeros(2))
    np.testing.assert_allclose(frozen, 0.3 * 0.7 * abs(12 + 1j) ** 2, rtol=1e-12)  # rounding
    np.testing.assert_allclose(place_diffuse(s, np.ones(1), f[:1], np.zeros(1)), 0, atol=1e-12)
    shaking = place_diffuse(s, np.ones(1), f[:1], np.array([0.5]))
    np.testing.assert_allclose(shaking, 401 * (1 - np.exp(-(s**2))), atol=1e-10)  # 1 - e^(-2Bs²)


positions = st.floats(0.01, 0.9)


@settings(deadline=None)
@given(sine=positions, scale=st.floats(0.2, 5.0))
def test_ring_power_keeps_photons_when_every_length_is_scaled(sine, scale):
    """C_h times a length has no unit: it is unchanged when λ, the cell and the path grow alike
    except for r_e², which stays: C_h L ~ r_e² λ³ L / v² ~ 1/scale².
    """
    args = (np.array([6.0]), np.array([100.0]))
    one = ring_power_per_mm(1.0, *args, 50.0, 1 / 50.0, np.array([sine]))
    two = ring_power_per_mm(scale, *args, 50.0 * scale**3, 1 / (50.0 * scale**3), np.array([sine]))
    np.testing.assert_allclose(two * scale, one / scale**2, rtol=1e-12)  # rounding


@settings(deadline=None)
@given(angle=st.floats(0.01, 1.5), spread=st.floats(1e-5, 1e-3))
def test_energy_and_spacing_spreads_move_a_ring_as_bragg_says(angle, spread):
    """Differences of 2 asin(λ/2d) over a small change of λ or d."""

    def ring(wavelength, spacing):
        return 2 * np.arcsin(wavelength / (2 * spacing))

    spacing = 1 / (2 * np.sin(angle / 2))
    moved = ring(1 + spread / 2, spacing) - ring(1 - spread / 2, spacing)
    np.testing.assert_allclose(bandwidth_fwhm_rad(np.array(angle), spread), moved, rtol=1e-5)
    sigma = ring(1, spacing * (1 - spread / 2)) - ring(1, spacing * (1 + spread / 2))
    found = strain_fwhm_rad(np.array(angle), spread)
    np.testing.assert_allclose(found, 2.354820045 * sigma, rtol=1e-5)  # second order in spread


def test_a_stack_of_planes_blurs_its_own_ring_as_scherrer_says():
    """Interference function of N planes, spacing d: FWHM 0.886 λ/(N d cosθ); Gaussian fit 0.94."""
    n, spacing, wavelength = 50, 2.0, 0.2
    theta_0 = np.arcsin(wavelength / (2 * spacing))
    theta = theta_0 + np.linspace(-2e-3, 2e-3, 40001)
    phase = 2 * np.pi * spacing * np.sin(theta) / wavelength
    intensity = (np.sin(n * phase) / np.sin(phase)) ** 2
    above = theta[intensity > intensity.max() / 2]
    exact = 2 * (above[-1] - above[0])
    found = size_fwhm_rad(wavelength, np.array(2 * theta_0), n * spacing)
    assert float(found) == pytest.approx(exact, rel=0.07)  # shape factor 0.94 against 0.886


def test_widths_of_gaussians_add_in_squares():
    assert combined_fwhm(np.array(3.0), np.array(4.0)) == pytest.approx(5.0)


@settings(deadline=None)
@given(
    s0=st.floats(0, 1),
    cut_off=st.floats(0.5, 3),
    height=st.floats(0, 3),
    width=st.floats(0.1, 1.0),
)
def test_disorder_forgets_itself_at_large_q(s0, cut_off, height, width):
    halo = Halo(
        s0=s0,
        cut_off_per_A=cut_off,
        exponent=4,
        peaks=(HaloPeak(q_per_A=1.5, height=height, fwhm_per_A=width),),
    )
    ends = amorphous_structure_factor(np.array([0.0, 12.0]), halo)
    far = height * np.exp(-4 * np.log(2) * (1.5 / width) ** 2)
    assert ends[0] == pytest.approx(s0 + far, abs=1e-12)  # rounding
    assert ends[1] == pytest.approx(1.0, abs=1e-12)  # rounding


@pytest.mark.parametrize("name", HALOS)
def test_every_structure_factor_tends_to_one_and_stays_positive(name):
    q = np.linspace(0, 30, 6001)
    found = structure_factor(q, load_material(name).halo, np.ones_like(q))
    assert found.min() > 0
    np.testing.assert_allclose(found[q > 12], 1.0, atol=1e-6)  # tails of the halos


@pytest.mark.parametrize("name", ["PP", "PE", "Nylon66", "PVDF"])
def test_crystallites_carry_their_share_and_take_it_from_the_halo(name):
    halo = load_material(name).halo
    q = np.linspace(0, 30, 60001)
    weight = 1 / (1 + q**2)
    measure = weight * q
    amorphous = amorphous_structure_factor(q, halo)
    found = structure_factor(q, halo, weight)
    assert np.trapezoid(found * measure, q) == pytest.approx(
        np.trapezoid(amorphous * measure, q), rel=1e-9
    )  # rounding: no photon is made
    window = crystalline_window(q, halo.crystalline)
    lines = found - amorphous * (1 - halo.crystalline.fraction * window)
    shape = gaussian_sum(q, halo.crystalline.lines)
    share = np.trapezoid(lines * measure, q) / np.trapezoid(window * amorphous * measure, q)
    assert share == pytest.approx(halo.crystalline.fraction, rel=1e-9)  # rounding
    np.testing.assert_allclose(lines * shape.max(), shape * lines.max(), atol=1e-9)


def test_a_table_of_a_crystal_has_rings_and_one_of_a_glass_has_none():
    iron = material_scattering(load_material("Fe"), ENERGY_KEV, 6.0)
    glass = material_scattering(load_material("glass"), ENERGY_KEV, 6.0)
    assert glass.rings is None
    angle = 2 * np.arcsin(WAVELENGTH_A / (2 * 2.0269))
    assert iron.rings.two_theta_rad[0] == pytest.approx(angle, rel=1e-4)  # digits of d
    assert iron.rings.q_per_A.max() <= 6.0
    reach = 2 * np.arcsin(6.0 * WAVELENGTH_A / (4 * np.pi))
    assert iron.two_theta_rad[-1] == pytest.approx(reach, rel=1e-12)  # rounding


rays = arrays(float, 8, elements=st.floats(0, 5))  # one shape: one compilation


@settings(deadline=None)
@given(mu_per_mm=rays, step_mm=st.floats(0.01, 1))
def test_halving_the_voxels_changes_nothing(mu_per_mm, step_mm):
    """The two halves' log-transmissions average to that of the whole voxel."""
    with jax.enable_x64(True):
        whole = np.log(transmission_in(mu_per_mm, step_mm))
        halves = np.log(transmission_in(np.repeat(mu_per_mm, 2), step_mm / 2))
    np.testing.assert_allclose(halves.reshape(8, 2).mean(axis=1), whole, atol=1e-12)  # rounding


@settings(deadline=None)
@given(mu_per_mm=rays, step_mm=st.floats(0.01, 1))
def test_in_times_out_is_the_whole_rays_transmission_wherever_light_scatters(mu_per_mm, step_mm):
    with jax.enable_x64(True):
        both = transmission_in(mu_per_mm, step_mm) * transmission_out(mu_per_mm, step_mm)
        whole = transmission(optical_depth(mu_per_mm, np.full(8, step_mm)))
    np.testing.assert_allclose(both, float(whole), rtol=1e-12)  # rounding


def test_seven_tenths_of_an_optical_depth_halve_a_beam():
    depth = optical_depth(np.array([2.0, 0.5]), np.array([[0.3, np.log(2) * 2 - 1.2]]))
    assert float(transmission(depth)[0]) == pytest.approx(0.5, rel=1e-6)  # float32
