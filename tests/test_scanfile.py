"""Scan and result files: what is written comes back, here and in other programs."""

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

from xrdct_sim.instrument.geometry import write_poni
from xrdct_sim.scanfile import nexus
from xrdct_sim.scanfile.fold import fold
from xrdct_sim.scanfile.nxtomo import read_scan, write_scan
from xrdct_sim.scanfile.scan import Scan, ScanInfo, Sensor

SHAPE = (195, 487)  # of a Pilatus 100k
HEIGHTS_MM = np.array([0.07, 0.0])
TRANSLATIONS_MM = (np.arange(4) - 1.5) * 0.05
ROTATIONS_RAD = np.arange(3) * np.pi / 3
ORDERS = ("translation_fast", "rotation_fast", "zigzag")


def places(order: str, shape: tuple[int, int, int]) -> np.ndarray:
    """List (slice, translation, rotation) in order of acquisition."""
    n_heights, n_translations, n_rotations = shape
    rows = []
    for s in range(n_heights):
        slow, fast = (n_translations, n_rotations)[:: 1 if order == "rotation_fast" else -1]
        for i in range(slow):
            line = range(fast)[:: -1 if order == "zigzag" and i % 2 else 1]
            rows += [(s, i, j) if order == "rotation_fast" else (s, j, i) for j in line]
    return np.array(rows, dtype=np.intp)


def make_scan(order: str = "translation_fast", **changes: object) -> Scan:
    """Return a small scan whose numbers are no round binary fractions."""
    place = places(order, (2, 4, 3))
    n = len(place)
    draw = np.random.default_rng(3)
    info = ScanInfo(
        name="cell",
        heights_mm=HEIGHTS_MM,
        translations_mm=TRANSLATIONS_MM,
        rotations_rad=ROTATIONS_RAD,
        place=place,
        exposure_s=np.full(n, 0.1),
        monitor_photons=5e10 * draw.uniform(0.9, 1.1, n),
        diode_photons=1e10 * draw.uniform(size=n),
        energy_keV=69.95,
        bandwidth_keV=0.3,
        beam_mm=(0.05, 0.05),
        polarisation=0.96,
        poni=write_poni(detector="Pilatus100k", distance_mm=260.0, energy_keV=69.95),
        shape=SHAPE,
        mask=draw.uniform(size=SHAPE) > 0.9,
        dark_counts=draw.poisson(1.0, SHAPE).astype(float),
        dark_exposure_s=0.7,
        sensor=Sensor(material="CsI", density_g_cm3=4.51 * 0.8, thickness_mm=0.5),
        provenance={"source": "simulated", "config": 'name = "µ"\n'},
    )
    info = dataclasses.replace(info, **changes)

    def frame(index: int) -> np.ndarray:
        return np.random.default_rng(index).poisson(3.0, SHAPE).astype(np.uint32)

    return Scan(info=info, frame=frame)


def assert_same_info(one: ScanInfo, two: ScanInfo) -> None:
    """Every field equal, to the last bit."""
    for field in dataclasses.fields(ScanInfo):
        first, second = getattr(one, field.name), getattr(two, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype, field.name
            assert first.tobytes() == second.tobytes(), field.name
        else:
            assert first == second, field.name


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


# -- our own scans ----------------------------------------------------------------------------


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


# -- measured scans ---------------------------------------------------------------------------


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


# -- result files -----------------------------------------------------------------------------


def result_tree() -> nexus.Group:
    """Return a result with a map, a cube, a text and its provenance."""
    cube = np.arange(6 * 5 * 200, dtype=np.float32).reshape(6, 5, 200)
    axes = {"y": nexus.dataset(np.arange(6) * 0.05, "mm", "y (mm)")}
    axes["x"] = nexus.dataset(np.arange(5) * 0.05, "mm", "x (mm)")
    film = nexus.dataset(cube[..., 0], "1/mm/sr", "film (1/mm/sr)", "image")
    maps = nexus.data_group(
        {"film": film, "can": film, **axes},
        signal="film",
        axes=("y", "x"),
        errors={"film": np.ones((6, 5), np.float32)},
        auxiliary=("can",),
    )
    spectra = nexus.data_group(
        {
            "cube": nexus.dataset(cube, "1/mm/sr", interpretation="spectrum"),
            "q": nexus.dataset(np.linspace(1, 2, 200), "1/angstrom", "q (1/angstrom)"),
            **{name: nexus.Link(target=f"/entry/maps/{name}") for name in axes},
        },
        signal="cube",
        axes=("y", "x", "q"),
    )
    process = nexus.process_group(
        version="0.1", date="2026-01-01T00:00:00+00:00", parameters={"config": "µ = 1\n", "seed": 7}
    )
    return nexus.root_group(
        {
            "entry": nexus.entry_group(
                {"maps": maps, "data": spectra, "reconstruction": process},
                title="maps",
                default="maps",
            )
        }
    )


def test_a_result_comes_back_with_its_attributes(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    back = nexus.read(tmp_path / "recon.nxs")
    np.testing.assert_array_equal(nexus.array(back, "entry/maps/can")[1], np.arange(5) * 200 + 1000)
    np.testing.assert_array_equal(nexus.array(back, "entry/data/x"), np.arange(5) * 0.05)
    assert nexus.text(back, "entry/reconstruction/parameters/config") == "µ = 1\n"
    assert nexus.array(back, "entry/reconstruction/parameters/seed") == 7
    maps = nexus.member(back, "entry/maps")
    assert isinstance(maps, nexus.Group)
    assert maps.attributes == {"signal": "film", "axes": ["y", "x"], "auxiliary_signals": ["can"]}
    film = nexus.member(back, "entry/maps/film")
    assert isinstance(film, nexus.Dataset)
    assert film.units == "1/mm/sr"
    assert film.values.dtype == np.float32


def test_a_result_is_readable_without_the_compression_plugins(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1]); cube = f['entry/data/cube'];"
        "assert cube.compression == 'gzip' and cube.shuffle; print(cube[5, 4, 199]);"
        "assert 'hdf5plugin' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "recon.nxs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == 6 * 5 * 200 - 1


def test_texts_are_utf8_of_any_length_and_attributes_follow_the_defaults(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    with h5py.File(tmp_path / "recon.nxs") as file:
        title = h5py.check_string_dtype(file["entry/title"].dtype)
        assert title.encoding == "utf-8"
        assert title.length is None
        default = file[file.attrs["default"]]
        assert default.attrs["NX_class"] == "NXentry"
        shown = default[default.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXdata"
        assert shown[shown.attrs["signal"]].ndim == 2  # a map first


def test_a_default_signal_axis_or_unit_that_cannot_be_is_an_error():
    film = nexus.dataset(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="lacks its member 'y'"):
        nexus.data_group({"film": film}, signal="film", axes=("y", "."))
    with pytest.raises(ValueError, match="film_errors: needs data 'film'"):
        nexus.data_group({"film": film}, signal="film", axes=(), errors={"film": np.zeros(3)})
    with pytest.raises(ValueError, match="default = 'maps': the entry has film"):
        nexus.entry_group({"film": film}, title="", default="maps")
    with pytest.raises(ValueError, match="units = '1/Å': allowed are ASCII"):
        nexus.dataset(1.0, "1/Å")
    with pytest.raises(ValueError, match="no 'b' on the way to entry/b"):
        nexus.member(nexus.root_group({"entry": nexus.Group(nx_class="NXentry")}), "entry/b")


# -- other programs ---------------------------------------------------------------------------


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
@pytest.mark.parametrize("kind", ["scan", "result"])
def test_silx_shows_images_by_default(tmp_path, scan_file, kind):
    silx = pytest.importorskip("silx.io.nxdata", reason="extra peers")
    path = scan_file
    if kind == "result":
        path = tmp_path / "recon.nxs"
        nexus.write(path, result_tree())
    with h5py.File(path) as file:
        shown = silx.get_default(file)
        assert shown.is_valid, shown.issues
        assert shown.signal.shape == ((24, *SHAPE) if kind == "scan" else (6, 5))
        assert shown.interpretation == "image"
