r"""Where the rotation axis stands, from the sinogram's centre of mass.

.. math:: \bar t(\omega) = t_{axis} + \sum_{m = 1, 3} (a_m \cos m\omega + b_m \sin m\omega)

The mirror image of a projection is the projection from behind, with absorption too as long as the
diffracted ray is absorbed like the direct one; so only odd harmonics occur, m = 1 alone without
absorption. Left out: samples that leave the scanned range, drifts of the stage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]
HARMONICS = (1, 3)
LEAST_ROTATIONS = 2 * len(HARMONICS) + 3


@dataclass(frozen=True, kw_only=True)
class RotationAxis:
    """Motor position at which the rotation axis is in the beam, mm."""

    position_mm: float
    error_mm: float  # standard deviation; 0 when the position was given, not found


def find_axis(
    sinogram: FloatArray,
    variance: FloatArray,
    translations_mm: ArrayLike,
    rotations_rad: ArrayLike,
) -> RotationAxis:
    """Find the rotation axis in a scan over half a turn or more.

    Parameters
    ----------
    sinogram
        Total scattering of each ray, ``(translation, rotation)``, any unit, no NaN.
    variance
        Same shape.
    translations_mm
        Motor positions.
    rotations_rad
        Rotations; at least seven different ones.

    Returns
    -------
        Position and its error: noise, or the residuals' scatter where that is larger.

    Notes
    -----
    What scatters at every position (air, dark) is taken off first: the lowest ray's mean over the
    rotations. A sample that fills the whole range has no such ray and biases the result.
    """
    t = np.asarray(translations_mm, dtype=np.float64)
    w = np.asarray(rotations_rad, dtype=np.float64)
    if len(w) < LEAST_ROTATIONS:
        raise ValueError(
            f"rotations_rad: {len(w)} rotations, finding the axis needs {LEAST_ROTATIONS}; "
            "give recover.rotation_axis_mm instead"
        )
    above = np.asarray(sinogram, dtype=np.float64)
    above = above - above.mean(axis=1).min()
    mass = above.sum(axis=0)
    total_error = np.sqrt(np.asarray(variance, dtype=np.float64).sum(axis=0))
    if not np.all(mass > 5 * total_error):
        raise ValueError(
            "sinogram: too little signal to find the rotation axis; "
            "give recover.rotation_axis_mm instead"
        )
    middle = t.mean()
    centre = (t - middle) @ above / mass
    spread = ((t[:, None] - middle - centre) ** 2 * variance).sum(axis=0) / mass**2
    offset, error = _constant_beside_harmonics(w, centre, spread)
    return RotationAxis(position_mm=float(offset + middle), error_mm=error)


def _constant_beside_harmonics(
    w: FloatArray, centre: FloatArray, variance: FloatArray
) -> tuple[float, float]:
    columns = [np.ones_like(w)]
    for m in HARMONICS:
        columns += [np.cos(m * w), np.sin(m * w)]
    weight = 1 / np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    design = np.stack(columns, axis=1) * weight[:, None]
    solution, *_ = np.linalg.lstsq(design, centre * weight, rcond=None)
    residual = centre * weight - design @ solution
    reduced = float(residual @ residual) / max(len(w) - design.shape[1], 1)
    spread = float(np.linalg.inv(design.T @ design)[0, 0]) * max(reduced, 1.0)
    return float(solution[0]), float(np.sqrt(spread))
