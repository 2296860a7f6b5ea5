"""The whole chain, from phantom to maps, against closed forms and the exact truth."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import COARSE, NOTHING, default_cell, detector, discs, experiment, materials, scan_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdct_sim.instrument.effects import Effects
from xrdct_sim.judge.truth_patterns import reference_patterns, voxel_patterns
from xrdct_sim.physics.material_files import load_structure
from xrdct_sim.physics.texture import (
    direction_harmonics,
    harmonic_orders,
    legendre_even,
    mean_over_rotations,
    rotate_about_z,
    zonal_coefficients,
)
from xrdct_sim.recover.binning import BinningSettings, RingWindow, make_binning
from xrdct_sim.recover.peaks import PeakWindow
from xrdct_sim.recover.run import recover
from xrdct_sim.recover.settings import Peak, RecoverySettings, Reflection
from xrdct_sim.recover.texture import fit_lobes
from xrdct_sim.sample.phantom import TextureField
from xrdct_sim.sample.truth import scan_mean_pole_density, voxel_truth
from xrdct_sim.simulate.integrated import integrated_counts
from xrdct_sim.simulate.run import SimulatedScan

TWO_THETA = 0.0379  # of the 003 ring of LiCoO2 at 69.95 keV
SECTORS = (np.arange(180) + 0.5) * 2 * np.pi / 180 - np.pi
PANEL = detector("Pilatus300k", binning=1)
RING = RingWindow(
    q_per_A=(1.27, 1.41),
    background_per_A=((1.20, 1.235), (1.235, 1.27), (1.41, 1.445), (1.445, 1.48)),
)


def tilted(tilt_rad: float, azimuth_rad: float, march_r: float) -> TextureField:
    axis = [
        np.sin(tilt_rad) * np.cos(azimuth_rad),
        np.sin(tilt_rad) * np.sin(azimuth_rad),
        np.cos(tilt_rad),
    ]
    return TextureField(
        axis=jnp.array([axis]), march_r=jnp.array([march_r]), ordered=jnp.array([1.0])
    )


def turns(count: int, range_rad: float) -> np.ndarray:
    return np.arange(count) * range_rad / count


@given(tilt=st.floats(0, 0.5), azimuth=st.floats(0, 6), march_r=st.floats(0.5, 1.3))
@settings(max_examples=20)
def test_a_full_turn_multiplies_each_degree_by_its_legendre_function(tilt, azimuth, march_r):
    """360°: a_l -> a_l P_l(cos tilt), about the rotation axis, exactly."""
    texture = tilted(tilt, azimuth, march_r)
    harmonics = direction_harmonics(texture.axis, 20, 20)
    mean = np.asarray(mean_over_rotations(harmonics, turns(60, 2 * np.pi), 20, 20), float)[0]
    degrees = harmonic_orders(20, 20)
    upright = np.asarray(direction_harmonics(np.array([0.0, 0.0, 1.0]), 20, 20), float)
    law = upright * np.asarray(legendre_even(np.cos(tilt), 20), float)[degrees // 2]
    np.testing.assert_allclose(mean, law, atol=5e-6)  # single precision, 20 steps


def test_the_closed_form_of_the_mean_is_the_mean():
    angles = np.array([0.1, 0.9, 2.0, 2.2])
    axis = np.array([[0.2, -0.1, np.sqrt(0.95)], [0.5, 0.5, np.sqrt(0.5)]])
    each = [direction_harmonics(rotate_about_z(axis, w), 12, 12) for w in angles]
    closed = mean_over_rotations(direction_harmonics(axis, 12, 12), angles, 12, 12)
    np.testing.assert_allclose(closed, np.mean(each, axis=0), atol=3e-6)  # single precision


@pytest.mark.parametrize("azimuth_deg", [0.0, 60.0, 90.0, 180.0])
def test_a_half_turn_moves_the_lobes_of_a_tilted_fibre(azimuth_deg):
    """180°: centre (2/pi) t cos phi, for t up to half the width; 360°: none."""
    structure = load_structure("LiCoO2.cif")
    assert structure.cell_volume_A3 > 0
    zonal = np.ones(21)  # 003 stands on the fibre axis
    tilt, phi = np.deg2rad(4.0), np.deg2rad(azimuth_deg)
    texture = tilted(tilt, phi, 0.6)
    for span, law in ((np.pi, 2 / np.pi * tilt * np.cos(phi)), (2 * np.pi, 0.0)):
        profile = scan_mean_pole_density(texture, zonal, TWO_THETA, SECTORS, turns(360, span))
        fit = fit_lobes(SECTORS, profile)
        found = float(fit.value["centre_rad"][0]) - np.pi / 2
        # the laws are good to 2-6 % at t = sigma/2; a 360th of a turn is missing at the end
        assert found == pytest.approx(law, abs=0.06 * tilt + tilt / 360 + 1e-4)


def gaussian_weights(sigma_rad: float, march_r: float, l_max: int) -> np.ndarray:
    """Weights that turn March-Dollase's series into that of exp(-chi²/2 sigma²), mean 1."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    t = (nodes + 1) / 2
    density = np.exp(-(np.arccos(t) ** 2) / (2 * sigma_rad**2))
    density /= np.sum(weights * density) / 2
    with jax.enable_x64(True):
        table = np.asarray(legendre_even(t, l_max)) * (2 * np.arange(0, l_max + 1, 2) + 1)
        a = np.asarray(zonal_coefficients(np.float64(march_r), l_max, 200))
    return (weights * density / 2) @ table / a


def test_widths_grow_with_tilt_as_the_swing_says():
    """Gaussian of width sigma: + t²/2 (360°), + t² (1/2 - 4/pi² cos²phi) (180°), fitted."""
    sigma, tilt = np.deg2rad(14.0), np.deg2rad(7.0)
    zonal = gaussian_weights(sigma, 0.3, 40)

    def width(tilt_rad: float, azimuth: float, span: float) -> float:
        texture = tilted(tilt_rad, azimuth, 0.3)
        profile = scan_mean_pole_density(texture, zonal, TWO_THETA, SECTORS, turns(360, span))
        return float(fit_lobes(SECTORS, profile).value["width_rad"][0]) ** 2

    assert width(0.0, 0.0, np.pi) == pytest.approx(sigma**2, rel=0.01)  # bins of 2°, l <= 40
    # the small-angle laws are good to 1 % of the width² at t = sigma/2; 2 % with the fit's own
    for azimuth, span, share in (
        (0.0, 2 * np.pi, 0.5),
        (0.0, np.pi, 0.5 - 4 / np.pi**2),
        (np.pi / 2, np.pi, 0.5),
    ):
        law = sigma**2 + share * tilt**2
        assert width(tilt, azimuth, span) == pytest.approx(law, rel=0.02)


@cache
def recovered_disc():
    """A textured disc with a tilted axis through frames' sums, tomography and fit."""
    tilt, phi = np.deg2rad(4.0), np.deg2rad(30.0)
    axis = jnp.array([np.sin(tilt) * np.cos(phi), np.sin(tilt) * np.sin(phi), np.cos(tilt)])
    phantom = discs((0, 0, 1.6), with_texture=True, march_r=0.6, axis=axis)
    effects = replace(NOTHING, bragg=True, texture=True, solid_angle=True, point_spread=True,
                      footprint=True, efficiency=True)  # fmt: skip
    scan = scan_plan(19, 0.25, 60, seed=3)
    accuracy = replace(COARSE, texture_tolerance=3e-3)
    simulated = SimulatedScan(experiment(phantom, scan, effects, accuracy, panel=PANEL))
    line = Reflection(structure=load_structure("LiCoO2.cif"), hkl=(0, 0, 3))
    asked = RecoverySettings(
        binning=BinningSettings(q_min_per_A=0.9, q_max_per_A=3, n_q=200, n_azimuth=72,
                                rings={"003": RING}),
        ring_reflections={"003": line},
        rotation_axis_mm=0.0,
    )  # fmt: skip
    binning = make_binning(simulated.info(), asked.binning)
    counts = integrated_counts(simulated, binning.cell_of_pixel, binning.n_cells)
    return tilt, phi, recover(simulated.scan(), asked, None, counts)


def test_a_tilted_fibre_comes_back_from_tomography_by_the_law():
    tilt, phi, found = recovered_disc()
    radius = np.hypot(*np.meshgrid(found.x_mm, found.y_mm))
    inside = radius < 1.1
    centre = found.maps["003_direction"].value[0][inside] - np.pi / 2
    # scalar reconstruction is exact inside a uniform disc; 6 % as above, 1/60 of a turn missing
    law = 2 / np.pi * tilt * np.cos(phi)
    assert np.mean(centre) == pytest.approx(law, abs=0.06 * tilt + tilt / 60)
    amount = found.maps["003_fraction"].value[0][inside]
    # an axis 4° off: a_2 t²/2 and higher degrees, 1 %; density 5.05 against the cell's 5.053
    assert np.mean(amount) == pytest.approx(1.0, abs=0.015)


@cache
def default_slice(absorption: bool):
    """Slice 2 of the default cell at moderate counts, by the integrated route."""
    effects = replace(
        Effects(), absorption=absorption, sample_parallax=absorption, sensor_parallax=absorption
    )
    scan = scan_plan(43, 0.2, 48, exposure_s=1e-4, seed=11)
    accuracy = replace(COARSE, texture_tolerance=3e-3)
    simulated = SimulatedScan(experiment(default_cell(), scan, effects, accuracy, panel=PANEL))
    asked = RecoverySettings(
        binning=BinningSettings(q_min_per_A=0.9, q_max_per_A=5, n_q=400, n_azimuth=36,
                                rings={"003": RING}),
        ring_reflections={"003": Reflection(structure=load_structure("LiCoO2.cif"), hkl=(0, 0, 3))},
        peaks={
            "Fe": Peak(window=PeakWindow(q_per_A=(2.85, 3.35)),
                       structure=load_structure("Fe.cif"), hkl=(1, 1, 0)),
        },
    )  # fmt: skip
    binning = make_binning(simulated.info(), asked.binning)
    counts = integrated_counts(simulated, binning.cell_of_pixel, binning.n_cells)
    truth = voxel_truth(simulated.experiment.phantom, materials(), n_voxels=43, step_mm=0.2,
                        height_mm=0.0, height_sigma_mm=0.05 / 2.3548)  # fmt: skip
    return simulated, binning, recover(simulated.scan(), asked, None, counts), truth


def test_phase_amounts_come_back_within_their_error_bars():
    """Where absorption and parallax are off: LiCoO2 voxel by voxel, steel in total."""
    _, _, found, truth = default_slice(False)
    radius = np.hypot(*np.meshgrid(found.x_mm, found.y_mm))
    inside = radius < 2.6
    held = found.maps["003_fraction"]
    pulls = (held.value[0] - truth.volume_fraction["LiCoO2"])[inside] / held.error[0][inside]
    count = inside.sum()
    # error bars of 3 %; the parabola under the ring leaves -0.4 % of bias, a tenth of a bar
    assert abs(pulls.mean()) < 0.15 + 4 / np.sqrt(count)
    assert pulls.std() == pytest.approx(1, abs=4 / np.sqrt(2 * count))
    can = (radius > 3.4) & (radius < 4.2)
    steel = found.maps["Fe_fraction"].value[0][can].sum()
    # 0.2 % of density, and 1 % of the can's blur beyond the field of view
    assert steel == pytest.approx(truth.volume_fraction["Fe"][can].sum(), rel=0.02)


def test_the_separator_outshines_the_film_and_the_ring_shows():
    """At Q = 1.74, as in the paper's Fig. 3c C1-C4: exact patterns of the default cell."""
    simulated, binning, found, _ = default_slice(False)
    reference = reference_patterns(simulated, simulated.info(), binning)
    channel = int(np.argmin(np.abs(binning.q_per_A - 1.74)))
    radius = np.hypot(*np.meshgrid(found.x_mm, found.y_mm))
    seen = {}
    for k, z in ((1, -0.07), (2, 0.0), (4, 0.14)):
        voxels = voxel_truth(simulated.experiment.phantom, materials(), n_voxels=43, step_mm=0.2,
                             height_mm=-z, height_sigma_mm=0.05 / 2.3548)  # fmt: skip
        textured = simulated.experiment.layout.textured
        cube = voxel_patterns(reference, voxels, textured, np.zeros(1))
        seen[k] = cube[..., channel]
    film = seen[2][radius < 2.8].mean()
    separator = seen[4][radius < 3.4].mean()
    ring = seen[1][(radius > 3.3) & (radius < 3.6)].mean()
    beside = seen[1][(radius < 2.8)].mean()
    assert separator > 1.3 * film
    assert ring > 1.1 * beside  # the O-ring stands out of what it surrounds
    tube = seen[4][(radius > 4.0) & (radius < 4.1)].mean()
    assert tube > 0.1 * separator  # half of such a voxel is Kapton, the rest air
