"""Integration is pyFAI's, its scale is absolute, its variances are what repeated scans show."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyFAI.detectors import sensors
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from xrdct_sim.instrument.geometry import pixel_geometry, read_poni, write_poni
from xrdct_sim.recover.binning import Binning, BinningSettings, RingWindow, make_binning
from xrdct_sim.recover.corrections import efficiency, pixel_response, polarisation_factor
from xrdct_sim.recover.counting import cell_counts
from xrdct_sim.recover.integrate import integrate
from xrdct_sim.recover.pyfai_engine import integrate_frames_by_pyfai
from xrdct_sim.scanfile.scan import Scan, ScanInfo, Sensor

RING = RingWindow(q_per_A=(4.0, 4.6), background_per_A=((3.4, 3.8), (4.6, 5.0)))
SETTINGS = BinningSettings(
    q_min_per_A=1.0, q_max_per_A=7.0, n_q=30, n_azimuth=12, rings={"a": RING}
)


def record(**changes: object) -> ScanInfo:
    """Two translations by three rotations on a small tilted panel, in zigzag order."""
    poni = write_poni(
        detector="Perkin",
        binning=16,
        distance_mm=300.0,
        energy_keV=70.0,
        beam_centre_pixel=(60.3, 68.1),
        rotations_rad=(0.05, -0.03, 0.1),
    )
    place = [(0, t, r if t % 2 == 0 else 2 - r) for t in range(2) for r in range(3)]
    rng = np.random.default_rng(1)
    info = ScanInfo(
        name="small",
        heights_mm=np.array([0.0]),
        translations_mm=np.array([0.0, 0.1]),
        rotations_rad=np.array([0.0, 1.0, 2.0]),
        place=np.array(place),
        exposure_s=np.full(6, 0.5),
        monitor_photons=rng.uniform(1e6, 2e6, 6),
        diode_photons=None,
        energy_keV=70.0,
        bandwidth_keV=0.0,
        beam_mm=(0.05, 0.05),
        polarisation=0.96,
        poni=poni,
        shape=(128, 128),
        mask=rng.random((128, 128)) < 0.05,
        dark_counts=np.zeros((128, 128)),
        dark_exposure_s=0.0,
        sensor=Sensor(material="CsI", density_g_cm3=4.51, thickness_mm=0.5),
    )
    return replace(info, **changes)  # type: ignore[arg-type]


def frames_of(info: ScanInfo, mean: float = 5.0, seed: int = 2) -> NDArray[np.int64]:
    return np.random.default_rng(seed).poisson(mean, (info.n_frames, *info.shape))


def scan_of(info: ScanInfo, frames: NDArray[np.int64]) -> Scan:
    return Scan(info=info, frame=lambda i: frames[i])


def pyfai_arguments(info: ScanInfo) -> tuple[AzimuthalIntegrator, dict[str, object]]:
    pixels = pixel_geometry(info.poni)
    return read_poni(info.poni), {
        "flat": efficiency(info.sensor, info.energy_keV, pixels.cos_incidence),
        # pyFAI counts pixels just below the range in the first bin; ours leaves them out
        "mask": info.mask | (pixels.q_per_A < 1.0),
        "polarization_factor": info.polarisation,
        "unit": "q_A^-1",
        "method": ("no", "histogram", "cython"),
    }


def test_pattern_is_pyfais_own_sum_of_signal_over_normalisation() -> None:
    """The histogram without pixel splitting, bin for bin."""
    info = record()
    frames = frames_of(info)
    binning = make_binning(info, SETTINGS)
    own = integrate(info, binning, cell_counts(scan_of(info, frames), binning))
    geometry, keywords = pyfai_arguments(info)
    pixels = pixel_geometry(info.poni)
    scale = np.prod(pixels.pixel_mm) / pixels.distance_mm**2
    for index, (_, translation, rotation) in enumerate(info.place):
        theirs = geometry.integrate1d_ng(frames[index], 30, radial_range=(1.0, 7.0), **keywords)
        expected = theirs.sum_signal / theirs.sum_normalization / scale
        found = own.intensity[0, translation, rotation] * info.monitor_photons[index]
        np.testing.assert_allclose(found, expected, rtol=1e-6)  # pyFAI and result: float32
    np.testing.assert_allclose(own.q_per_A, theirs.radial, rtol=1e-6)  # pyFAI's float32 axis


def test_sectors_are_pyfais_own() -> None:
    """Cells of the windows equal integrate2d's signal, sector by sector."""
    info = record()
    frames = frames_of(info)
    binning = make_binning(info, replace(SETTINGS, n_azimuth=8))
    counts = cell_counts(scan_of(info, frames), binning)
    geometry, keywords = pyfai_arguments(info)
    theirs = geometry.integrate2d_ng(
        frames[3], 30, 8, radial_range=(1.0, 7.0), azimuth_range=(-180.0, 180.0), **keywords
    )
    inside = binning.sector_of_cell >= 0
    radial, sector = binning.radial_of_cell[inside], binning.sector_of_cell[inside]
    np.testing.assert_array_equal(counts[3, inside], theirs.sum_signal[sector, radial])
    assert set(radial) == set(range(12, 14)) | set(range(15, 18)) | set(range(18, 20))


@pytest.mark.parametrize("method", ["no", "bbox"])
def test_pyfai_itself_gives_the_same_scan(method: str) -> None:
    """Without splitting the two engines agree; with it, they agree in the mean."""
    info = record(dark_counts=np.full((128, 128), 8.0), dark_exposure_s=4.0)
    frames = frames_of(info, mean=200.0)
    binning = make_binning(info, SETTINGS)
    own = integrate(info, binning, cell_counts(scan_of(info, frames), binning))
    algorithm = "histogram" if method == "no" else "csr"
    theirs = integrate_frames_by_pyfai(
        scan_of(info, frames), binning, (method, algorithm, "cython")
    )
    if method == "no":
        np.testing.assert_allclose(theirs.intensity, own.intensity, rtol=2e-6)  # float32
        np.testing.assert_allclose(theirs.variance, own.variance, rtol=2e-6)
        ring, mine = theirs.rings["a"], own.rings["a"]
        np.testing.assert_allclose(ring.variance, mine.variance, rtol=1e-5)
        # what is left above the background is 1e-2 of the level, so float32 shows 100 times more
        np.testing.assert_allclose(ring.intensity, mine.intensity, atol=1e-6)
    else:
        ratio = np.nanmean(theirs.intensity) / np.nanmean(own.intensity)
        assert ratio == pytest.approx(1, abs=2e-3)  # 1e5 pixels of 200 counts: 2e-4
        assert not np.allclose(theirs.intensity, own.intensity, rtol=1e-3)


def test_a_uniform_scatterer_comes_back_on_the_absolute_scale() -> None:
    """Counts made from an integral of 0.3 / sr, by hand, return 0.3 in every bin."""
    info = record(mask=np.zeros((128, 128), bool))
    pixels = pixel_geometry(info.poni)
    z, y, x = pixels.position_mm[:, 2], pixels.position_mm[:, 1], pixels.position_mm[:, 0]
    length = np.sqrt(x**2 + y**2 + z**2)
    # the horizontal field drives dipoles that do not radiate along y
    horizontal, vertical = 1 - (y / length) ** 2, 1 - (z / length) ** 2
    polarised = 0.98 * horizontal + 0.02 * vertical
    depth = 4.51 * 0.1 * 0.5 / pixels.cos_incidence.ravel()
    mu_cm2_g = -np.log(1 - efficiency(info.sensor, 70.0, np.ones(1))[0]) / (4.51 * 0.1 * 0.5)
    expected = 0.3 * pixels.solid_angle_sr.ravel() * polarised * -np.expm1(-mu_cm2_g * depth)
    binning = make_binning(info, SETTINGS)
    cell = binning.cell_of_pixel.ravel()
    sums = np.bincount(cell[cell >= 0], expected[cell >= 0], binning.n_cells)
    counts = info.monitor_photons[:, None] * sums
    found = integrate(info, binning, counts)
    np.testing.assert_allclose(found.intensity, 0.3, rtol=2e-6)  # float32 of the result
    # nothing stands above a flat background
    scale = 0.3 * (RING.q_per_A[1] - RING.q_per_A[0])
    assert np.nanmax(np.abs(found.rings["a"].intensity)) < 2e-6 * scale


@pytest.mark.parametrize(
    ("formula", "table"),
    [("Si", sensors.Si_MATERIAL), ("CdTe", sensors.CdTe_MATERIAL), ("GaAs", sensors.GaAs_MATERIAL)],
)
def test_sensors_absorb_what_pyfais_tables_say(formula: str, table: sensors.SensorMaterial) -> None:
    """pyFAI ships its own attenuation tables; 60 keV, normal incidence and 60 degrees."""
    sensor = Sensor(material=formula, density_g_cm3=table.rho, thickness_mm=0.4)
    depth = table.mu(60.0, unit="m") * 0.4e-3
    expected = 1 - np.exp(-depth * np.array([1.0, 2.0]))
    found = efficiency(sensor, 60.0, np.array([1.0, 0.5]))
    np.testing.assert_allclose(found, expected, rtol=0.01)  # tables agree to 1 %


@settings(deadline=None, max_examples=20)
@given(angle=st.floats(0, 1.5), chi=st.floats(-3.1, 3.1), factor=st.floats(-1, 1))
def test_polarisation_averages_to_thomson_and_never_leaves_its_bounds(
    angle: float, chi: float, factor: float
) -> None:
    """Two azimuths a quarter turn apart add up to the unpolarised factor."""
    here = polarisation_factor(angle, chi, factor)
    there = polarisation_factor(angle, chi + np.pi / 2, factor)
    assert here + there == pytest.approx(1 + np.cos(angle) ** 2, rel=1e-12)
    assert np.cos(angle) ** 2 - 1e-12 <= here <= 1 + 1e-12


def repeated(dark: bool) -> tuple[ScanInfo, Binning, NDArray[np.int64]]:
    """Integrate 3000 independent draws of one scan; return pattern and ring side by side."""
    info = record(
        place=np.array([[0, t, 0] for t in range(3000)]),
        translations_mm=np.arange(3000.0),
        rotations_rad=np.zeros(1),
        exposure_s=np.full(3000, 2.0),
        monitor_photons=np.full(3000, 1e6),
    )
    binning = make_binning(info, SETTINGS)
    pixels = np.bincount(
        binning.cell_of_pixel[binning.cell_of_pixel >= 0], minlength=binning.n_cells
    )
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.3 * pixels, (3000, binning.n_cells))
    if dark:
        info = replace(info, dark_counts=np.full((128, 128), 0.4), dark_exposure_s=8.0)
    return info, binning, counts


@pytest.mark.parametrize("dark", [False, True])
def test_variances_are_those_of_repeated_scans(dark: bool) -> None:
    """Poisson counts at 0.3 per pixel, where a floor at 1 would be three times too high."""
    info, binning, counts = repeated(dark)
    found = integrate(info, binning, counts)
    for values, variance in [
        (found.intensity, found.variance),
        (found.rings["a"].intensity, found.rings["a"].variance),
    ]:
        stated = np.nanmean(variance[0, :, 0].astype(float), axis=0)
        if dark:  # the dark is the same for all here: its share does not scatter
            share = np.nanmean(variance[0, :, 0], axis=0)
            assert np.all(share >= np.var(values[0, :, 0].astype(float), axis=0) * 0.8)
            continue
        seen = np.var(values[0, :, 0].astype(float), axis=0)
        # a sample variance of 3000 draws scatters by sqrt(2/3000) = 2.6 %; 5 sigma of 72 values
        np.testing.assert_allclose(seen / stated, 1, atol=0.13)


def test_dark_counts_are_taken_off_in_proportion_to_exposure() -> None:
    """A scan of dark alone integrates to zero; its variance holds both shares."""
    info = record(dark_counts=np.full((128, 128), 40.0), dark_exposure_s=5.0)
    frames = np.full((6, 128, 128), 4)
    binning = make_binning(info, SETTINGS)
    found = integrate(info, binning, cell_counts(scan_of(info, frames), binning))
    assert np.nanmax(np.abs(found.intensity)) < 1e-12 * 6e-6 + 1e-15
    response = pixel_response(info, pixel_geometry(info.poni))
    here = binning.cell_of_pixel == 3
    total = info.monitor_photons[0] * response[here].sum()
    expected = (4.0 + 0.1**2 * 40) * here.sum() / total**2
    assert found.variance[0, 0, 0, 3] == pytest.approx(expected, rel=1e-6)


def test_transmission_divides_each_ray_by_its_own() -> None:
    """Normalising by the diode undoes a known absorption exactly."""
    transmission = np.array([1.0, 0.9, 0.5, 0.2, 0.3, 0.7])
    info = record()
    info = replace(info, diode_photons=info.monitor_photons * transmission)
    binning = make_binning(info, SETTINGS)
    counts = cell_counts(scan_of(info, frames_of(info)), binning)
    plain = integrate(info, binning, counts)
    undone = integrate(info, binning, counts * transmission[:, None], "transmission")
    np.testing.assert_allclose(undone.intensity, plain.intensity, rtol=1e-6)  # float32


def test_a_dropped_frame_is_nan_and_said_to_be_missing() -> None:
    """The other rays stay as they were."""
    info = record()
    frames = frames_of(info)
    binning = make_binning(info, SETTINGS)
    whole = integrate(info, binning, cell_counts(scan_of(info, frames), binning))
    short = replace(
        info,
        place=info.place[1:],
        exposure_s=info.exposure_s[1:],
        monitor_photons=info.monitor_photons[1:],
    )
    found = integrate(short, binning, cell_counts(scan_of(short, frames[1:]), binning))
    assert not found.measured[0, 0, 0]
    assert found.measured.sum() == 5
    assert np.isnan(found.intensity[0, 0, 0]).all()
    assert np.isnan(found.rings["a"].intensity[0, 0, 0]).all()
    np.testing.assert_array_equal(found.intensity[0, 1], whole.intensity[0, 1])


def test_sums_do_not_depend_on_threads_and_count_every_photon_once() -> None:
    """Whole numbers; with the mask off, nothing within the range is lost."""
    info = record(mask=np.zeros((128, 128), bool))
    frames = frames_of(info)
    binning = make_binning(info, SETTINGS)
    done: list[tuple[int, int]] = []
    one = cell_counts(scan_of(info, frames), binning, lambda k, n: done.append((k, n)), 1)
    two = cell_counts(scan_of(info, frames), binning, n_threads=2)
    np.testing.assert_array_equal(one, two)
    q = pixel_geometry(info.poni).q_per_A
    inside = (q >= 1.0) & (q <= 7.0)
    np.testing.assert_array_equal(one.sum(axis=1), frames[:, inside].sum(axis=1))
    assert done[-1] == (6, 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q_min_per_A": 8.0}, "q_min_per_A = 8"),
        ({"n_q": 0}, "n_q = 0"),
        ({"n_azimuth": 0}, "n_azimuth = 0"),
        ({"rings": {"b": RingWindow(q_per_A=(6.5, 7.5))}}, "rings.b"),
        (
            {"rings": {"b": RingWindow(q_per_A=(4, 5), background_per_A=((4.5, 6),))}},
            "rings.b: its windows overlap",
        ),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, object], message: str) -> None:
    """Key, value and range are named."""
    with pytest.raises(ValueError, match=message):
        make_binning(record(), replace(SETTINGS, **changes))  # type: ignore[arg-type]


def test_bad_scans_are_refused() -> None:
    """Wrong frame shape, no counts at all, missing diode, two frames in one place."""
    info = record()
    frames = frames_of(info)
    binning = make_binning(info, SETTINGS)
    with pytest.raises(ValueError, match="frame 0: has shape"):
        cell_counts(scan_of(info, frames[:, :5]), binning)
    with pytest.raises(ValueError, match="must be numbers"):
        cell_counts(scan_of(info, frames.astype(complex)), binning)  # type: ignore[arg-type]
    counts = cell_counts(scan_of(info, frames), binning)
    expected = cell_counts(scan_of(info, frames * 0.5), binning)  # means need not be whole
    np.testing.assert_array_equal(expected, 0.5 * counts)
    with pytest.raises(ValueError, match="diode"):
        integrate(info, binning, counts, "transmission")
    with pytest.raises(ValueError, match="normalisation = 'flux'"):
        integrate(info, binning, counts, "flux")
    with pytest.raises(ValueError, match="two frames"):
        integrate(replace(info, place=info.place * np.array([1, 1, 0])), binning, counts)
    with pytest.raises(ValueError, match="counts: shape"):
        integrate(info, binning, counts[:3])
    with pytest.raises(ValueError, match="detector mismatch"):
        make_binning(replace(info, shape=(32, 32)), SETTINGS)
