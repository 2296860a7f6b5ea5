"""Integration frame by frame by pyFAI itself, for its other ways to split pixels."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from xrdct_sim.instrument.geometry import pixel_geometry, read_poni
from xrdct_sim.recover.binning import UPPER_END, Binning, RingBins
from xrdct_sim.recover.corrections import efficiency
from xrdct_sim.recover.counting import Progress
from xrdct_sim.recover.normalise import FloatArray, Integrated, Sums, assemble, dark_share
from xrdct_sim.scanfile.scan import Scan


def integrate_frames_by_pyfai(
    scan: Scan,
    binning: Binning,
    method: str | tuple[str, str, str],
    normalisation: str = "i0",
    progress: Progress | None = None,
    solid_angle: bool = True,
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
    shares = dark_share(info)
    starts = {0} | {b[0] for r in binning.rings.values() for b in (r.window, *r.background)}
    masks = {first: info.mask | (pixels.q_per_A < binning.q_edges_per_A[first]) for first in starts}

    def sums(block: slice) -> Iterator[tuple[str, RingBins | None, list[Sums]]]:
        for index in range(*block.indices(info.n_frames)):
            frame = np.asarray(scan.frame(index), dtype=np.float64)
            dark = shares[index] * info.dark_counts
            keywords = {
                "dark": dark,
                "variance": frame + shares[index] * dark,
                "flat": flat,
                "polarization_factor": info.polarisation,
                "unit": "q_A^-1",
                "correctSolidAngle": solid_angle,
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

    return assemble(info, binning, sums, normalisation, engine=f"pyfai {method}", block=1)


def _pixel_at_poni_sr(geometry: AzimuthalIntegrator) -> float:
    """Solid angle relative to which pyFAI's own solid angles are given."""
    return float(geometry.detector.pixel1 * geometry.detector.pixel2 / geometry.dist**2)


def _pyfai_radial(
    geometry: AzimuthalIntegrator,
    binning: Binning,
    frame: FloatArray,
    mask: NDArray[np.bool_],
    keywords: Mapping[str, object],
) -> Sums:
    ends = (float(binning.q_edges_per_A[0]), float(binning.q_edges_per_A[-1]) / UPPER_END)
    found = geometry.integrate1d_ng(frame, binning.n_q, radial_range=ends, mask=mask, **keywords)
    return Sums(
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
) -> Sums:
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
    return Sums(
        signal=(found.sum_signal @ weight)[None],
        variance=(found.sum_variance @ weight**2)[None],
        response=_pixel_at_poni_sr(geometry) * (found.sum_normalization @ weight),
    )
