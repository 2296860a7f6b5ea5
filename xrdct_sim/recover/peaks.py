r"""A Gaussian on a straight background, fitted in Q in every voxel at once.

.. math:: S(Q) = \frac{A}{\sqrt{2\pi}\,\sigma} e^{-(Q-c)^2/2\sigma^2} + b_0 + b_1 (Q - Q_m)

averaged over each radial bin; Q_m is the middle of the window. Left out: overlapping peaks,
tails of Lorentzian shape, curved backgrounds.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.least_squares import FitMaps, Solver, fit_maps, least_squares

FloatArray = NDArray[np.floating]
PARAMETERS = ("area", "centre", "sigma", "background", "slope")
STRONG = 10.0  # area over error above which a voxel's own moments start its fit


@dataclass(frozen=True, kw_only=True)
class PeakWindow:
    """One peak to fit."""

    q_per_A: tuple[float, float]  # radial range of the fit, 1/Å
    sigma_per_A: tuple[float, float] | None = None  # bounds; default 0.3 bins to window / 3
    least_signal: float = 3.0  # area over its error below which a voxel counts as empty


SHAPE_STEP = 16
"""Windows are padded with empty bins to a multiple of this: windows of one size compile once."""


def gaussian_peak(parameters: jax.Array, edges: jax.Array) -> jax.Array:
    """Mean of peak and background over each bin; edges (m, 2), parameters as in PARAMETERS."""
    area, centre, sigma, background, slope = parameters
    width = edges[:, 1] - edges[:, 0]
    step = (edges - centre) / (jnp.sqrt(2.0) * sigma)
    inside = 0.5 * (jax.lax.erf(step[:, 1]) - jax.lax.erf(step[:, 0]))
    return jnp.asarray(area * inside / width + background + slope * edges.mean(axis=1))


def fit_peak(
    q_per_A: FloatArray,
    values: FloatArray,
    variance: FloatArray,
    window: PeakWindow,
    solver: Solver | None = None,
) -> FitMaps:
    """Fit one peak in all voxels.

    Parameters
    ----------
    q_per_A
        Centres of evenly spaced radial bins, ``(n_q,)``.
    values, variance
        ``(..., n_q)``; NaN is left out.
    window
        Range and bounds.
    solver
        Accuracy of the minimisation.

    Returns
    -------
        Maps "area" (data's unit times 1/Å), "centre" and "sigma" (1/Å), "background", "slope".

    Notes
    -----
    Everything is fitted in units of the window's half width and the voxel's largest value, so
    that single precision suffices.
    """
    low, high = window.q_per_A
    part = np.flatnonzero((q_per_A >= low) & (q_per_A <= high))
    if len(part) < len(PARAMETERS) + 1:
        raise ValueError(
            f"peak window {low} to {high} 1/Å: holds {len(part)} radial bins, "
            f"needs {len(PARAMETERS) + 1}"
        )
    shape = values.shape[:-1]
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    bin_width = float(q_per_A[1] - q_per_A[0]) / half
    centres = (q_per_A[part] - middle) / half
    edges = np.stack([centres - bin_width / 2, centres + bin_width / 2], axis=1)
    rows = values.reshape(-1, values.shape[-1])[:, part]
    noise = variance.reshape(-1, variance.shape[-1])[:, part]
    scale = np.max(np.abs(rows), axis=1, where=np.isfinite(rows), initial=0.0)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float64)
    scaled = (rows / scale[:, None]).astype(rows.dtype)
    noise = (noise / scale[:, None] ** 2).astype(noise.dtype)
    bounds = window.sigma_per_A or (0.3 * bin_width * half, 2 * half / 3)
    narrow, wide = (float(b) / half for b in bounds)
    start = _start(centres, scaled, noise, narrow, wide)
    spare = -len(part) % SHAPE_STEP
    edges = np.concatenate([edges, np.repeat(edges[-1:], spare, axis=0)])
    scaled, noise = (
        np.pad(held, ((0, 0), (0, spare)), constant_values=np.nan) for held in (scaled, noise)
    )
    infinite = np.inf
    fit = least_squares(
        gaussian_peak,
        edges,
        scaled,
        noise,
        start,
        np.array([-infinite, -1.0, narrow, -infinite, -infinite]),
        np.array([infinite, 1.0, wide, infinite, infinite]),
        solver,
    )
    to_area, to_q = scale * half, np.full_like(scale, half)
    unit = np.stack([to_area, to_q, to_q, scale, scale / half], axis=1)
    maps = fit_maps(fit, PARAMETERS, unit, shape, window.least_signal)
    return replace(maps, value={**maps.value, "centre": maps.value["centre"] + middle})


def template_area(
    q_per_A: FloatArray,
    values: FloatArray,
    variance: FloatArray,
    window: PeakWindow,
    centre_per_A: float,
    sigma_per_A: float,
) -> tuple[FloatArray, FloatArray]:
    """Area of a peak of known place and width in every voxel, and its standard deviation.

    A weighted linear fit of area, level and slope: unbiased whatever the area, so that weak and
    empty voxels add up to what is there. (A free fit keeps only what stands out of its noise.)

    Parameters
    ----------
    q_per_A, values, variance, window
        As in `fit_peak`.
    centre_per_A, sigma_per_A
        Of the peak, from the mean of many voxels.

    Returns
    -------
        Shape ``(...)``; NaN where a voxel has no data.
    """
    low, high = window.q_per_A
    part = np.flatnonzero((q_per_A >= low) & (q_per_A <= high))
    q, width = q_per_A[part], float(q_per_A[1] - q_per_A[0])
    edges = np.stack([q - width / 2, q + width / 2], axis=1)
    shape = gaussian_peak(jnp.array([1.0, centre_per_A, sigma_per_A, 0.0, 0.0]), jnp.asarray(edges))
    design = np.stack([np.asarray(shape, float), np.ones_like(q), q - 0.5 * (low + high)], axis=1)
    data = np.asarray(values[..., part], np.float64)
    noise = np.asarray(variance[..., part], np.float64)
    known = np.isfinite(data) & (noise > 0)
    weight = np.where(known, 1 / np.where(known, noise, 1.0), 0.0)
    normal = np.einsum("...q,qi,qj->...ij", weight, design, design)
    right = np.einsum("...q,qi->...i", weight * np.where(known, data, 0.0), design)
    enough = known.sum(axis=-1) > design.shape[1]
    normal = np.where(enough[..., None, None], normal, np.eye(design.shape[1]))
    covariance = np.linalg.inv(normal)
    area = np.einsum("...i,...i->...", covariance[..., 0, :], right)
    error = np.sqrt(covariance[..., 0, 0])
    return np.where(enough, area, np.nan), np.where(enough, error, np.nan)


def _start(
    x: FloatArray, data: FloatArray, variance: FloatArray, narrow: float, wide: float
) -> FloatArray:
    """Start from moments above the line through the window's outer fifths.

    Rows too weak for their own moments take centre and width from the sum of the strong ones, or
    of all rows where none is strong.
    """
    own, error = _moments(x, data, variance)
    strong = own[:, 0] > STRONG * error
    chosen = strong if strong.any() else np.isfinite(data).all(axis=1)
    together = np.asarray(np.nansum(data[chosen], axis=0, dtype=np.float64, keepdims=True))
    common, _ = _moments(x, together, np.ones_like(together))
    start = np.where(
        strong[:, None],
        own,
        np.column_stack(
            [own[:, 0], *(np.full(len(own), common[0, k]) for k in (1, 2)), own[:, 3:]]
        ),
    )
    start[:, 1] = np.clip(start[:, 1], -0.9, 0.9)
    start[:, 2] = np.clip(start[:, 2], 1.05 * narrow, 0.95 * wide)
    return start


def _moments(
    x: FloatArray, data: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Area, mean, spread, level and slope of each row, and the area's error."""
    step = x[1] - x[0]
    outer = max(len(x) // 5, 1)
    known = np.where(np.isfinite(data), data, 0.0)
    left, right = known[:, :outer].mean(axis=1), known[:, -outer:].mean(axis=1)
    slope = (right - left) / (x[-outer:].mean() - x[:outer].mean())
    level = 0.5 * (left + right) - slope * 0.5 * (x[-outer:].mean() + x[:outer].mean())
    above = known - level[:, None] - slope[:, None] * x
    area = above.sum(axis=1) * step
    error = np.sqrt(np.where(np.isfinite(variance), variance, 0.0).sum(axis=1)) * step
    total = np.where(area > 0, area, np.inf) / step
    mean = np.clip((above * x).sum(axis=1) / total, -1, 1)
    spread = (above * (x - mean[:, None]) ** 2).sum(axis=1) / total
    sigma = np.sqrt(np.maximum(spread, 0.0))
    return np.stack([area, mean, sigma, level, slope], axis=1), error
