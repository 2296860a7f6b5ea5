"""The whole recovery on exact sinograms: absolute scale, error bars, texture, gaps, both doors."""

from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from analytic import ellipse_sinogram
from numpy.typing import NDArray

from xrdct_sim.instrument.geometry import pixel_geometry, write_poni
from xrdct_sim.physics.crystals import read_structure
from xrdct_sim.physics.reflections import reflections
from xrdct_sim.recover.binning import Binning, BinningSettings, RingWindow, make_binning
from xrdct_sim.recover.corrections import pixel_response
from xrdct_sim.recover.counting import slice_of
from xrdct_sim.recover.least_squares import Status
from xrdct_sim.recover.peaks import PeakWindow
from xrdct_sim.recover.phases import reference_area
from xrdct_sim.recover.run import recover
from xrdct_sim.recover.settings import Channel, Peak, RecoverySettings
from xrdct_sim.scanfile.scan import Scan, ScanInfo

STEP, N, ROTATIONS, AXIS = 0.1, 24, 30, 5.03
DISC = (1.0, 0.6, 0.6, 0.3, -0.2, 0.0)
WIDTH = np.deg2rad(15)
STRUCTURE = read_structure(Path(str(files("xrdct_sim.phantoms") / "structures" / "LiCoO2.cif")))
FRACTION = 0.3
CENTRE, SIGMA, LEVEL = 1.34, 0.03, 0.02  # 1/A, 1/A, 1/mm/sr
SETTINGS = RecoverySettings(
    binning=BinningSettings(
        q_min_per_A=1.0,
        q_max_per_A=1.8,
        n_q=64,
        n_azimuth=36,
        rings={
            "003": RingWindow(q_per_A=(1.2, 1.475), background_per_A=((1.05, 1.15), (1.525, 1.625)))
        },
    ),
    channels={"line": Channel(q_per_A=(1.25, 1.43)), "level": Channel(q_per_A=(1.6, 1.8))},
    peaks={"003": Peak(window=PeakWindow(q_per_A=(1.1, 1.6)), structure=STRUCTURE, hkl=(0, 0, 3))},
)


def record(monitor: float) -> ScanInfo:
    """One slice; half a turn; a panel far enough away to resolve the ring."""
    place = np.array([(0, t, r) for r in range(ROTATIONS) for t in range(N)])
    n = len(place)
    return ScanInfo(
        name="disc",
        heights_mm=np.array([0.1]),
        translations_mm=AXIS - 0.03 + (np.arange(N) - (N - 1) / 2) * STEP,
        rotations_rad=np.arange(ROTATIONS) * np.pi / ROTATIONS,
        place=place,
        exposure_s=np.ones(n),
        monitor_photons=np.full(n, monitor),
        diode_photons=None,
        energy_keV=70.0,
        bandwidth_keV=0.0,
        beam_mm=(STEP, 0.05),
        polarisation=0.96,
        poni=write_poni(detector="Perkin", binning=8, distance_mm=3600.0, energy_keV=70.0),
        shape=(256, 256),
        mask=np.zeros((256, 256), bool),
        dark_counts=np.zeros((256, 256)),
        dark_exposure_s=0.0,
        sensor=None,
    )


def cross_section(info: ScanInfo) -> NDArray[np.float64]:
    """Of each pixel, 1/mm/sr: a fibre's two lobes on the ring, their mean over chi being 1."""
    pixels = pixel_geometry(info.poni, info.shape)
    area = FRACTION * reference_area(STRUCTURE, (0, 0, 3), info.energy_keV)
    peak = np.exp(-((pixels.q_per_A - CENTRE) ** 2) / (2 * SIGMA**2)) / (SIGMA * np.sqrt(2 * np.pi))
    turn = np.remainder(pixels.chi_rad, np.pi) - np.pi / 2
    lobe = np.exp(-(turn**2) / (2 * WIDTH**2)) * np.sqrt(np.pi / 2) / WIDTH
    return area * peak * lobe + LEVEL


def mean_counts(info: ScanInfo, binning: Binning) -> NDArray[np.float64]:
    """Expected sums over cells, (frames, cells)."""
    rays = ellipse_sinogram([DISC], info.translations_mm, info.rotations_rad, AXIS, STEP)
    response = pixel_response(info, pixel_geometry(info.poni, info.shape)) * cross_section(info)
    cell = binning.cell_of_pixel.ravel()
    per_ray = np.bincount(cell[cell >= 0], response.ravel()[cell >= 0], binning.n_cells)
    ray = rays[info.place[:, 1], info.place[:, 2]]
    return info.monitor_photons[:, None] * ray[:, None] * per_ray


def scan_without_frames(info: ScanInfo) -> Scan:
    def refuse(index: int) -> NDArray[np.integer]:
        raise AssertionError(f"frame {index} was read")

    return Scan(info=info, frame=refuse)


def core(found: NDArray[np.floating], radius: float = 0.4) -> NDArray[np.bool_]:
    """Voxels well inside the disc, on a map (slice, y, x)."""
    grid = (np.arange(N) - (N - 1) / 2) * STEP
    inside = np.hypot(grid[None, :] - DISC[3], grid[:, None] - DISC[4]) < radius
    return np.broadcast_to(inside, found.shape)


def test_a_disc_comes_back_with_amount_level_and_texture() -> None:
    """Counts drawn per cell, no frame read: fraction, width and channels on the absolute scale."""
    info = record(monitor=3e9)
    binning = make_binning(info, SETTINGS.binning)
    counts = np.random.default_rng(3).poisson(mean_counts(info, binning))
    result = recover(scan_without_frames(info), SETTINGS, counts=counts)
    assert result.axis.position_mm == pytest.approx(AXIS, abs=4 * result.axis.error_mm)
    assert result.axis.error_mm < 0.02 * STEP
    fraction = result.maps["003_fraction"]
    inside = core(fraction.value)
    assert np.all(result.status["003_peak"][inside] == Status.OK)
    # FBP of 30 angles in a disc of six voxels' radius; pixels average the peak over q
    assert np.mean(fraction.value[inside]) == pytest.approx(FRACTION, rel=0.03)
    width = result.maps["003_width"]
    assert np.median(width.value[inside]) == pytest.approx(WIDTH, rel=0.04)
    direction = result.maps["003_direction"].value[inside]
    assert np.median(direction) == pytest.approx(np.pi / 2, abs=0.01)
    assert np.mean(result.maps["level"].value[inside]) == pytest.approx(LEVEL, rel=0.03)
    # streaks of 30 angles stand above the noise here; what is fitted on them stays small
    outside = np.isfinite(fraction.value) & ~core(fraction.value, 0.8)
    assert np.max(np.abs(fraction.value[outside])) < 0.1 * FRACTION
    empty = result.maps["level"]
    away = np.isfinite(empty.value) & ~core(empty.value, 0.9)
    assert np.mean(np.abs(empty.value[away])) < 0.1 * LEVEL  # streaks of 30 angles


def test_error_bars_of_all_maps_hold_against_the_noise_free_recovery() -> None:
    """Many voxels, one draw: deviations from the recovery of the exact means, in error bars."""
    info = record(monitor=3e9)
    binning = make_binning(info, SETTINGS.binning)
    settings = replace(SETTINGS, rotation_axis_mm=AXIS)
    mean = mean_counts(info, binning)
    exact = recover(scan_without_frames(info), settings, counts=mean)
    draws = [np.random.default_rng(seed).poisson(mean) for seed in range(4)]
    pulls: dict[str, list[float]] = {}
    for counts in draws:
        noisy = recover(scan_without_frames(info), settings, counts=counts)
        for name, found in noisy.maps.items():
            inside = core(found.value)
            deviation = found.value[inside] - exact.maps[name].value[inside]
            pulls.setdefault(name, []).extend(deviation / found.error[inside])
    for name, values in pulls.items():
        # 4 x 49 voxels, neighbours correlated: an effective 100, standard error 7 %
        assert 0.75 < np.nanstd(values) < 1.25, name


def test_frames_and_their_sums_enter_by_two_doors_to_one_result() -> None:
    """Frames streamed through the integration equal sums handed in."""
    info = record(monitor=1e8)
    pixels = pixel_response(info, pixel_geometry(info.poni, info.shape)) * cross_section(info)
    rays = ellipse_sinogram([DISC], info.translations_mm, info.rotations_rad, AXIS, STEP)

    @cache
    def frame(index: int) -> NDArray[np.integer]:
        _, t, r = info.place[index]
        return np.random.default_rng(index).poisson(1e8 * rays[t, r] * pixels)

    binning = make_binning(info, SETTINGS.binning)
    cell = binning.cell_of_pixel.ravel()
    counts = np.stack(
        [
            np.bincount(cell[cell >= 0], frame(i).ravel()[cell >= 0], binning.n_cells)
            for i in range(info.n_frames)
        ]
    )
    seen: list[tuple[int, int]] = []
    scan = Scan(info=info, frame=frame)
    streamed = recover(scan, SETTINGS, progress=lambda k, n: seen.append((k, n)))
    given = recover(scan_without_frames(info), SETTINGS, counts=counts)
    np.testing.assert_array_equal(streamed.cube.value, given.cube.value)
    np.testing.assert_array_equal(streamed.maps["003_width"].value, given.maps["003_width"].value)
    assert seen[-1] == (info.n_frames, info.n_frames)
    by_pyfai = recover(
        scan,
        replace(SETTINGS, engine=("no", "histogram", "cython"), rotation_axis_mm=AXIS, peaks={}),
    )
    own = recover(
        scan_without_frames(info),
        replace(SETTINGS, rotation_axis_mm=AXIS, peaks={}),
        counts=counts,
    )
    scale = np.nanmax(own.cube.value)
    apart = np.nanmax(np.abs(by_pyfai.cube.value - own.cube.value))
    assert apart < 1e-5 * scale  # pyFAI's single precision, once filtered


def test_dropped_frames_are_counted_and_bridged() -> None:
    """One lost ray and one lost rotation leave finite maps close to the whole scan's."""
    info = record(monitor=3e9)
    binning = make_binning(info, SETTINGS.binning)
    mean = mean_counts(info, binning)
    keep = ~((info.place[:, 2] == 7) | ((info.place[:, 1] == 12) & (info.place[:, 2] == 3)))
    short = replace(
        info,
        place=info.place[keep],
        exposure_s=info.exposure_s[keep],
        monitor_photons=info.monitor_photons[keep],
    )
    result = recover(scan_without_frames(short), SETTINGS, counts=mean[keep])
    assert result.n_missing == N + 1
    assert "25 rays" in result.notes[0]
    level = result.maps["level"].value
    assert np.mean(level[core(level)]) == pytest.approx(LEVEL, rel=0.05)


def test_area_of_the_solid_is_what_its_ring_scatters() -> None:
    """Integrating S over solid angle gives C_h: sum over the sphere of a narrow ring."""
    area = reference_area(STRUCTURE, (0, 0, 3), 70.0)
    wavelength = 12.398419843320026 / 70
    q = np.linalg.norm(np.array([0, 0, 3]) @ STRUCTURE.reciprocal_per_A)
    two_theta = 2 * np.arcsin(q * wavelength / (4 * np.pi))
    # dOmega = 2 pi sin(2theta) d2theta, d2theta = dQ / (dQ/d2theta), by finite difference
    step = 1e-6
    slope = (
        4 * np.pi / wavelength * (np.sin(two_theta / 2 + step) - np.sin(two_theta / 2 - step))
    ) / (4 * step)
    whole = area * 2 * np.pi * np.sin(two_theta) / slope
    found = reflections(STRUCTURE, 70.0, q * 1.01)
    line = np.argmin(np.abs(found.q_per_A - q))
    strength = found.multiplicity[line] * found.f_squared[line]
    volume = STRUCTURE.cell_volume_A3
    warren = 1e7 * (2.8179403262e-5**2) * wavelength**3 * strength
    warren /= 4 * volume**2 * np.sin(two_theta / 2)
    assert whole == pytest.approx(warren, rel=1e-7)  # finite difference
    assert reference_area(STRUCTURE, (0, 0, -3), 70.0) == pytest.approx(area, rel=1e-12)
    with pytest.raises(ValueError, match="absent"):
        reference_area(STRUCTURE, (0, 0, 1), 70.0)
    with pytest.raises(ValueError, match="no reflection"):
        reference_area(STRUCTURE, (0, 0, 0), 70.0)


def test_sums_need_the_histogram_and_windows_need_bins() -> None:
    """Settings that cannot be met are refused with the key."""
    info = record(monitor=1e8)
    counts = mean_counts(info, make_binning(info, SETTINGS.binning))
    with pytest.raises(ValueError, match="engine = 'bbox'"):
        recover(scan_without_frames(info), replace(SETTINGS, engine="bbox"), counts=counts)
    narrow = replace(SETTINGS, channels={"none": Channel(q_per_A=(1.2001, 1.2002))})
    with pytest.raises(ValueError, match="holds no radial bin"):
        recover(scan_without_frames(info), narrow, counts=counts)


def test_slices_are_recovered_side_by_side() -> None:
    """Two slices, frames interleaved, the second twice as bright: each lands in its place."""
    info = record(monitor=3e9)
    binning = make_binning(info, SETTINGS.binning)
    mean = mean_counts(info, binning)
    place = np.repeat(info.place, 2, axis=0)
    place[1::2, 0] = 1
    both = replace(
        info,
        heights_mm=np.array([0.0, 0.1]),
        place=place,
        exposure_s=np.repeat(info.exposure_s, 2),
        monitor_photons=np.repeat(info.monitor_photons, 2),
    )
    counts = np.repeat(mean, 2, axis=0)
    counts[1::2] *= 2
    settings = replace(SETTINGS, rotation_axis_mm=AXIS)
    result = recover(scan_without_frames(both), settings, counts=counts)
    alone = recover(scan_without_frames(info), settings, counts=mean)
    np.testing.assert_array_equal(result.cube.value[0], alone.cube.value[0])
    np.testing.assert_allclose(result.cube.value[1], 2 * alone.cube.value[0], rtol=1e-5)
    ratio = result.maps["003_area"].value[1] / result.maps["003_area"].value[0]
    assert np.median(ratio[core(ratio)]) == pytest.approx(2, rel=1e-4)


def test_a_slice_of_a_scan_holds_that_slice_alone() -> None:
    """Frames, places and monitor follow, for interleaved slices."""
    info = record(monitor=1e8)
    place = info.place.copy()
    place[::2, 0] = 1
    monitor = np.arange(info.n_frames) * 1.0
    both = replace(info, heights_mm=np.array([0.0, 0.1]), place=place, monitor_photons=monitor)
    part = slice_of(Scan(info=both, frame=lambda i: np.full((1, 1), i)), 1)
    assert part.info.grid_shape == (1, N, ROTATIONS)
    assert part.info.heights_mm == [0.1]
    assert part.frame(3) == 6
    np.testing.assert_array_equal(part.info.monitor_photons, monitor[::2])
    np.testing.assert_array_equal(part.info.place[:, 1:], place[::2, 1:])
