"""Exact ray integrals of ellipses, in the scan's convention, and images to compare with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# value, semi-axes, centre x, y, tilt in degrees (Toft's contrast), in units of the half width
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
Ellipse = tuple[float, float, float, float, float, float]


def ellipse_sinogram(
    ellipses: Sequence[Ellipse],
    translations_mm: ArrayLike,
    rotations_rad: ArrayLike,
    axis_mm: float = 0.0,
    beam_mm: float = 0.0,
) -> NDArray[np.float64]:
    """Ray integrals (translation, rotation): sample point s is lit when
    s_x sin(w) + s_y cos(w) = -(t - axis); averaged over a beam of finite width by 8 Gauss points.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = np.zeros((np.size(translations_mm), np.size(rotations_rad)))
    w = np.asarray(rotations_rad)[None, :]
    for node, weight in zip(nodes, weights, strict=True):
        u = -(np.asarray(translations_mm)[:, None] - axis_mm) + 0.5 * beam_mm * node
        for value, a, b, x, y, tilt in ellipses:
            # unit vector across the ray is (sin w, cos w); its angle to the ellipse's first axis
            turn = np.pi / 2 - w - np.deg2rad(tilt)
            half = np.sqrt((a * np.cos(turn)) ** 2 + (b * np.sin(turn)) ** 2)
            s = u - (x * np.sin(w) + y * np.cos(w))
            chord = 2 * a * b * np.sqrt(np.clip(half**2 - s**2, 0, None)) / half**2
            total += 0.5 * weight * value * chord
        if beam_mm == 0:
            return total * 2 / weight
    return total


def ellipse_image(
    ellipses: Sequence[Ellipse], coordinate_mm: NDArray[np.floating], samples: int = 8
) -> NDArray[np.float64]:
    """Mean over each voxel (y, x), by samples x samples points."""
    n, step = len(coordinate_mm), coordinate_mm[1] - coordinate_mm[0]
    fine = (np.arange(samples) + 0.5) / samples - 0.5
    points = (coordinate_mm[:, None] + step * fine).ravel()
    x, y = points[None, :], points[:, None]
    image = np.zeros((len(points), len(points)))
    for value, a, b, x0, y0, tilt in ellipses:
        c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        along, across = (x - x0) * c + (y - y0) * s, -(x - x0) * s + (y - y0) * c
        image += value * ((along / a) ** 2 + (across / b) ** 2 <= 1)
    return image.reshape(n, samples, n, samples).mean(axis=(1, 3))
