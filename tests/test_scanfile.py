"""Scans of our own: what is written comes back, here and in other programs."""

import dataclasses
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scans import (
    ORDERS,
    SHAPE,
    assert_same_info,
    make_scan,
)

from xrdct_sim.scanfile import nexus
from xrdct_sim.scanfile.nxtomo import read_scan, write_scan


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.nxs"
    write_scan(path, make_scan())
    return path


@pytest.mark.parametrize("order", ORDERS)
def test_a_scan_comes_back_bit_for_bit(tmp_path, order):
    scan = make_scan(order)
    seen = []
    write_scan(tmp_path / "scan.nxs", scan, progress=lambda *step: seen.append(step), n_threads=3)
    back = read_scan(tmp_path / "scan.nxs")
    assert_same_info(scan.info, back.info)
    for index in range(scan.info.n_frames):
        np.testing.assert_array_equal(back.frame(index), scan.frame(index))
    assert back.frame(0).dtype == np.uint32
    assert seen == [(i + 1, 24, "frames") for i in range(24)]


def test_a_scan_without_options_comes_back(tmp_path):
    scan = make_scan(diode_photons=None, sensor=None, provenance={}, dark_exposure_s=0.0)
    write_scan(tmp_path / "scan.nxs", scan)
    assert_same_info(scan.info, read_scan(tmp_path / "scan.nxs").info)


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    points=st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4, unique=True),
    energy=st.floats(10, 200),
)
def test_any_float_of_the_record_survives(tmp_path, points, energy):
    scan = make_scan(translations_mm=np.sort(points), energy_keV=energy)
    write_scan(tmp_path / "scan.nxs", scan)
    assert_same_info(scan.info, read_scan(tmp_path / "scan.nxs").info)


def test_frames_may_be_read_from_many_threads(scan_file):
    scan, back = make_scan(), read_scan(scan_file)
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(back.frame, [5, 1, 7, 3] * 5))
    for frame, index in zip(frames, [5, 1, 7, 3] * 5, strict=True):
        np.testing.assert_array_equal(frame, scan.frame(index))


def test_frames_are_computed_ahead_but_never_the_whole_scan(tmp_path):
    scan = make_scan()
    started, ahead, lock = set(), [], threading.Lock()

    def frame(index):
        with lock:
            started.add(index)
        return scan.frame(index)

    write_scan(
        tmp_path / "scan.nxs",
        dataclasses.replace(scan, frame=frame),
        progress=lambda done, *_: ahead.append(len(started) - done),
        n_threads=2,
    )
    assert max(ahead) <= 5  # 2 n_threads wait, one is being written


def test_nothing_is_left_behind_when_a_frame_fails(tmp_path):
    scan = make_scan()

    def frame(index):
        if index == 7:
            raise ValueError("film.tilt_deg = 99")
        return scan.frame(index)

    with pytest.raises(ValueError, match="tilt_deg"):
        write_scan(tmp_path / "scan.nxs", dataclasses.replace(scan, frame=frame))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "maps.nxs"
    path.write_text("old")

    def fail():
        with nexus.created(path) as file:
            file["half"] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_frame_of_another_shape_is_an_error(tmp_path):
    scan = dataclasses.replace(make_scan(), frame=lambda _: np.zeros((3, 4), np.uint32))
    with pytest.raises(ValueError, match=r"scan.nxs: frame 0 has shape \(3, 4\)"):
        write_scan(tmp_path / "scan.nxs", scan)


@pytest.mark.peers
def test_nxvalidate_finds_no_error_and_no_warning(scan_file):
    """Its exit code is always 0: the text counts."""
    pytest.importorskip("nexusformat", reason="extra peers")
    command = [sys.executable, "-c", NXVALIDATE, "-p", "entry", str(scan_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = done.stdout + done.stderr
    assert "Total number of errors: 0" in text, text
    assert "Total number of warnings: 0" in text, text


NXVALIDATE = "import sys; from nexusformat.scripts.nxvalidate import main; sys.exit(main())"


@pytest.mark.peers
def test_nxtomo_reads_what_we_write(scan_file):
    nxtomo = pytest.importorskip("nxtomo.application.nxtomo", reason="extra peers")
    tomo = nxtomo.NXtomo().load(str(scan_file), "entry")
    info = make_scan().info
    place = info.place
    angles = np.rad2deg(info.rotations_rad[place[:, 2]])
    np.testing.assert_allclose(tomo.sample.rotation_angle.to("degree").magnitude, angles)
    x_mm = tomo.sample.x_translation.to("mm").magnitude
    np.testing.assert_allclose(x_mm, info.translations_mm[place[:, 1]], atol=1e-12)
    np.testing.assert_allclose(tomo.control.data.magnitude, info.monitor_photons)
    assert tomo.instrument.detector.distance.to("mm").magnitude == pytest.approx(260)


@pytest.mark.peers
def test_fabio_opens_the_stack_frame_by_frame(scan_file):
    fabio = pytest.importorskip("fabio", reason="extra peers")
    with fabio.open(str(scan_file)) as stack:
        assert stack.nframes == 24
        np.testing.assert_array_equal(stack.get_frame(7).data, make_scan().frame(7))


@pytest.mark.peers
def test_silx_shows_the_frames_as_images(scan_file):
    silx = pytest.importorskip("silx.io.nxdata", reason="extra peers")
    with h5py.File(scan_file) as file:
        shown = silx.get_default(file)
        assert shown.is_valid, shown.issues
        assert shown.signal.shape == (24, *SHAPE)
        assert shown.interpretation == "image"
