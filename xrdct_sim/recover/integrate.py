r"""Azimuthal integration on an absolute scale: I(Q) and ring profiles, with variances.

.. math:: I = \frac{\sum_p (N_p - D_p)}{M \sum_p \Delta\Omega_p\,\epsilon_p P_p},
          \qquad \operatorname{var} I = \frac{\sum_p (N_p + \operatorname{var} D_p)}
          {(M \sum_p \Delta\Omega_p\,\epsilon_p P_p)^2}

which is pyFAI's sum_signal / sum_normalization without pixel splitting; M photons came in.
Left out: the noise of the monitor, and that one dark frame is common to all frames.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from xrdct_sim.instrument.geometry import pixel_geometry, read_poni
from xrdct_sim.recover.binning import UPPER_END, Binning, RingBins, background_weights
from xrdct_sim.recover.corrections import efficiency, pixel_response
from xrdct_sim.recover.counting import Progress, adder_of
from xrdct_sim.scanfile.scan import Scan, ScanInfo

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
class _Sums:
    """Signal, variance and normalisation of some frames: (n, bins), (n, bins), (bins,)."""

    signal: FloatArray
    variance: FloatArray
    response: FloatArray


def integrate(
    info: ScanInfo,
    binning: Binning,
    counts: NDArray[np.number],
    normalisation: str = "i0",
    solid_angle: bool = True,
) -> Integrated:
    """Normalise sums over cells to intensities on an absolute scale.

    Parameters
    ----------
    info
        Record of the scan.
    binning
        The map with which the sums were made.
    counts
        Sums over cells, ``(n_frames, n_cells)``, from `cell_counts` or drawn elsewhere.
    normalisation
        "i0": by incident photons; "transmission": by photons through the sample, which divides
        each ray by its transmission.
    solid_angle
        Whether the pixels' relative solid angle is divided out.

    Returns
    -------
        Intensity per solid angle: the line integral of (cross-section times transmission), 1/sr.
    """
    if counts.shape != (info.n_frames, binning.n_cells):
        raise ValueError(
            f"counts: shape {counts.shape}, need (frames, cells) = "
            f"{(info.n_frames, binning.n_cells)}"
        )
    adder = adder_of(binning, np.float64)
    response = (
        adder @ pixel_response(info, pixel_geometry(info.poni, info.shape), solid_angle).ravel()
    )
    dark = adder @ np.asarray(info.dark_counts, dtype=np.float64).ravel()

    def sums(block: slice) -> Iterator[tuple[str, RingBins | None, list[_Sums]]]:
        raw = counts[block].astype(np.float64)
        share = _dark_share(info)[block, None]
        cells = _Sums(signal=raw - share * dark, variance=raw + share**2 * dark, response=response)
        yield "", None, [_radial_sums(binning, cells)]
        for name, ring in binning.rings.items():
            bands = (ring.window, *ring.background)
            yield name, ring, [_band_sums(binning, cells, band) for band in bands]

    return _assemble(info, binning, sums, normalisation, engine="histogram")


def integrate_frames_by_pyfai(
    scan: Scan,
    binning: Binning,
    method: str | tuple[str, str, str],
    normalisation: str = "i0",
    progress: Progress | None = None,
) -> Integrated:
    """Integrate frame by frame with pyFAI itself, for its other ways to split pixels.

    Parameters
    ----------
    scan
        Frames and their record.
    binning
        Radial bins, sectors and rings; its map of pixels is not used.
    method
        PyFAI's method, for example ``("bbox", "csr", "cython")``.
    normalisation
        As in `integrate`.
    progress
        Called with (frames done, frames in all).

    Notes
    -----
    Pixels whose centre lies below a range are masked for it: without splitting, pyFAI counts those
    within one bin below the range in its first bin.
    Splitting correlates neighbouring bins; the variances given are those of single bins. Raw
    counts are passed as the variance: pyFAI's own Poisson model never goes below 1 per pixel.
    """
    info = scan.info
    geometry = read_poni(info.poni, info.shape)
    pixels = pixel_geometry(info.poni, info.shape)
    flat = efficiency(info.sensor, info.energy_keV, pixels.cos_incidence)
    shares = _dark_share(info)
    starts = {0} | {b[0] for r in binning.rings.values() for b in (r.window, *r.background)}
    masks = {first: info.mask | (pixels.q_per_A < binning.q_edges_per_A[first]) for first in starts}

    def sums(block: slice) -> Iterator[tuple[str, RingBins | None, list[_Sums]]]:
        for index in range(*block.indices(info.n_frames)):
            frame = np.asarray(scan.frame(index), dtype=np.float64)
            dark = shares[index] * info.dark_counts
            keywords = {
                "dark": dark,
                "variance": frame + shares[index] * dark,
                "flat": flat,
                "polarization_factor": info.polarisation,
                "unit": "q_A^-1",
                "method": method,
            }
            yield "", None, [_pyfai_radial(geometry, binning, frame, masks[0], keywords)]
            for name, ring in binning.rings.items():
                bands = (ring.window, *ring.background)
                yield (
                    name,
                    ring,
                    [
                        _pyfai_band(geometry, binning, frame, masks[band[0]], keywords, band)
                        for band in bands
                    ],
                )
            if progress is not None:
                progress(index + 1, info.n_frames)

    return _assemble(info, binning, sums, normalisation, engine=f"pyfai {method}", block=1)


def _dark_share(info: ScanInfo) -> FloatArray:
    """Exposure of each frame over that of the dark; 0 where no dark was taken."""
    if info.dark_exposure_s <= 0:
        return np.zeros(info.n_frames)
    return np.asarray(info.exposure_s / info.dark_exposure_s, dtype=np.float64)


def _photons(info: ScanInfo, normalisation: str) -> FloatArray:
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation = {normalisation!r}: must be one of {NORMALISATIONS}")
    if normalisation == "transmission":
        if info.diode_photons is None:
            raise ValueError("normalisation = 'transmission': the scan has no diode readings")
        return np.asarray(info.diode_photons, dtype=np.float64)
    return np.asarray(info.monitor_photons, dtype=np.float64)


def _radial_sums(binning: Binning, cells: _Sums) -> _Sums:
    starts = binning.first_cell[:-1]
    return _Sums(
        signal=np.add.reduceat(cells.signal, starts, axis=1),
        variance=np.add.reduceat(cells.variance, starts, axis=1),
        response=np.add.reduceat(cells.response, starts),
    )


def _band_sums(binning: Binning, cells: _Sums, band: tuple[int, int]) -> _Sums:
    """Sum radial bins of a window by sector, weighted by 1/q so that each q counts the same."""
    weight = 1 / binning.q_per_A[band[0] : band[1]]
    part = slice(int(binning.first_cell[band[0]]), int(binning.first_cell[band[1]]))
    fold = (len(weight), binning.n_azimuth)
    return _Sums(
        signal=np.einsum("fqa,q->fa", cells.signal[:, part].reshape(-1, *fold), weight),
        variance=np.einsum("fqa,q->fa", cells.variance[:, part].reshape(-1, *fold), weight**2),
        response=weight @ cells.response[part].reshape(fold),
    )


def _pixel_at_poni_sr(geometry: AzimuthalIntegrator) -> float:
    """Solid angle relative to which pyFAI's own solid angles are given."""
    return float(geometry.detector.pixel1 * geometry.detector.pixel2 / geometry.dist**2)


def _pyfai_radial(
    geometry: AzimuthalIntegrator,
    binning: Binning,
    frame: FloatArray,
    mask: NDArray[np.bool_],
    keywords: Mapping[str, object],
) -> _Sums:
    ends = (float(binning.q_edges_per_A[0]), float(binning.q_edges_per_A[-1]) / UPPER_END)
    found = geometry.integrate1d_ng(frame, binning.n_q, radial_range=ends, mask=mask, **keywords)
    return _Sums(
        signal=found.sum_signal[None],
        variance=found.sum_variance[None],
        response=_pixel_at_poni_sr(geometry) * found.sum_normalization,
    )


def _pyfai_band(
    geometry: AzimuthalIntegrator,
    binning: Binning,
    frame: FloatArray,
    mask: NDArray[np.bool_],
    keywords: Mapping[str, object],
    band: tuple[int, int],
) -> _Sums:
    edges = binning.q_edges_per_A
    weight = 1 / binning.q_per_A[band[0] : band[1]]
    found = geometry.integrate2d_ng(
        frame,
        len(weight),
        binning.n_azimuth,
        radial_range=(float(edges[band[0]]), float(edges[band[1]]) / UPPER_END),
        azimuth_range=(-180.0, 180.0),
        mask=mask,
        **keywords,
    )
    return _Sums(
        signal=(found.sum_signal @ weight)[None],
        variance=(found.sum_variance @ weight**2)[None],
        response=_pixel_at_poni_sr(geometry) * (found.sum_normalization @ weight),
    )


def _assemble(
    info: ScanInfo,
    binning: Binning,
    sums: Callable[[slice], Iterator[tuple[str, RingBins | None, list[_Sums]]]],
    normalisation: str,
    *,
    engine: str,
    block: int = BLOCK,
) -> Integrated:
    """Normalise blocks of frames and fold them onto the scan's grid."""
    photons = _photons(info, normalisation)
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


def _level(sums: _Sums, photons: FloatArray) -> tuple[FloatArray, FloatArray]:
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
