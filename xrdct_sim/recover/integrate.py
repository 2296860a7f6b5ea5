r"""Azimuthal integration on an absolute scale: I(Q) and ring profiles, with variances.

.. math:: I = \frac{\sum_p (N_p - D_p)}{M \sum_p \Delta\Omega_p\,\epsilon_p P_p},
          \qquad \operatorname{var} I = \frac{\sum_p (N_p + \operatorname{var} D_p)}
          {(M \sum_p \Delta\Omega_p\,\epsilon_p P_p)^2}

which is pyFAI's sum_signal / sum_normalization without pixel splitting; M photons came in.
Left out: the noise of the monitor, and that one dark frame is common to all frames.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.instrument.geometry import pixel_geometry
from xrdct_sim.recover.binning import Binning, RingBins
from xrdct_sim.recover.corrections import pixel_response
from xrdct_sim.recover.counting import adder_of
from xrdct_sim.recover.normalise import Integrated, Sums, assemble, dark_share
from xrdct_sim.scanfile.scan import ScanInfo


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

    def sums(block: slice) -> Iterator[tuple[str, RingBins | None, list[Sums]]]:
        raw = counts[block].astype(np.float64)
        share = dark_share(info)[block, None]
        cells = Sums(signal=raw - share * dark, variance=raw + share**2 * dark, response=response)
        yield "", None, [_radial_sums(binning, cells)]
        for name, ring in binning.rings.items():
            bands = (ring.window, *ring.background)
            yield name, ring, [_band_sums(binning, cells, band) for band in bands]

    return assemble(info, binning, sums, normalisation, engine="histogram")


def _radial_sums(binning: Binning, cells: Sums) -> Sums:
    starts = binning.first_cell[:-1]
    return Sums(
        signal=np.add.reduceat(cells.signal, starts, axis=1),
        variance=np.add.reduceat(cells.variance, starts, axis=1),
        response=np.add.reduceat(cells.response, starts),
    )


def _band_sums(binning: Binning, cells: Sums, band: tuple[int, int]) -> Sums:
    """Sum radial bins of a window by sector, weighted by 1/q so that each q counts the same."""
    weight = 1 / binning.q_per_A[band[0] : band[1]]
    part = slice(int(binning.first_cell[band[0]]), int(binning.first_cell[band[1]]))
    fold = (len(weight), binning.n_azimuth)
    return Sums(
        signal=np.einsum("fqa,q->fa", cells.signal[:, part].reshape(-1, *fold), weight),
        variance=np.einsum("fqa,q->fa", cells.variance[:, part].reshape(-1, *fold), weight**2),
        response=weight @ cells.response[part].reshape(fold),
    )
