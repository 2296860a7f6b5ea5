"""From sums over bins to intensities on the scan's grid, whatever engine added the pixels up."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.binning import Binning, RingBins, background_weights
from xrdct_sim.scanfile.scan import ScanInfo

FloatArray = NDArray[np.floating]
BLOCK = 2048  # frames whose sums are normalised at once, in double precision
NORMALISATIONS = ("i0", "transmission")


@dataclass(frozen=True, kw_only=True)
class RingProfile:
    """Ring integral over Q minus background, by sector; (slice, translation, rotation, azimuth)."""

    intensity: NDArray[np.float32]  # 1/sr/Å
    variance: NDArray[np.float32]
    q_per_A: tuple[float, float]  # window actually used


@dataclass(frozen=True, kw_only=True)
class Integrated:
    """Integrated scan; axis order (slice, translation, rotation, radial or azimuth).

    Rays whose frame was dropped are NaN throughout and False in ``measured``.
    """

    q_per_A: FloatArray  # centres of the radial bins
    azimuth_rad: FloatArray  # centres of the sectors, pyFAI's chi
    intensity: NDArray[np.float32]  # 1/sr
    variance: NDArray[np.float32]
    rings: Mapping[str, RingProfile]
    measured: NDArray[np.bool_]  # (slice, translation, rotation)
    normalisation: str
    engine: str


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Signal, variance and normalisation of some frames: (n, bins), (n, bins), (bins,)."""

    signal: FloatArray
    variance: FloatArray
    response: FloatArray


def dark_share(info: ScanInfo) -> FloatArray:
    """Exposure of each frame over that of the dark; 0 where no dark was taken."""
    if info.dark_exposure_s <= 0:
        return np.zeros(info.n_frames)
    return np.asarray(info.exposure_s / info.dark_exposure_s, dtype=np.float64)


def photons_in(info: ScanInfo, normalisation: str) -> FloatArray:
    """Photons by which each frame is divided, ``(n_frames,)``."""
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation = {normalisation!r}: must be one of {NORMALISATIONS}")
    if normalisation == "transmission":
        if info.diode_photons is None:
            raise ValueError("normalisation = 'transmission': the scan has no diode readings")
        return np.asarray(info.diode_photons, dtype=np.float64)
    return np.asarray(info.monitor_photons, dtype=np.float64)


def assemble(
    info: ScanInfo,
    binning: Binning,
    sums: Callable[[slice], Iterator[tuple[str, RingBins | None, list[Sums]]]],
    normalisation: str,
    *,
    engine: str,
    block: int = BLOCK,
) -> Integrated:
    """Normalise blocks of frames and fold them onto the scan's grid."""
    photons = photons_in(info, normalisation)
    place = tuple(info.place.T)
    measured = np.zeros(info.grid_shape, dtype=bool)
    measured[place] = True
    if int(measured.sum()) != info.n_frames:
        raise ValueError("place: two frames stand at the same slice, translation and rotation")
    arrays = {
        name: [np.full((*info.grid_shape, n), np.nan, dtype=np.float32) for _ in range(2)]
        for name, n in [("", binning.n_q), *((ring, binning.n_azimuth) for ring in binning.rings)]
    }
    for start in range(0, info.n_frames, block):
        part = slice(start, start + block)
        where = tuple(axis[part] for axis in place)
        for name, ring, bands in sums(part):
            levels = [_level(band, photons[part]) for band in bands]
            value, variance = levels[0] if ring is None else _above(binning, ring, levels)
            arrays[name][0][where] = value
            arrays[name][1][where] = variance
    return Integrated(
        q_per_A=binning.q_per_A,
        azimuth_rad=binning.azimuth_rad,
        intensity=arrays[""][0],
        variance=arrays[""][1],
        rings={
            name: RingProfile(
                intensity=arrays[name][0],
                variance=arrays[name][1],
                q_per_A=(
                    float(binning.q_edges_per_A[ring.window[0]]),
                    float(binning.q_edges_per_A[ring.window[1]]),
                ),
            )
            for name, ring in binning.rings.items()
        },
        measured=measured,
        normalisation=normalisation,
        engine=engine,
    )


def _level(sums: Sums, photons: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean intensity and its variance; NaN where there is no pixel or no photon."""
    divisor = photons[:, None] * np.where(sums.response > 0, sums.response, np.nan)
    divisor = np.where(divisor > 0, divisor, np.nan)
    return sums.signal / divisor, sums.variance / divisor**2


def _above(
    binning: Binning, ring: RingBins, levels: list[tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray]:
    """Integral over the ring's window above the background of its side windows."""
    first, last = ring.window
    width = float(binning.q_edges_per_A[last] - binning.q_edges_per_A[first])
    (value, variance), beside = levels[0], levels[1:]
    for share, (level, noise) in zip(background_weights(binning, ring), beside, strict=True):
        value = value - share * level
        variance = variance + share**2 * noise
    return width * value, width**2 * variance
