"""Measured scans: folded from their positions, or refused in one line."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import (
    HEIGHTS_MM,
    ORDERS,
    ROTATIONS_RAD,
    TRANSLATIONS_MM,
    make_scan,
    places,
)

from xrdct_sim.instrument.geometry import write_poni
from xrdct_sim.scanfile.fold import fold
from xrdct_sim.scanfile.nxtomo import read_scan, write_scan


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.nxs"
    write_scan(path, make_scan())
    return path


def edited(source, target, edit):
    """Copy a scan and apply ``edit`` to the open file."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        edit(file)
    return target


def strip_our_record(file: h5py.File) -> None:
    """Leave what a beamline's NXtomo writer would have written."""
    del file["entry/scan"]
    del file["entry/instrument/detector/pixel_mask"]
    del file["entry/instrument/beam"]


@pytest.mark.parametrize("order", ORDERS)
def test_a_plain_nxtomo_scan_is_folded_whatever_its_order(tmp_path, order):
    scan = make_scan(order)
    write_scan(tmp_path / "own.nxs", scan)
    path = edited(tmp_path / "own.nxs", tmp_path / "measured.nxs", strip_our_record)
    info = read_scan(path).info
    # Set-points come back ascending and within rounding of mm -> m -> mm.
    np.testing.assert_allclose(info.heights_mm, np.sort(HEIGHTS_MM), atol=1e-12)
    np.testing.assert_allclose(info.translations_mm, TRANSLATIONS_MM, atol=1e-12)
    np.testing.assert_allclose(info.rotations_rad, ROTATIONS_RAD, atol=1e-12)
    flipped = scan.info.place * [-1, 1, 1] + [1, 0, 0]
    np.testing.assert_array_equal(info.place, flipped)
    assert not info.mask.any()
    assert info.sensor is None
    assert info.dark_exposure_s == 0
    assert info.energy_keV == pytest.approx(69.95, rel=1e-12)  # from the PONI's wavelength
    assert info.beam_mm == pytest.approx((0.05, 0.05))  # one step
    assert "polarisation" in info.provenance["assumed"]


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    noise=st.floats(0, 0.01),
    order=st.sampled_from(ORDERS),
    n_dropped=st.integers(0, 20),
)
def test_encoder_noise_and_dropped_frames_do_not_change_the_grid(seed, noise, order, n_dropped):
    place = places(order, (2, 9, 7))
    draw = np.random.default_rng(seed)
    kept = np.sort(draw.permutation(len(place))[n_dropped:])
    place = place[kept]
    true = (np.array([0.0, 0.07]), np.arange(9) * 0.05, np.arange(7) * 0.4)
    positions = [
        points[place[:, axis]] + noise * np.diff(points)[0] * draw.uniform(-1, 1, len(place))
        for axis, points in enumerate(true)
    ]
    folded = fold(*positions)
    np.testing.assert_array_equal(folded.place, place)
    for found, points in zip(folded[:3], true, strict=True):
        np.testing.assert_allclose(found, points, atol=noise * np.diff(points)[0] + 1e-15)


def test_positions_that_smear_into_each_other_are_an_error():
    line = np.linspace(0, 0.3, 1000)
    with pytest.raises(
        ValueError, match=r"x_translation: positions spread by 0\.3 around .* 1 apart"
    ):
        fold(np.zeros(2000), np.concatenate([line, line + 1]), np.tile([0.0, 1.0], 1000))


def test_dark_and_invalid_frames_of_the_stack_are_set_apart(tmp_path, scan_file):
    def edit(file):
        strip_our_record(file)
        file["entry/instrument/detector/image_key"][[2, 5, 9]] = [2, 3, 2]

    back = read_scan(edited(scan_file, tmp_path / "measured.nxs", edit))
    scan = make_scan()
    assert back.info.n_frames == 21
    np.testing.assert_array_equal(back.info.dark_counts, scan.frame(2) + scan.frame(9))
    assert back.info.dark_exposure_s == pytest.approx(0.2)
    np.testing.assert_array_equal(back.frame(2), scan.frame(3))
    np.testing.assert_array_equal(back.frame(20), scan.frame(23))
    with pytest.raises(ValueError, match="no frame 21; allowed 0 to 20"):
        back.frame(21)


def without(where):
    """Return an edit that strips our record and ``where``."""

    def edit(file):
        strip_our_record(file)
        del file[where]

    return edit


def with_values(where, values):
    """Return an edit that replaces an array and keeps its unit."""

    def edit(file):
        if "scan/" not in where:
            strip_our_record(file)
        attributes = dict(file[where].attrs)
        del file[where]
        file[where] = values
        file[where].attrs.update(attributes)

    return edit


NO_TURN = with_values("entry/sample/rotation_angle", np.zeros(24))
SAME_PLACE = with_values("entry/sample/x_translation", np.repeat(np.arange(12), 2) * 1e-3)
NO_GRID = with_values("entry/sample/x_translation", np.linspace(0, 1, 24) ** 2)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("entry/control"), "entry/control/data is missing.*monitor"),
        (without("entry/instrument/detector/pyfai_geometry"), "pyfai_geometry/data is missing"),
        (without("entry/sample/x_translation"), "x_translation"),
        (without("entry/instrument/detector/count_time"), "count_time"),
        (without("entry/instrument/detector/data"), "entry/instrument/detector/data is missing"),
        (NO_TURN, "incomplete: 1 rotation; allowed 2 or more"),
        (SAME_PLACE, "two frames at one place|incomplete"),
        (NO_GRID, "incomplete or on no grid: 24 frames"),
        (
            with_values("entry/sample/x_translation", np.full(24, np.nan)),
            "24 positions are not fin",
        ),
        (with_values("entry/instrument/detector/image_key", np.full(24, 2)), "scan is empty"),
        (with_values("entry/scan/translations", [0.0, 2, 1, 3]), "translations: not monotonic"),
        (with_values("entry/scan/rotations", [0.0, 0, 1]), "rotations: not monotonic"),
        (with_values("entry/scan/place", np.zeros((24, 3), int)), "two frames at one place"),
        (with_values("entry/scan/place", np.full((24, 3), 9)), "outside the grid"),
        (with_values("entry/scan/schema", 99), "schema = 99; allowed 1"),
        (with_values("entry/control/data", np.zeros(24)), "24 frames have no photons"),
    ],
)
def test_a_scan_that_is_no_scan_is_an_error_of_one_line(tmp_path, scan_file, edit, message):
    path = edited(scan_file, tmp_path / "bad.nxs", edit)
    with pytest.raises(ValueError, match=f"bad.nxs: .*({message})") as caught:
        read_scan(path)
    assert "\n" not in str(caught.value)


def test_a_unit_we_do_not_know_is_an_error_with_the_known_ones(tmp_path, scan_file):
    def edit(file):
        strip_our_record(file)
        file["entry/sample/x_translation"].attrs["units"] = "furlong"

    path = edited(scan_file, tmp_path / "bad.nxs", edit)
    with pytest.raises(ValueError, match=r"x_translation: units = 'furlong'; allowed m, cm, mm"):
        read_scan(path)


def test_a_detector_that_is_not_the_geometrys_is_an_error(scan_file):
    poni = write_poni(detector="Pilatus300k", distance_mm=260.0, energy_keV=69.95)
    with pytest.raises(ValueError, match=r"scan\.nxs: detector mismatch with the PONI"):
        read_scan(scan_file, poni=poni)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, scan_file, share):
    whole = scan_file.read_bytes()
    path = tmp_path / "cut.nxs"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.nxs: not a readable HDF5 file") as caught:
        read_scan(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.nxs: no such file"):
        read_scan(tmp_path / "none.nxs")
