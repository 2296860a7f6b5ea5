r"""Integrated counts without frames: exactly what counting frames into cells would give.

Where every pixel goes whole to one cell (no pixel splitting) the sum over a cell of independent
Poisson counts is Poisson with the summed mean,

.. math:: \Lambda_c = \sum_{p\in c} N_p = D_c + \sum_k W_{ck}\,A_k - W'_{ck}\,B_k + V_{ck}\,M_k

with the expected counts' own interpolation weights collected in sparse matrices. Cells that share
no pixel are independent, as they are when frames are added up. Left out: anything that acts on a
frame after its noise.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from xrdct_sim.instrument.noise import MAX_MEAN, poisson
from xrdct_sim.simulate.frames import Pixels
from xrdct_sim.simulate.layout import Layout
from xrdct_sim.simulate.model import meets_texture
from xrdct_sim.simulate.run import CELL_NOISE, SimulatedScan
from xrdct_sim.simulate.texture_map import compiled_texture_map

Progress = Callable[[int, int], None]
FloatArray = NDArray[np.floating]


class CellSums:
    """Maps from profiles to the expected counts of cells, for one detector and one partition."""

    def __init__(
        self,
        pixels: Pixels,
        polar_ratio: FloatArray,
        layout: Layout,
        cell_of_pixel: NDArray[np.integer],
        n_cells: int,
        gaps: NDArray[np.bool_],
    ) -> None:
        """Collect interpolation weights.

        Parameters
        ----------
        pixels, polar_ratio, layout
            Of the prepared forward model.
        cell_of_pixel
            Cell of each pixel, -1 for none, ``(rows, columns)``.
        gaps
            Pixels that do not exist, ``(rows, columns)``.
        """
        cell = np.asarray(cell_of_pixel).ravel()
        used = np.flatnonzero((cell >= 0) & ~gaps.ravel())
        cell = cell[used]
        low, part, azimuth, turn, polar, weight = (
            np.asarray(values)[used].astype(int if k in (0, 2) else float)
            for k, values in enumerate(pixels)
        )
        radii, n_azimuths = layout.n_radii, layout.accuracy.texture_azimuths
        ratio = np.asarray(polar_ratio, float)
        elastic = weight * (1 - polar * (ratio[low] * (1 - part) + ratio[low + 1] * part))

        def collect(columns: NDArray[np.integer], values: FloatArray, width: int) -> csr_array:
            rows = np.tile(cell, len(columns) // len(cell))
            return csr_array((values, (rows, columns)), shape=(n_cells, width))

        both = np.concatenate([low, low + 1])
        shares = np.concatenate([1 - part, part])
        self._plain = collect(both, shares * np.tile(weight, 2), radii)
        self._polar = collect(both, shares * np.tile(weight * polar, 2), radii)
        self._textured = None
        if layout.textured is not None:
            after = (azimuth + 1) % n_azimuths
            columns = np.concatenate(
                [azimuth * radii + both[: len(low)], azimuth * radii + low + 1]
            )
            later = np.concatenate([after * radii + low, after * radii + low + 1])
            values = shares * np.tile(elastic, 2)
            self._textured = collect(
                np.concatenate([columns, later]),
                np.concatenate([values * np.tile(1 - turn, 2), values * np.tile(turn, 2)]),
                n_azimuths * radii,
            )
        self._pixels = np.bincount(cell, minlength=n_cells)

    def expected(
        self, profiles: FloatArray, surface: FloatArray | None, dark_mean: float
    ) -> NDArray[np.float64]:
        """Expected counts of the cells.

        Parameters
        ----------
        profiles
            Plain and polar profiles of frames, ``(n, 2, n_radii)``, photons per sr.
        surface
            Texture map of one frame, ``(n_azimuths * n_radii,)``, or None; then n is 1.
        """
        wide = np.asarray(profiles, float)
        counts = (self._plain @ wide[:, 0].T - self._polar @ wide[:, 1].T).T
        if surface is not None and self._textured is not None:
            counts = counts + self._textured @ np.asarray(surface, float)
        return np.asarray(counts + dark_mean * self._pixels)


def integrated_counts(
    simulated: SimulatedScan,
    cell_of_pixel: NDArray[np.integer],
    n_cells: int,
    progress: Progress | None = None,
    n_threads: int = 2,
) -> NDArray[np.number]:
    """Draw the counts of every cell of every frame, without frames.

    Parameters
    ----------
    simulated
        The scan.
    cell_of_pixel, n_cells
        A partition of the detector: pixels to cells, -1 for none.
    progress
        Called with (frames done, frames in all).

    Returns
    -------
        ``(n_frames, n_cells)``: whole numbers, or expected counts if noise is off.
    """
    experiment, prepared = simulated.experiment, simulated.prepared
    layout, plan = experiment.layout, experiment.plan
    sums = CellSums(
        prepared.pixels,
        np.asarray(prepared.patterns.polar_ratio),
        layout,
        cell_of_pixel,
        n_cells,
        experiment.gaps,
    )
    place = plan.place()
    noisy = experiment.noise
    counts = np.empty((len(place), n_cells), np.int64 if noisy else np.float64)
    order = simulated.visiting_order()

    def draw(frame: int) -> None:
        height, translation, rotation = (int(k) for k in place[frame])
        block = simulated.block(height, rotation)
        surface = None
        if layout.textured is not None and meets_texture(block, translation):
            patterns, texture = prepared.patterns, block.texture[translation]
            surface = np.asarray(
                compiled_texture_map(texture, patterns.harmonics, patterns.textured, layout)
            ).ravel()
        profiles = np.asarray(block.profiles[translation])[None]
        mean = sums.expected(profiles, surface, simulated.dark_mean)[0]
        if noisy:
            if mean.max() > MAX_MEAN:
                raise ValueError(
                    f"scan.exposure_s = {plan.exposure_s:g}: a bin of frame {frame} would hold "
                    f"{mean.max():.3g} counts; allowed are {MAX_MEAN:.0f} on the integrated route"
                )
            counts[frame] = poisson(mean, seed=plan.seed, frame=frame, purpose=CELL_NOISE)
        else:
            counts[frame] = mean

    with ThreadPoolExecutor(n_threads) as pool:
        for done, _ in enumerate(pool.map(draw, order.tolist()), start=1):
            if progress is not None:
                progress(done, len(order))
    return counts
