"""Maps with units, error bars and the status that explains their gaps.

Left out: any fit; what was fitted is only named and given its unit here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.binning import Window
from xrdct_sim.recover.least_squares import FitMaps
from xrdct_sim.recover.peaks import PeakWindow, template_area
from xrdct_sim.recover.phases import fibre_mean, volume_fraction
from xrdct_sim.recover.settings import Channel

FloatArray = NDArray[np.floating]
CLEAR = 10.0  # error bars above which a peak tells its own place and width
STRONG_SHARE = 0.3  # of the largest areas (95 %): the voxels that are asked


@dataclass(frozen=True, kw_only=True)
class Map:
    """One quantity over all slices, ``(slice, y, x)``; NaN where there is no value."""

    value: FloatArray
    error: FloatArray  # standard deviation
    unit: str  # ASCII
    status: str = ""  # name of the status map that explains its NaN; none = field of view


@dataclass(frozen=True, kw_only=True)
class Cube:
    """A spectrum per voxel, ``(slice, y, x, channel)``; NaN outside the field of view."""

    value: NDArray[np.float32]
    variance: NDArray[np.float32]
    unit: str


def channel_map(q_per_A: FloatArray, cube: Cube, channel: Channel) -> Map:
    """Mean over a range of Q, less the mean of the ranges beside it; 1/mm/sr."""
    value, variance = _mean_over(q_per_A, cube, channel.q_per_A)
    for window in channel.background_per_A:
        level, noise = _mean_over(q_per_A, cube, window)
        value = value - level / len(channel.background_per_A)
        variance = variance + noise / len(channel.background_per_A) ** 2
    return Map(value=value, error=np.sqrt(variance), unit=cube.unit)


def _mean_over(q_per_A: FloatArray, cube: Cube, window: Window) -> tuple[FloatArray, FloatArray]:
    part = np.flatnonzero((q_per_A >= window[0]) & (q_per_A <= window[1]))
    if len(part) == 0:
        raise ValueError(f"channel {window[0]} to {window[1]} 1/Å: holds no radial bin")
    chosen = slice(int(part[0]), int(part[-1]) + 1)
    known = np.isfinite(cube.value[..., chosen])
    count = np.where(known.any(axis=-1), known.sum(axis=-1), np.nan)
    total = np.sum(cube.value[..., chosen], axis=-1, where=known, dtype=np.float64)
    noise = np.sum(cube.variance[..., chosen], axis=-1, where=known, dtype=np.float64)
    return total / count, noise / count**2


def peak_maps(name: str, fit: FitMaps) -> dict[str, Map]:
    """Area, centre and width of a fitted peak."""
    units = {"area": "1/mm/sr/angstrom", "centre": "1/angstrom", "sigma": "1/angstrom"}
    return {
        f"{name}_{key}": Map(
            value=fit.value[key], error=fit.error[key], unit=unit, status=f"{name}_peak"
        )
        for key, unit in units.items()
    }


def texture_maps(name: str, fit: FitMaps) -> dict[str, Map]:
    """Width, direction, amplitude and background of a ring's lobes."""
    columns = {
        "width": ("width_rad", "rad"),
        "direction": ("centre_rad", "rad"),
        "amplitude": ("amplitude", "1/mm/sr/angstrom"),
        "background": ("background", "1/mm/sr/angstrom"),
    }
    return {
        f"{name}_{key}": Map(
            value=fit.value[column],
            error=fit.error[column],
            unit=unit,
            status=f"{name}_texture",
        )
        for key, (column, unit) in columns.items()
    }


def fraction_map(
    q_per_A: FloatArray, cube: Cube, fit: FitMaps, window: PeakWindow, reference: float
) -> Map:
    """Volume fraction from the area of a peak whose place and width the strong voxels tell.

    Every voxel has a value, weak and negative ones included, so that amounts add up.
    """
    area = fit.value["area"]
    clear = area > CLEAR * fit.error["area"]
    largest = np.percentile(area[clear], 95) if clear.any() else np.inf
    strong = clear & (area > STRONG_SHARE * largest)
    if not strong.any():
        nothing = np.full(area.shape, np.nan)
        return Map(value=nothing, error=nothing, unit="1")
    weights = np.where(strong, np.nan_to_num(area), 0.0)
    centre, sigma = (
        float(np.sum(weights * np.nan_to_num(fit.value[key])) / weights.sum())
        for key in ("centre", "sigma")
    )
    found = template_area(q_per_A, cube.value, cube.variance, window, centre, sigma)
    value, error = volume_fraction(*found, reference)
    return Map(value=value, error=error, unit="1")


def ring_fraction_map(
    azimuth_rad: FloatArray, ring: Cube, direction_rad: FloatArray, reference: float
) -> Map:
    """Volume fraction from a textured ring's mean over all orientations."""
    mean, variance = fibre_mean(ring.value, ring.variance, azimuth_rad, direction_rad)
    value, error = volume_fraction(mean, np.sqrt(variance), reference)
    return Map(value=value, error=error, unit="1")
