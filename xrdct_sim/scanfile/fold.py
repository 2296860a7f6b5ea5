"""Folds a flat list of frames onto the grid of heights, translations and rotations.

Positions may carry encoder noise, frames may be missing, the order is free (translation-fast,
rotation-fast, zigzag). Left out: positions that lie on no grid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_FILLED = 0.5
"""Smallest share of the grid that must have a frame for the scan to count as complete."""

RESOLUTION_MM = 2e-4
"""Positions closer than this are the same."""

RESOLUTION_RAD = 2e-5
"""Angles closer than this are the same."""

_LARGEST_SPREAD = 0.25  # of positions taken as one, relative to the distance to the next


class Folded(NamedTuple):
    """The grid's set-points, ascending, and each frame's place on it."""

    heights_mm: NDArray[np.float64]
    translations_mm: NDArray[np.float64]
    rotations_rad: NDArray[np.float64]
    place: NDArray[np.intp]  # (n_frames, 3)


def set_points(
    positions: ArrayLike, name: str, resolution: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distinct positions of a motor, ascending, and which of them each frame was at.

    Sorted positions are cut where the distance to the next jumps most, in ratio, from noise to
    step; distances below ``resolution`` are noise in any case. Raises `ValueError` if the positions
    do not fall into groups that are tight against their distance.
    """
    values = np.asarray(positions, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: {np.sum(~np.isfinite(values))} positions are not finite")
    order = np.argsort(values, kind="stable")
    distance = np.diff(values[order])
    new_group = np.concatenate([[False], distance > _noise_limit(distance, resolution)])
    index = np.empty(len(values), dtype=np.intp)
    index[order] = np.cumsum(new_group)
    n_groups = int(index.max()) + 1
    mean = np.bincount(index, weights=values) / np.bincount(index)
    starts = np.flatnonzero(new_group)
    low = values[order][np.concatenate([[0], starts])]
    high = values[order][np.concatenate([starts - 1, [len(values) - 1]])]
    same = low == high
    mean[same] = low[same]
    if n_groups > 1 and (high - low).max() > _LARGEST_SPREAD * np.diff(mean).min():
        raise ValueError(
            f"{name}: positions spread by {(high - low).max():.3g} around set-points "
            f"{np.diff(mean).min():.3g} apart; allowed is a quarter of that distance"
        )
    return mean, index


def _noise_limit(distance: NDArray[np.float64], resolution: float) -> float:
    """Distance that separates noise from steps: the middle of the largest jump in ratio."""
    ladder = np.sort(np.concatenate([[resolution], np.maximum(distance, resolution)]))
    if ladder[-1] == resolution:
        return np.inf
    jump = ladder[1:] / ladder[:-1]
    largest = int(np.argmax(jump))
    return float(np.sqrt(ladder[largest] * ladder[largest + 1]))


def fold(heights_mm: ArrayLike, translations_mm: ArrayLike, rotations_rad: ArrayLike) -> Folded:
    """Find the grid behind each frame's positions and the frame's place on it.

    Raises `ValueError` for no frames, fewer than two translations or rotations, two frames at one
    place, or a grid less than half filled.
    """
    if np.size(translations_mm) == 0:
        raise ValueError("the scan is empty: 0 frames; allowed 4 or more")
    columns = [
        set_points(heights_mm, "z_translation", RESOLUTION_MM),
        set_points(translations_mm, "x_translation", RESOLUTION_MM),
        set_points(rotations_rad, "rotation_angle", RESOLUTION_RAD),
    ]
    for (points, _), name in zip(columns[1:], ("translation", "rotation"), strict=True):
        if len(points) < 2:
            raise ValueError(f"the scan is incomplete: {len(points)} {name}; allowed 2 or more")
    place = np.stack([index for _, index in columns], axis=1)
    shape = tuple(len(points) for points, _ in columns)
    check_places(place, shape)
    if len(place) < LEAST_FILLED * np.prod(shape):
        raise ValueError(
            f"the scan is incomplete or on no grid: {len(place)} frames for {shape[0]} heights x "
            f"{shape[1]} translations x {shape[2]} rotations; allowed half of them or more"
        )
    return Folded(columns[0][0], columns[1][0], columns[2][0], place)


def check_places(place: NDArray[np.intp], shape: tuple[int, ...]) -> None:
    """Raise `ValueError` unless each frame has a place of its own on the grid."""
    if ((place < 0) | (place >= np.asarray(shape))).any():
        raise ValueError(f"place: a frame lies outside the grid of {shape}")
    flat = np.ravel_multi_index(tuple(place.T), shape)
    _, first, times = np.unique(flat, return_index=True, return_counts=True)
    if (times > 1).any():
        frame = int(first[times > 1][0])
        raise ValueError(
            f"two frames at one place: frame {frame} and another have the same height, "
            "translation and rotation; allowed is one"
        )
