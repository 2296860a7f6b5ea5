"""Pixels stand where pyFAI says they stand, in the lab frame of the package."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from xrdct_sim.instrument.geometry import (
    detector_mask,
    detector_size,
    panel_arrays,
    pixel_geometry,
    read_poni,
    write_poni,
)

TILT = st.floats(-0.5, 0.5)


def small_poni(**changes: object) -> str:
    given_ = {"detector": "Pilatus100k", "distance_mm": 150.0, "energy_keV": 70.0}
    return write_poni(**{**given_, **changes})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=15)
@given(rotations=st.tuples(TILT, TILT, TILT), distance_mm=st.floats(80, 900), row=st.floats(0, 190))
def test_the_differentiable_panel_stands_where_pyfai_puts_it(
    rotations: tuple[float, float, float], distance_mm: float, row: float
) -> None:
    """Any tilt, distance and beam centre: two programs, one geometry."""
    poni = small_poni(
        distance_mm=distance_mm, rotations_rad=rotations, beam_centre_pixel=(row, 200.0)
    )
    pixels = pixel_geometry(poni)
    area = pixels.pixel_mm[0] * pixels.pixel_mm[1]
    centre = (row * pixels.pixel_mm[0], 200.0 * pixels.pixel_mm[1])
    with jax.enable_x64(True):
        panel = panel_arrays(distance_mm, centre, rotations, pixels.plane_mm, area)
        own = [np.asarray(values) for values in panel]
    # pyFAI keeps pixel positions in single precision: 6e-8 of 84 mm
    np.testing.assert_allclose(own[0], pixels.position_mm, atol=1e-5)
    np.testing.assert_allclose(own[1], pixels.two_theta_rad.ravel(), atol=1e-6)
    # the same rounding, divided by the ring's radius, is the azimuth's
    radius = np.hypot(*pixels.position_mm[:, 1:].T)
    turn = np.angle(np.exp(1j * (own[2] - pixels.chi_rad.ravel())))
    assert np.max(np.abs(turn) * radius) < 2e-5
    np.testing.assert_allclose(own[3], pixels.solid_angle_sr.ravel(), rtol=1e-6)
    np.testing.assert_allclose(own[4], pixels.cos_incidence.ravel(), rtol=1e-6)


@pytest.mark.parametrize("rotations", [(0.0, 0.0, 0.0), (0.05, -0.1, 0.4)])
def test_solid_angles_of_a_panel_add_up_to_the_cone_it_fills(
    rotations: tuple[float, float, float],
) -> None:
    """A rectangle seen from above its middle covers 4 asin(ab / sqrt(...)), whatever the tilt."""
    pixels = pixel_geometry(small_poni(rotations_rad=rotations))
    a, b = (n * p / 2 for n, p in zip(pixels.shape, pixels.pixel_mm, strict=True))
    d = pixels.distance_mm
    exact = 4 * np.arcsin(a * b / np.sqrt((a**2 + d**2) * (b**2 + d**2)))
    # midpoint rule with 195 x 487 pixels: relative error below (pixel / distance)^2 = 1.3e-6
    assert pixels.solid_angle_sr.sum() == pytest.approx(exact, rel=2e-6)


def test_azimuth_is_90_degrees_plus_the_angle_from_vertical_toward_positive_y() -> None:
    """A mark above the beam has chi = 90 degrees; one at +y has 180 (eta = 90)."""
    pixels = pixel_geometry(small_poni())
    rows, columns = pixels.shape
    frame = np.zeros(pixels.shape)
    frame[-1, columns // 2] = 1  # last row: the top, as rows rise with +z
    mark = np.flatnonzero(frame)[0]
    assert pixels.position_mm[mark, 2] > 10
    assert pixels.chi_rad.ravel()[mark] == pytest.approx(np.pi / 2, abs=1e-6)
    frame[:] = 0
    frame[rows // 2, 0] = 1  # first column: the +y side, as columns fall with y
    mark = np.flatnonzero(frame)[0]
    assert pixels.position_mm[mark, 1] > 30
    assert abs(pixels.chi_rad.ravel()[mark]) == pytest.approx(np.pi, abs=1e-6)
    y, z = pixels.position_mm[:, 1:].T
    eta = np.arctan2(y, z)
    turn = np.angle(np.exp(1j * (pixels.chi_rad.ravel() - np.pi / 2 - eta)))
    turn[np.hypot(y, z) < 0.1] = 0.0  # the pixel on the beam has no azimuth
    assert np.abs(turn).max() < 1e-4  # pyFAI's single precision at the innermost ring, 0.17 mm


def test_momentum_transfer_is_pyfais_own() -> None:
    """The q array equals pyFAI's in its unit q_A^-1."""
    poni = small_poni(rotations_rad=(0.1, 0.2, 0.3))
    theirs = read_poni(poni).center_array(unit="q_A^-1")
    np.testing.assert_allclose(pixel_geometry(poni).q_per_A, theirs, rtol=1e-12)  # rounding


@settings(deadline=None, max_examples=10)
@given(rot=TILT, distance_mm=st.floats(50, 500))
def test_a_poni_survives_writing_and_reading(rot: float, distance_mm: float) -> None:
    """Distance, centre, tilt, wavelength come back as they went in."""
    poni = small_poni(
        distance_mm=distance_mm, rotations_rad=(rot, 0.1, 0.2), beam_centre_pixel=(3.5, 7.0)
    )
    back = read_poni(poni, (195, 487))
    found = np.array([back.dist, back.poni1, back.poni2, back.rot1, back.wavelength])
    sent = [distance_mm / 1e3, 3.5 * 172e-6, 7 * 172e-6, rot, 12.398419843320026e-10 / 70]
    np.testing.assert_allclose(found, sent, rtol=1e-14)  # one rounding each
    assert poni.count("Distance") == 1


@pytest.mark.parametrize(
    ("name", "binning"), [("Perkin", 4), ("Pilatus300k", 4), ("Eiger4M", 8), ("RayonixLx255", 16)]
)
def test_a_binned_detector_covers_the_same_ground(name: str, binning: int) -> None:
    """Pixels grow as their number falls; the PONI keeps it, mask and all."""
    (rows, columns), _ = detector_size(name)
    shape, pixel_mm = detector_size(name, binning=binning)
    assert shape == (rows // binning, columns // binning)
    text = write_poni(detector=name, binning=binning, distance_mm=200.0, energy_keV=70.0)
    pixels = pixel_geometry(text, shape)
    assert pixels.shape == detector_mask(name, binning=binning).shape
    assert pixels.pixel_mm == pytest.approx(pixel_mm)
    span = np.ptp(pixels.position_mm[:, 2]) / pixel_mm[0] + 1
    assert span == pytest.approx(shape[0])


def test_a_binned_pixel_that_touches_a_gap_is_masked() -> None:
    """Counts on the mask at full size and binned agree by brute force."""
    fine, coarse = detector_mask("Pilatus300k"), detector_mask("Pilatus300k", binning=4)
    for row, column in [(0, 0), (48, 3), (49, 5), (50, 60), (51, 7), (100, 100)]:
        block = fine[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert coarse[row, column] == block.any()
    assert 0 < coarse.sum() < coarse.size


def test_positions_can_be_differentiated() -> None:
    """Gradients in distance, centre and tilt agree with finite differences."""
    plane = np.array([[1.0, 2.0], [30.0, -20.0], [5.0, 60.0]])

    def total(distance_mm: jax.Array, poni: jax.Array, rotations: jax.Array) -> jax.Array:
        found = panel_arrays(distance_mm, poni, rotations, plane, 0.04)
        angles = found.two_theta_rad.sum() + found.chi_rad.sum()
        return angles + 1e4 * found.solid_angle_sr.sum() + found.position_mm.sum()

    with jax.enable_x64(True):
        start = (jax.numpy.asarray(200.0), jax.numpy.array([10.0, 3.0]), jax.numpy.array([0.1] * 3))
        check_grads(
            total,  # type: ignore[no-untyped-call]
            start,
            order=1,
            modes=("fwd", "rev"),
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pixel_geometry(small_poni(), (10, 10)), "detector mismatch with the PONI"),
        (lambda: small_poni(detector="Pilatos100k"), "pilatus100k"),
        (lambda: small_poni(binning=0), "binning = 0"),
        (lambda: small_poni(distance_mm=-1.0), "distance_mm = -1.0"),
        (lambda: small_poni(energy_keV=0.0), "energy_keV = 0.0"),
        (lambda: read_poni("Distance: 0.1\n"), "no value for Poni1"),
        (lambda: read_poni("poni_version: 2\nDetector: Nonesuch\nDetector_config: {}"), "poni"),
        (lambda: read_poni(small_poni().replace("Distance: 0.15", "Distance: -3")), "Distance"),
    ],
)
def test_bad_geometry_is_refused_in_one_line(call: object, message: str) -> None:
    """Each error names what was wrong."""
    with pytest.raises(ValueError, match=message) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)
