"""Frames to sums over cells: each frame is read once, its counts are added as whole numbers.

Left out: any correction; dark, monitor and geometry act on the sums.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from xrdct_sim.recover.binning import Binning
from xrdct_sim.scanfile.scan import Scan

Progress = Callable[[int, int], None]
N_THREADS = (os.cpu_count() or 1) + 1
"""Frames in work at a time: one more than there are processors, for those that wait."""


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
    visit = None
    if scan.visit is not None:
        rank = np.full(scan.info.n_frames, -1, dtype=np.intp)
        rank[frames] = np.arange(len(frames))
        visit = rank[scan.visit][rank[scan.visit] >= 0]
    return Scan(info=info, frame=lambda i: scan.frame(int(frames[i])), visit=visit)


def cell_counts(
    scan: Scan,
    binning: Binning,
    progress: Progress | None = None,
    n_threads: int = N_THREADS,
) -> NDArray[np.number]:
    """Sum the counts of every frame over the cells; whole numbers, exact.

    Frames of expected counts, which are not whole, are summed in double precision.

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
    order = scan.order()
    kind = np.asarray(scan.frame(order[0])).dtype.kind if order else "u"
    if kind not in "iuf":
        raise ValueError(f"frame {order[0]}: counts are of kind {kind!r}, must be numbers")
    dtype = np.float64 if kind == "f" else np.int64
    adder = adder_of(binning, dtype)
    sums = np.empty((scan.info.n_frames, binning.n_cells), dtype=dtype)

    def add(index: int) -> None:
        frame = np.asarray(scan.frame(index))
        if frame.shape != scan.info.shape:
            raise ValueError(
                f"frame {index}: has shape {frame.shape}, the scan says {scan.info.shape}"
            )
        if frame.dtype.kind != kind and (frame.dtype.kind not in "iu" or kind == "f"):
            raise ValueError(f"frame {index}: counts are {frame.dtype}, unlike the first frame's")
        sums[index] = adder @ frame.ravel().astype(dtype)

    with ThreadPoolExecutor(n_threads) as pool:
        for done, _ in enumerate(pool.map(add, order), start=1):
            if progress is not None:
                progress(done, scan.info.n_frames)
    return sums


def adder_of(binning: Binning, dtype: type) -> csr_array:
    """Sparse matrix of ones, (n_cells, n_pixels), that adds pixels up to cells."""
    cell = binning.cell_of_pixel.ravel()
    pixel = np.flatnonzero(cell >= 0)
    ones: NDArray[np.number] = np.ones(len(pixel), dtype=dtype)
    return csr_array((ones, (cell[pixel], pixel)), shape=(binning.n_cells, cell.size))
