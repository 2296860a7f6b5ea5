"""Frames to sums over cells: each frame is read once, its counts are added as whole numbers.

Left out: any correction; dark, monitor and geometry act on the sums.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from xrdct_sim.recover.binning import Binning
from xrdct_sim.scanfile.scan import Scan

Progress = Callable[[int, int], None]


def slice_of(scan: Scan, index: int) -> Scan:
    """Return one slice of a scan, as a scan."""
    frames = np.flatnonzero(scan.info.place[:, 0] == index)
    diode = scan.info.diode_photons
    place = scan.info.place[frames].copy()
    place[:, 0] = 0
    info = replace(
        scan.info,
        heights_mm=scan.info.heights_mm[index : index + 1],
        place=place,
        exposure_s=scan.info.exposure_s[frames],
        monitor_photons=scan.info.monitor_photons[frames],
        diode_photons=None if diode is None else diode[frames],
    )
    return Scan(info=info, frame=lambda i: scan.frame(int(frames[i])))


def cell_counts(
    scan: Scan, binning: Binning, progress: Progress | None = None, n_threads: int = 2
) -> NDArray[np.int64]:
    """Sum the counts of every frame over the cells; whole numbers, exact.

    Parameters
    ----------
    scan
        Frames are asked for one at a time, by ``n_threads`` threads, and not kept.
    binning
        Map from pixels to cells.
    progress
        Called with (frames done, frames in all).
    n_threads
        Frames in work at a time.

    Returns
    -------
        ``(n_frames, n_cells)``.
    """
    adder = adder_of(binning, np.int64)
    sums = np.empty((scan.info.n_frames, binning.n_cells), dtype=np.int64)

    def add(index: int) -> None:
        frame = np.asarray(scan.frame(index))
        if frame.shape != scan.info.shape:
            raise ValueError(
                f"frame {index}: has shape {frame.shape}, the scan says {scan.info.shape}"
            )
        if frame.dtype.kind not in "iu":
            raise ValueError(f"frame {index}: counts are {frame.dtype}, must be whole numbers")
        sums[index] = adder @ frame.ravel().astype(np.int64)

    with ThreadPoolExecutor(n_threads) as pool:
        for done, _ in enumerate(pool.map(add, range(scan.info.n_frames)), start=1):
            if progress is not None:
                progress(done, scan.info.n_frames)
    return sums


def adder_of(binning: Binning, dtype: type) -> csr_array:
    """Sparse matrix of ones, (n_cells, n_pixels), that adds pixels up to cells."""
    cell = binning.cell_of_pixel.ravel()
    pixel = np.flatnonzero(cell >= 0)
    ones: NDArray[np.number] = np.ones(len(pixel), dtype=dtype)
    return csr_array((ones, (cell[pixel], pixel)), shape=(binning.n_cells, cell.size))
