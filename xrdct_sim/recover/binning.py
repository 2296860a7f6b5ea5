r"""Which radial bin and which azimuthal sector each pixel counts for, without splitting pixels.

Cells are the finest partition needed: outside the ring windows a cell is a whole radial bin,
inside it is a radial bin times a sector; the pattern I(Q) and the rings' azimuthal profiles are
both sums over cells, so that a frame is read once and its integer sums lose nothing.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.instrument.geometry import PixelGeometry, pixel_geometry
from xrdct_sim.scanfile.scan import ScanInfo

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
Window = tuple[float, float]

MAX_DEGREE = 2  # of the polynomial under a ring
# pyFAI widens the upper end of a range by this factor, so that the last pixel falls inside.
UPPER_END = 1 + float(np.finfo(np.float32).eps)


@dataclass(frozen=True, kw_only=True)
class RingWindow:
    """One diffraction ring to resolve in azimuth; windows in 1/Å, snapped to radial bins."""

    q_per_A: Window
    # Beside the ring: none = subtract nothing; 1, 2, 3 or more = constant, line, parabola
    background_per_A: tuple[Window, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BinningSettings:
    """Radial and azimuthal bins of the integration."""

    q_min_per_A: float = 0.3
    q_max_per_A: float = 23.0
    n_q: int = 2000  # radial bins of equal width
    n_azimuth: int = 72  # sectors of the whole circle, from chi = -180 deg
    rings: Mapping[str, RingWindow] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RingBins:
    """A ring's windows as ranges of radial bins, ``(first, last + 1)``."""

    window: tuple[int, int]
    background: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Binning:
    """Map from pixels to cells; cells are ordered by radial bin, then by sector."""

    cell_of_pixel: NDArray[np.int32]  # (rows, columns), -1 = unused
    radial_of_cell: IntArray  # (n_cells,)
    sector_of_cell: IntArray  # (n_cells,), -1 = the whole circle
    first_cell: IntArray  # (n_q + 1,) cells of radial bin j: first_cell[j] to first_cell[j + 1]
    q_edges_per_A: FloatArray  # (n_q + 1,)
    azimuth_edges_rad: FloatArray  # (n_azimuth + 1,)
    rings: Mapping[str, RingBins]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.radial_of_cell)

    @property
    def n_q(self) -> int:
        """Number of radial bins."""
        return len(self.q_edges_per_A) - 1

    @property
    def n_azimuth(self) -> int:
        """Number of sectors."""
        return len(self.azimuth_edges_rad) - 1

    @property
    def q_per_A(self) -> FloatArray:
        """Centres of the radial bins, 1/Å."""
        return 0.5 * (self.q_edges_per_A[1:] + self.q_edges_per_A[:-1])

    @property
    def azimuth_rad(self) -> FloatArray:
        """Centres of the sectors, rad."""
        return 0.5 * (self.azimuth_edges_rad[1:] + self.azimuth_edges_rad[:-1])


def make_binning(info: ScanInfo, settings: BinningSettings) -> Binning:
    """Assign every usable pixel of a scan's detector to its cell.

    Parameters
    ----------
    info
        Record of the scan: PONI, frame shape and mask are used.
    settings
        Radial range and bins, sectors, rings.

    Notes
    -----
    A pixel goes whole to the bin of its centre, by pyFAI's own arithmetic (upper end included).
    """
    q_edges, rings = radial_bins(settings)
    geometry = pixel_geometry(info.poni, info.shape)
    azimuth_edges = np.linspace(-np.pi, np.pi * UPPER_END, settings.n_azimuth + 1)
    split = np.zeros(settings.n_q, dtype=bool)
    for ring in rings.values():
        for first, last in (ring.window, *ring.background):
            split[first:last] = True
    sizes = np.where(split, settings.n_azimuth, 1)
    first_cell = np.concatenate([[0], np.cumsum(sizes)])
    radial_of_cell = np.repeat(np.arange(settings.n_q), sizes)
    sector = np.arange(len(radial_of_cell)) - first_cell[radial_of_cell]
    return Binning(
        cell_of_pixel=_cells(geometry, info.mask, q_edges, azimuth_edges, first_cell, split),
        radial_of_cell=radial_of_cell,
        sector_of_cell=np.where(split[radial_of_cell], sector, -1),
        first_cell=first_cell,
        q_edges_per_A=q_edges,
        azimuth_edges_rad=azimuth_edges,
        rings=rings,
    )


def radial_bins(settings: BinningSettings) -> tuple[FloatArray, dict[str, RingBins]]:
    """Edges of the radial bins and the rings' windows on them; raises if these do not fit."""
    _check(settings)
    q_end = settings.q_max_per_A * UPPER_END
    q_edges = np.linspace(settings.q_min_per_A, q_end, settings.n_q + 1)
    return q_edges, {name: _ring_bins(name, ring, q_edges) for name, ring in settings.rings.items()}


def _check(settings: BinningSettings) -> None:
    low, high = settings.q_min_per_A, settings.q_max_per_A
    if not 0 <= low < high:
        raise ValueError(f"q_min_per_A = {low}, q_max_per_A = {high}: need 0 <= q_min < q_max")
    if settings.n_q < 1:
        raise ValueError(f"n_q = {settings.n_q}: must be at least 1")
    if settings.n_azimuth < 1:
        raise ValueError(f"n_azimuth = {settings.n_azimuth}: must be at least 1")
    for name, ring in settings.rings.items():
        for window in (ring.q_per_A, *ring.background_per_A):
            if not low <= window[0] < window[1] <= high:
                raise ValueError(
                    f"rings.{name}: window {tuple(window)} must rise and lie within "
                    f"q = {low} to {high} 1/Å"
                )


def _ring_bins(name: str, ring: RingWindow, q_edges: FloatArray) -> RingBins:
    windows = [_snap(window, q_edges) for window in (ring.q_per_A, *ring.background_per_A)]
    ordered = sorted(windows)
    for (_, end), (start, _) in itertools.pairwise(ordered):
        if start < end:
            given = ", ".join(str(list(w)) for w in (ring.q_per_A, *ring.background_per_A))
            raise ValueError(
                f"rings.{name}: its windows overlap once snapped to the radial bins of "
                f"{q_edges[1] - q_edges[0]:.3g} 1/Å: {given}"
            )
    return RingBins(window=windows[0], background=tuple(windows[1:]))


def _snap(window: Window, q_edges: FloatArray) -> tuple[int, int]:
    """Range of radial bins whose edges are nearest to the window's, at least one bin."""
    step = (q_edges[-1] - q_edges[0]) / (len(q_edges) - 1)
    first, last = (round(float((end - q_edges[0]) / step)) for end in window)
    first = min(first, len(q_edges) - 2)
    return first, max(last, first + 1)


def _cells(
    geometry: PixelGeometry,
    mask: NDArray[np.bool_],
    q_edges: FloatArray,
    azimuth_edges: FloatArray,
    first_cell: IntArray,
    split: NDArray[np.bool_],
) -> NDArray[np.int32]:
    n_q, n_azimuth = len(q_edges) - 1, len(azimuth_edges) - 1
    q_step = (q_edges[-1] - q_edges[0]) / n_q
    azimuth_step = (azimuth_edges[-1] - azimuth_edges[0]) / n_azimuth
    radial = np.floor((geometry.q_per_A - q_edges[0]) / q_step).astype(np.int64)
    sector = np.floor((geometry.chi_rad - azimuth_edges[0]) / azimuth_step).astype(np.int64)
    used = (geometry.q_per_A >= q_edges[0]) & (geometry.q_per_A < q_edges[-1]) & ~mask
    radial = np.clip(radial, 0, n_q - 1)
    sector = np.clip(sector, 0, n_azimuth - 1)
    cell = first_cell[radial] + np.where(split[radial], sector, 0)
    return np.where(used, cell, -1).astype(np.int32)


def background_weights(binning: Binning, ring: RingBins) -> NDArray[np.float64]:
    r"""Shares of the side windows' mean levels in the background under a ring.

    .. math:: \sum_b w_b\,\langle q^k\rangle_b = \langle q^k\rangle_{ring},
              \qquad k = 0, \dots, \min(n_b - 1, 2)

    with the least noise: a constant from one window, a line through two, a parabola through three
    or more. Shape ``(n_b,)``; empty without side windows.
    """
    if not ring.background:
        return np.zeros(0)
    edges = binning.q_edges_per_A
    first, last = ring.window
    middle = 0.5 * (edges[first] + edges[last])
    reach = max(abs(edges[k] - middle) for band in ring.background for k in band)

    def moments(band: tuple[int, int]) -> list[float]:
        low, high = ((edges[k] - middle) / reach for k in band)
        degrees = range(min(len(ring.background), MAX_DEGREE + 1))
        return [float((high ** (k + 1) - low ** (k + 1)) / (k + 1) / (high - low)) for k in degrees]

    table = np.array([moments(band) for band in ring.background])
    wanted = np.array(moments(ring.window))
    return np.asarray(table @ np.linalg.solve(table.T @ table, wanted), np.float64)
