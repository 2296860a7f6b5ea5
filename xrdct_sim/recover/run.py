"""The inverse composer: frames, or sums drawn elsewhere, to maps with error bars and statuses.

Works on measured and simulated scans alike; nothing of the sample is known here.
Left out: correction of absorption along the diffracted ray, of depth in sample and sensor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.binning import Binning, make_binning
from xrdct_sim.recover.centre import RotationAxis, find_axis
from xrdct_sim.recover.counting import Progress, cell_counts, slice_of
from xrdct_sim.recover.integrate import integrate
from xrdct_sim.recover.maps import (
    Cube,
    Map,
    channel_map,
    fraction_map,
    peak_maps,
    ring_fraction_map,
    texture_maps,
)
from xrdct_sim.recover.normalise import Integrated
from xrdct_sim.recover.peaks import fit_peak
from xrdct_sim.recover.phases import reference_area
from xrdct_sim.recover.pyfai_engine import integrate_frames_by_pyfai
from xrdct_sim.recover.reconstruct import (
    Plan,
    axis_mm,
    fill_missing,
    make_plan,
    reconstruct,
    reconstruct_variance,
)
from xrdct_sim.recover.settings import RecoverySettings
from xrdct_sim.recover.texture import fit_lobes
from xrdct_sim.scanfile.scan import Scan

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Everything recovered from a scan."""

    settings: RecoverySettings
    integrated: Integrated
    heights_mm: FloatArray  # motor positions of the slices
    x_mm: FloatArray  # sample frame at rotation 0, from the rotation axis
    y_mm: FloatArray
    q_per_A: FloatArray
    azimuth_rad: FloatArray
    axis: RotationAxis
    cube: Cube  # (slice, y, x, radial), 1/mm/sr
    rings: Mapping[str, Cube]  # (slice, y, x, azimuth), 1/mm/sr/angstrom
    maps: Mapping[str, Map]
    status: Mapping[str, NDArray[np.int8]]  # see least_squares.EXPLANATION
    n_missing: int  # rays without a frame: bridged by neighbours, or their rotation left out
    notes: tuple[str, ...] = field(default=())


def recover(
    scan: Scan,
    settings: RecoverySettings,
    progress: Progress | None = None,
    counts: NDArray[np.number] | None = None,
) -> Recovery:
    """Recover maps from a scan.

    Parameters
    ----------
    scan
        Frames and their record.
    settings
        What to do.
    progress
        Called with (frames done, frames in all) during integration.
    counts
        Sums over the binning's cells, ``(n_frames, n_cells)``; no frame is read then.
    """
    binning = make_binning(scan.info, settings.binning)
    integrated = _integrate_slices(scan, settings, binning, progress, counts)
    axis = _axis(scan, integrated, settings)
    translations = scan.info.translations_mm
    n, n_slices = len(translations), len(scan.info.heights_mm)
    step = abs(float(translations[-1] - translations[0])) / max(n - 1, 1)
    coordinate = axis_mm(n, step)
    cube = Cube(
        value=np.empty((n_slices, n, n, binning.n_q), dtype=np.float32),
        variance=np.empty((n_slices, n, n, binning.n_q), dtype=np.float32),
        unit="1/mm/sr",
    )
    slices = [
        _recover_slice(scan, integrated, settings, axis, index, cube) for index in range(n_slices)
    ]
    first = slices[0]
    missing = int((~integrated.measured).sum())
    return Recovery(
        settings=settings,
        integrated=integrated,
        heights_mm=np.asarray(scan.info.heights_mm),
        x_mm=coordinate,
        y_mm=coordinate,
        q_per_A=integrated.q_per_A,
        azimuth_rad=integrated.azimuth_rad,
        axis=axis,
        cube=cube,
        rings={name: _stack([part.rings[name] for part in slices]) for name in first.rings},
        maps={
            name: Map(
                value=np.stack([part.maps[name].value for part in slices]),
                error=np.stack([part.maps[name].error for part in slices]),
                unit=found.unit,
                status=found.status,
            )
            for name, found in first.maps.items()
        },
        status={name: np.stack([part.status[name] for part in slices]) for name in first.status},
        n_missing=missing,
        notes=(f"{missing} rays had no frame; see fill_missing",) if missing else (),
    )


@dataclass(frozen=True, kw_only=True)
class _Slice:
    rings: Mapping[str, Cube]
    maps: Mapping[str, Map]
    status: Mapping[str, NDArray[np.int8]]


def _integrate_slices(
    scan: Scan,
    settings: RecoverySettings,
    binning: Binning,
    progress: Progress | None,
    counts: NDArray[np.number] | None,
) -> Integrated:
    """Slice by slice, so that the sums over cells of one slice are held at a time."""
    if counts is not None and settings.engine != "histogram":
        raise ValueError(f"engine = {settings.engine!r}: sums without frames need 'histogram'")
    whole, done = None, 0
    for index in range(len(scan.info.heights_mm)):
        one = slice_of(scan, index)
        report = _shifted(progress, done, scan.info.n_frames)
        done += one.info.n_frames
        if settings.engine != "histogram":
            method = settings.engine
            part = integrate_frames_by_pyfai(
                one, binning, method, settings.normalisation, report, settings.solid_angle
            )
        elif counts is not None:
            own = counts[np.flatnonzero(scan.info.place[:, 0] == index)]
            part = integrate(one.info, binning, own, settings.normalisation, settings.solid_angle)
        else:
            own = cell_counts(one, binning, report, settings.n_threads)
            part = integrate(one.info, binning, own, settings.normalisation, settings.solid_angle)
        whole = whole or _room(part, len(scan.info.heights_mm))
        _put(whole, index, part)
    if whole is None:
        raise ValueError("heights_mm: the scan has no slice")
    return whole


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None
    call: Callable[[int, int], None] = progress
    return lambda here, _: call(done + here, total)


def _room(part: Integrated, n_slices: int) -> Integrated:
    """Make room for all slices, like one of them."""

    def like(array: NDArray[Any]) -> NDArray[Any]:
        return np.empty((n_slices, *array.shape[1:]), dtype=array.dtype)

    return replace(
        part,
        intensity=like(part.intensity),
        variance=like(part.variance),
        measured=like(part.measured),
        rings={
            name: replace(ring, intensity=like(ring.intensity), variance=like(ring.variance))
            for name, ring in part.rings.items()
        },
    )


def _put(whole: Integrated, index: int, part: Integrated) -> None:
    whole.intensity[index] = part.intensity[0]
    whole.variance[index] = part.variance[0]
    whole.measured[index] = part.measured[0]
    for name, ring in part.rings.items():
        whole.rings[name].intensity[index] = ring.intensity[0]
        whole.rings[name].variance[index] = ring.variance[0]


def _axis(scan: Scan, integrated: Integrated, settings: RecoverySettings) -> RotationAxis:
    """Take the given position, or find it in the sum of all channels and slices."""
    if settings.rotation_axis_mm is not None:
        return RotationAxis(position_mm=settings.rotation_axis_mm, error_mm=0.0)
    shape = integrated.measured.shape[1:]
    total, noise = np.zeros(shape), np.zeros(shape)
    kept = np.ones(shape[1], dtype=bool)
    for index, measured in enumerate(integrated.measured):
        sums = [
            np.asarray(np.nansum(part[index], axis=-1, keepdims=True, dtype=np.float64))
            for part in (integrated.intensity, integrated.variance)
        ]
        values, spread, whole = fill_missing(sums[0], sums[1], measured)
        total += values[..., 0]
        noise += spread[..., 0]
        kept = kept & whole
    return find_axis(
        total[:, kept], noise[:, kept], scan.info.translations_mm, scan.info.rotations_rad[kept]
    )


def _recover_slice(
    scan: Scan,
    integrated: Integrated,
    settings: RecoverySettings,
    axis: RotationAxis,
    index: int,
    into: Cube,
) -> _Slice:
    measured = integrated.measured[index]
    plan = make_plan(
        scan.info.translations_mm,
        scan.info.rotations_rad,
        axis.position_mm,
        filter_name=settings.filter_name,
        kept=np.asarray(measured.any(axis=0), dtype=bool),
    )
    batch = settings.channel_batch
    filled, noise, _ = fill_missing(
        integrated.intensity[index], integrated.variance[index], measured
    )
    into.value[index] = reconstruct(plan, filled, batch)
    into.variance[index] = reconstruct_variance(plan, noise, batch)
    cube = Cube(value=into.value[index], variance=into.variance[index], unit=into.unit)
    maps = {
        name: channel_map(integrated.q_per_A, cube, channel)
        for name, channel in settings.channels.items()
    }
    status: dict[str, NDArray[np.int8]] = {}
    for name, peak in settings.peaks.items():
        fit = fit_peak(integrated.q_per_A, cube.value, cube.variance, peak.window, settings.solver)
        status[f"{name}_peak"] = fit.status
        maps |= peak_maps(name, fit)
        if peak.structure is not None and peak.hkl is not None:
            reference = reference_area(peak.structure, peak.hkl, scan.info.energy_keV)
            maps[f"{name}_fraction"] = fraction_map(
                integrated.q_per_A, cube, fit, peak.window, reference
            )
    rings = {}
    for name, ring in integrated.rings.items():
        unit = "1/mm/sr/angstrom"
        found = _cube(plan, ring.intensity[index], ring.variance[index], measured, unit, batch)
        lobes = fit_lobes(
            integrated.azimuth_rad, found.value, found.variance, settings.lobes, settings.solver
        )
        rings[name] = found
        status[f"{name}_texture"] = lobes.status
        maps |= texture_maps(name, lobes)
        if name in settings.ring_reflections:
            line = settings.ring_reflections[name]
            reference = reference_area(line.structure, line.hkl, scan.info.energy_keV)
            direction = lobes.value["centre_rad"]
            maps[f"{name}_fraction"] = ring_fraction_map(
                integrated.azimuth_rad, found, direction, reference
            )
    return _Slice(rings=rings, maps=maps, status=status)


def _cube(
    plan: Plan,
    values: NDArray[np.float32],
    variance: NDArray[np.float32],
    measured: NDArray[np.bool_],
    unit: str,
    batch: int,
) -> Cube:
    filled, noise, _ = fill_missing(values, variance, measured)
    return Cube(
        value=reconstruct(plan, filled, batch),
        variance=reconstruct_variance(plan, noise, batch),
        unit=unit,
    )


def _stack(cubes: list[Cube]) -> Cube:
    return Cube(
        value=np.stack([cube.value for cube in cubes]),
        variance=np.stack([cube.variance for cube in cubes]),
        unit=cubes[0].unit,
    )
