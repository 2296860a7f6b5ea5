"""What the panel does to rings: depth in the sensor, depth in the sample, the beamstop."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from cells import COARSE, NOTHING, detector, discs, experiment, scan_plan
from hypothesis import given
from hypothesis import strategies as st

from xrdct_sim.instrument.detector import sensor_depths, sensor_efficiency
from xrdct_sim.simulate.rings import sensor_shift, solid_angle_ratio
from xrdct_sim.simulate.run import SimulatedScan

PANEL = detector("Pilatus300k", binning=1)


@given(mu=st.floats(0.01, 20), thickness=st.floats(0.05, 2), tilt_rad=st.floats(0, 0.9))
def test_photons_are_absorbed_at_their_mean_depth(mu, thickness, tilt_rad):
    """<d> = 1/k - t exp(-k t)/(1 - exp(-k t)), k = mu/cos a."""
    cosine = np.cos(tilt_rad)
    depths, weights = sensor_depths(mu, thickness, jnp.array([cosine]), 12)
    k = mu / cosine
    law = 1 / k - thickness / np.expm1(k * thickness)
    found = float(np.sum(np.asarray(depths) * np.asarray(weights)[:, 0]))
    # 12 Gauss nodes hold exp(-k t) to k t = 60 within 1 %; single precision below
    assert found == pytest.approx(law, rel=0.01 if k * thickness > 20 else 1e-4, abs=1e-5)
    assert float(np.sum(np.asarray(weights))) == pytest.approx(1, abs=1e-5)


@given(mu=st.floats(0.01, 5), thickness=st.floats(0.05, 2), cosine=st.floats(0.3, 1))
def test_a_sensor_of_two_layers_absorbs_what_the_layers_absorb(mu, thickness, cosine):
    whole = float(sensor_efficiency(mu, thickness, cosine))
    half = float(sensor_efficiency(mu, thickness / 2, cosine))
    assert whole == pytest.approx(half + (1 - half) * half, rel=1e-9)  # double precision


def test_depth_in_the_sensor_moves_a_ring_outward_and_keeps_its_photons():
    """Mean radius r (1 + <d>/D): photons stay, in number, on their way."""
    phantom = discs((0, 0, 0.5), material="Al")
    scan = scan_plan(1, 0.5, translations_mm=np.zeros(1), rotations_rad=np.zeros(1))
    accuracy = replace(COARSE, profile_per_pixel=16)
    made = experiment(phantom, scan, NOTHING, accuracy, panel=PANEL)
    radii = made.layout.radii_mm()
    distance = 260.0
    centre = 30.0
    ring = np.exp(-((radii - centre) ** 2) / (2 * 0.2**2))
    moved = np.asarray(sensor_shift(jnp.asarray(ring), made.detector, made.layout), float)

    def photons(profile: np.ndarray) -> np.ndarray:
        return profile * radii / (distance**2 + radii**2) ** 1.5

    before, after = photons(ring), photons(moved)
    assert after.sum() == pytest.approx(before.sum(), rel=2e-5)  # interpolation between radii
    shift = (after @ radii) / after.sum() - (before @ radii) / before.sum()
    cosine = distance / np.hypot(distance, centre)
    k = float(made.detector.sensor_mu_per_mm) / cosine
    depth = 1 / k - 0.5 / np.expm1(0.5 * k)
    assert shift == pytest.approx(centre * depth / distance, rel=0.01)  # 30 um in steps of 11


@given(depth=st.floats(-5, 5), radius=st.floats(1, 200))
def test_solid_angles_from_a_depth_are_those_of_the_vectors(depth, radius):
    """cos a / L² of a pixel, seen from (depth, 0, 0) and from the axis."""

    def seen_from(x: float) -> float:
        vector = np.array([260.0 - x, radius, 0.0])
        length = np.linalg.norm(vector)
        return float(vector[0] / length**3)

    found = float(solid_angle_ratio(260.0, depth, radius))
    assert found == pytest.approx(seen_from(depth) / seen_from(0.0), rel=5e-6)  # single precision


def test_the_beamstop_hides_what_lies_in_its_shadow_and_nothing_else():
    phantom = discs((0, 0, 0.5), material="Kapton")
    scan = scan_plan(1, 0.5, translations_mm=np.zeros(1), rotations_rad=np.zeros(1))
    effects = replace(NOTHING, amorphous=True, compton=True, beamstop=True)
    made = experiment(phantom, scan, effects, panel=PANEL)
    simulated = SimulatedScan(made)
    image = simulated.expected(0)
    p1, p2 = made.detector.plane_mm.T - made.detector.poni_mm[:, None]
    radius = np.hypot(p1, p2).reshape(image.shape)
    shadow = 1.0 * 260 / 40  # 1 mm at 40 mm, on the panel at 260 mm
    assert np.all(image[radius < shadow * (1 - 1e-6)] == 0)
    assert np.all(image[radius > shadow * (1 + 1e-6)] > 0)
    assert np.all(simulated.info().mask[radius < shadow])
