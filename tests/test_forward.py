"""The forward model against closed forms and symmetries."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import COARSE, NOTHING, beam, default_cell, detector, discs, experiment, scan_plan

from xrdct_sim.instrument.effects import Effects, effect_names
from xrdct_sim.simulate.model import expected_frame
from xrdct_sim.simulate.run import ORDERS, SimulatedScan

DISTANCE_MM = 260.0
RING_ONLY = replace(NOTHING, bragg=True, footprint=True)
SMALL_PIXELS = detector("Pilatus300k", binning=1)  # 172 um: rings apart by many pixels
FINE = replace(COARSE, depth_step_mm=0.02, depth_bin_fwhm=0.1, profile_per_pixel=8)


def ring_moments(simulated: SimulatedScan, two_theta_rad: float, rotation: int) -> tuple:
    """Weight, mean radius and variance of one ring, summed over the rays of a rotation."""
    layout = simulated.experiment.layout
    radii = layout.radii_mm()
    centre = DISTANCE_MM * np.tan(two_theta_rad)
    near = np.abs(radii - centre) < 1.5
    profile = np.asarray(simulated.block(0, rotation).profiles, float)[:, 0].sum(axis=0)[near]
    r = radii[near]
    density = profile * r / (DISTANCE_MM**2 + r**2) ** 1.5  # photons per mm of radius
    weight = density.sum()
    mean = (density * r).sum() / weight
    return weight, mean, (density * (r - mean) ** 2).sum() / weight


def lone_ring(phantom, scan, effects=RING_ONLY, accuracy=FINE, source=None, panel=None):
    """A simulation of discs and the angle of their material's 111 ring."""
    made = experiment(phantom, scan, effects, accuracy, source, panel or SMALL_PIXELS)
    return SimulatedScan(made), float(made.tables[0].rings.two_theta_rad[0])


def turns(count: int, range_rad: float) -> np.ndarray:
    return np.arange(count) * range_rad / count


@pytest.mark.parametrize(("x", "y"), [(0.0, 2.5), (3.0, 0.0), (-1.5, -2.0)])
@pytest.mark.parametrize("full_turn", [False, True])
def test_parallax_moves_a_ring_by_its_law(x, y, full_turn):
    """180°: relative shift (2/pi) y0/D. 360°: none, and a variance rho²/(2 D²) instead."""
    count, span = 24, 2 * np.pi if full_turn else np.pi
    scan = scan_plan(25, 0.35, rotations_rad=turns(count, span))
    phantom = discs((x, y, 0.2), material="Al")
    effects = replace(RING_ONLY, sample_parallax=True)
    simulated, two_theta = lone_ring(phantom, scan, effects)
    straight, _ = lone_ring(phantom, scan)
    found = [ring_moments(simulated, two_theta, k) for k in range(count)]
    _, reference, width = ring_moments(straight, two_theta, 0)
    means = np.array([m[1] for m in found])
    spread = means.var() + np.mean([m[2] for m in found]) - width
    # the sum over 24 rotations of a sine stands for its integral to (pi/24)²/12 = 1.4e-3;
    # r0 = 29 mm, so that 2e-6 of it is a 5000th of a pixel
    rho = np.hypot(x, y)
    if full_turn:
        assert means.mean() / reference - 1 == pytest.approx(0, abs=2e-6)
        own = 0.2**2 / 4  # a disc of radius a about its centre: variance a²/4 along the beam
        law = (rho**2 / 2 + own) / DISTANCE_MM**2
        assert spread / reference**2 == pytest.approx(law, rel=0.01)
    else:
        law = 2 / np.pi * y / DISTANCE_MM
        # the sampled half turn also leaves x cos 0 / 24: the end point is not in the scan
        sampled = np.mean(-x * np.cos(turns(count, span)) + y * np.sin(turns(count, span)))
        assert means.mean() / reference - 1 == pytest.approx(sampled / DISTANCE_MM, abs=3e-6)
        assert sampled == pytest.approx(law * DISTANCE_MM, abs=1.001 * np.hypot(x, y) / count)


def test_bandwidth_widens_a_ring_by_its_law():
    """Delta r/r = (Delta E/E)/(cos²theta cos 2theta) on a flat panel."""
    phantom = discs((0, 0, 0.3), material="Al")
    scan = scan_plan(5, 0.15, rotations_rad=np.zeros(1))
    wide, two_theta = lone_ring(phantom, scan, replace(RING_ONLY, bandwidth=True))
    narrow, _ = lone_ring(phantom, scan)
    _, radius, variance = ring_moments(wide, two_theta, 0)
    added = variance - ring_moments(narrow, two_theta, 0)[2]
    relative = 0.3 / 69.95 / 2.3548
    law = radius * relative / (np.cos(two_theta / 2) ** 2 * np.cos(two_theta))
    # second moment of sampled Gaussians on a grid of a 24th of a pixel
    assert np.sqrt(added) == pytest.approx(law, rel=0.01)


def test_a_ring_carries_the_power_of_its_law():
    """Counts of a ring = I0 t x length x C_h <P> x efficiency; here P's mean A(2 theta)."""
    phantom = discs((0, 0, 0.6), material="Al")
    scan = scan_plan(1, 0.1, translations_mm=np.zeros(1), rotations_rad=np.zeros(1))
    narrow = beam(width_mm=0.001)
    panel = SMALL_PIXELS
    effects = replace(RING_ONLY, solid_angle=True, point_spread=True)
    made = experiment(phantom, scan, effects, FINE, narrow, panel)
    simulated = SimulatedScan(made)
    rings = made.tables[0].rings
    geometry = np.asarray(simulated.expected(0), float)
    two_theta = float(rings.two_theta_rad[0])
    p1, p2 = made.detector.plane_mm.T - made.detector.poni_mm[:, None]
    radius = np.hypot(p1, p2).reshape(made.detector.shape)
    near = np.abs(radius - DISTANCE_MM * np.tan(two_theta)) < 1.5
    length = 1.2  # through the centre of the disc; a beam of 1 um sees it to 1e-6
    power = 5e11 * 0.05 * length * float(rings.power_per_mm[0]) * (1 + np.cos(two_theta) ** 2) / 2
    # pixels of 0.17 mm sample a ring of 0.3 mm FWHM; its neighbour 200 is 3 mm away
    assert geometry[near].sum() == pytest.approx(power, rel=2e-4)


def test_frames_of_two_bodies_add_where_nothing_is_absorbed():
    effects = replace(Effects(), absorption=False, dark=False, noise=False)
    scan = scan_plan(7, 0.8, 2)
    one, two = (1.0, 0.5, 0.6), (-1.4, -0.6, 0.4)
    images = [
        SimulatedScan(experiment(discs(*bodies, material="Al"), scan, effects)).expected(3)
        for bodies in ((one,), (two,), (one, two))
    ]
    scale = images[2].max()
    np.testing.assert_allclose(images[0] + images[1], images[2], atol=3e-6 * scale)  # single


def test_counts_grow_with_flux_and_exposure():
    effects = replace(Effects(), noise=False, dark=False)
    phantom = discs((0, 0, 1.0), material="Al")
    base = SimulatedScan(experiment(phantom, scan_plan(3, 0.5, 1), effects)).expected(1)
    longer = scan_plan(3, 0.5, 1, exposure_s=0.15)
    brighter = experiment(phantom, longer, effects, source=beam(flux_per_s=1e12))
    np.testing.assert_allclose(SimulatedScan(brighter).expected(1), 6 * base, rtol=3e-6)  # single


def test_turning_the_phantom_rolls_the_rotations():
    """A phantom turned by 30° seen at omega is the phantom seen at omega + 30°."""
    effects = replace(Effects(), noise=False)
    scan = scan_plan(5, 1.2, rotations_rad=np.deg2rad([10.0, 40.0]))
    cell = default_cell(texture__march_r_spread=0.0, texture__axis_spread_deg=0.0,
                        density__spread=0.0, film__x_mm=0.1)  # fmt: skip
    turned = default_cell(texture__march_r_spread=0.0, texture__axis_spread_deg=0.0,
                          density__spread=0.0, film__tilt_azimuth_deg=75.0,
                          film__x_mm=0.1 * np.cos(np.pi / 6),
                          film__y_mm=0.1 * np.sin(np.pi / 6))  # fmt: skip
    first = SimulatedScan(experiment(turned, scan, effects))
    second = SimulatedScan(experiment(cell, scan, effects))
    for translation in range(5):
        image, other = first.expected(translation), second.expected(5 + translation)
        np.testing.assert_allclose(image, other, atol=2e-5 * image.max())  # single precision


def test_a_random_texture_is_a_powder():
    """march_r = 1 through the harmonics gives the frame of the untextured route."""
    scan = scan_plan(3, 0.5, 1)
    effects = replace(Effects(), noise=False)
    phantom = discs((0.3, 0, 1.0), with_texture=True, march_r=1.0)
    textured = SimulatedScan(
        experiment(phantom, scan, effects, replace(COARSE, texture_depth_bins=40))
    )
    powder = replace(phantom, with_texture=False)
    plain = SimulatedScan(experiment(powder, scan, effects))
    image, other = textured.expected(1), plain.expected(1)
    # depth bins differ (11 against 40), which moves the rings' tails by (0.4 FWHM)²/24
    np.testing.assert_allclose(image, other, atol=0.01 * other.max())
    assert image.sum() == pytest.approx(other.sum(), rel=2e-4)  # both keep photons


def test_an_upright_fibre_gathers_the_003_ring_at_its_poles():
    """cos chi = cos theta cos eta: the profile on the ring is March-Dollase itself."""
    scan = scan_plan(1, 0.5, translations_mm=np.zeros(1), rotations_rad=np.zeros(1))
    accuracy = replace(COARSE, texture_tolerance=1e-4)
    phantom = discs((0, 0, 0.5), with_texture=True, march_r=0.6)
    effects = replace(NOTHING, bragg=True, texture=True, solid_angle=True, point_spread=True)
    made = experiment(phantom, scan, effects, accuracy, panel=SMALL_PIXELS)
    image = SimulatedScan(made).expected(0).astype(float)
    p1, p2 = made.detector.plane_mm.T - made.detector.poni_mm[:, None]
    eta = np.arctan2(p1, p2).reshape(image.shape) - np.pi / 2
    radius = np.hypot(p1, p2).reshape(image.shape)
    two_theta = float(made.tables[0].rings.two_theta_rad[0])
    near = np.abs(radius - DISTANCE_MM * np.tan(two_theta)) < 0.8
    folded = np.abs(np.arcsin(np.sin(eta[near])))
    sector = np.digitize(folded, np.deg2rad([0, 15, 30, 45, 60, 75, 90])) - 1
    found = np.bincount(sector, image[near], minlength=6)
    fine = (np.arange(6000) + 0.5) * np.pi / 12000
    cosine = np.cos(two_theta / 2) * np.cos(fine)
    density = (0.36 * cosine**2 + (1 - cosine**2) / 0.6) ** -1.5
    law = density.reshape(6, 1000).mean(axis=1)
    # ring of 57 pixels radius, band of 9: at each edge of a sector some 9 of its 140 pixels
    # go whole to one side
    np.testing.assert_allclose(found / found.sum(), law / law.sum(), rtol=0.04)
    power = float(np.asarray(made.tables[0].rings.power_per_mm)[0])
    total = 5e11 * 0.05 * 1.0 * power * (1 + np.cos(two_theta) ** 2) / 2 * law.mean()
    assert found.sum() == pytest.approx(total, rel=2e-3)  # point-sampled pixels


@pytest.mark.parametrize("order", ORDERS)
def test_a_frame_has_the_same_bits_whenever_it_is_asked_for(order):
    cell, scan = default_cell(), scan_plan(4, 1.5, 3, order=order)
    forwards = SimulatedScan(experiment(cell, scan))
    backwards = SimulatedScan(experiment(cell, scan))
    count = len(scan.place())
    first = [forwards.frame(i) for i in range(count)]
    for i in reversed(range(count)):
        np.testing.assert_array_equal(backwards.frame(i), first[i])


def test_orders_of_acquisition_hold_the_same_places():
    places = [scan_plan(3, 1.0, 4, order=order).place() for order in ORDERS]
    for place in places:
        assert len(np.unique(place, axis=0)) == 12
    np.testing.assert_array_equal(places[0][:3, 1], [0, 1, 2])  # translations fast
    np.testing.assert_array_equal(places[1][:4, 2], [0, 1, 2, 3])  # rotations fast
    np.testing.assert_array_equal(places[2][:6, 1], [0, 1, 2, 2, 1, 0])  # zigzag


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in effect_names() if name != "noise"])
def test_each_effect_changes_the_frame(name):
    """Switching any one effect off is seen in the expected counts; noise is not in them."""
    material = "Kapton" if name == "amorphous" else "LiCoO2"
    textured = material == "LiCoO2"
    phantom = discs((0.3, 0.2, 1.5), material=material, march_r=0.6, with_texture=textured)
    scan, panel = scan_plan(2, 0.6, 1), detector(binning=16)
    whole = SimulatedScan(experiment(phantom, scan, panel=panel)).expected(1)
    effects = replace(Effects(), **{name: False})
    changed = SimulatedScan(experiment(phantom, scan, effects, panel=panel)).expected(1)
    assert np.max(np.abs(changed - whole)) > 1e-4  # counts; dark alone adds 5e-4


def test_gradients_of_a_frame_are_finite_differences():
    """Of a weighted sum of pixels, in flux, distance, point spread, tilt and thickness."""
    with jax.enable_x64(True):
        made = experiment(default_cell(), scan_plan(2, 1.0, 1), panel=detector(binning=32))
        weights = np.random.default_rng(0).uniform(size=made.detector.shape)

        def total(values):
            camera = replace(made.detector, distance_mm=values[1], psf_fwhm_mm=values[2])
            cell = replace(made.phantom, film_tilt=values[3], film_thickness=values[4],
                           march_r=values[5], can_radius=values[6])  # fmt: skip
            image = expected_frame(
                cell, replace(made.beam, flux_per_s=values[0] * 1e11), camera, made.tables,
                made.layout, translation_mm=0.5, rotation_rad=0.3, height_mm=0.02,
                exposure_s=0.05,
            )  # fmt: skip
            return jnp.sum(image * weights) * 1e-8

        at = np.array([5.0, 260.0, 3.0, 0.014, 0.088, 0.6, 3.95])
        steps = np.array([1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-4, 1e-5])
        compiled = jax.jit(total)
        found = np.asarray(jax.jit(jax.grad(total))(at))
        for k, step in enumerate(steps):
            move = np.eye(len(at))[k] * step
            slope = (float(compiled(at + move)) - float(compiled(at - move))) / (2 * step)
            # central differences: (step/scale)² < 1e-4 everywhere; linear interpolation has
            # kinks where a pixel crosses a grid point, which 1e-4 mm of distance meets rarely
            assert found[k] == pytest.approx(slope, rel=2e-3, abs=1e-4 * abs(found).max())
