r"""Filtered back-projection of all channels at once, with the exact variance of each voxel.

.. math:: f(x, y) = \sum_a w_a \sum_s h_\lambda(u_a - u_s)\, p_a(u_s), \quad
          u_a = x \sin\omega_a + y \cos\omega_a = -(t - t_{axis})

with linear interpolation :math:`\lambda` of the filtered projections. A ray integral in some unit
gives an image in that unit per mm. Left out: anything between neighbouring slices.

Axis order: (translation, rotation, channel) before, (y, x, channel) after. Voxel (i, j) stands at
``y = (i - (n-1)/2) step``, ``x = (j - (n-1)/2) step`` from the rotation axis, n = translations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]
FILTERS = ("ramlak", "hann", "shepp-logan", "cosine", "hamming")
ANGLES_PER_STEP = 8  # XLA fuses 8 well; 2 and 4 are several times slower
UNIFORM = 0.01  # largest departure from even translations, in steps


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where each voxel of the field of view falls on each projection; made once per scan."""

    n: int
    step_mm: float
    descending: bool  # translations fall with their index
    voxel: NDArray[np.intp]  # (m,) flat index of the voxels in the field of view
    index: NDArray[np.int32]  # (steps, angles per step, m) projection sample below
    fraction: FloatArray  # same shape, distance to it in samples
    weight: FloatArray  # (steps, angles per step) rad; 0 where padded
    filter_per_mm: FloatArray  # (n, n) discrete filter as a matrix
    kept: NDArray[np.bool_]  # (rotations,)


def axis_mm(n: int, step_mm: float) -> FloatArray:
    """Coordinates of n voxels along either side, from the rotation axis, mm."""
    return np.asarray((np.arange(n) - (n - 1) / 2) * step_mm)


def angular_weights_rad(rotations_rad: ArrayLike) -> FloatArray:
    """Share of the half circle that each projection stands for, rad; they add up to pi.

    Notes
    -----
    Trapezoid on the circle modulo pi: right for scans over 180 degrees with or without the end
    point, over 360 degrees, and for uneven angles. A missing wedge is shared by its two neighbours.
    """
    angles = np.mod(np.asarray(rotations_rad, dtype=np.float64), np.pi)
    order = np.argsort(angles, kind="stable")
    sorted_angles = angles[order]
    gaps = np.diff(sorted_angles, append=sorted_angles[0] + np.pi)
    weights = np.empty_like(angles)
    weights[order] = 0.5 * (gaps + np.roll(gaps, 1))
    return weights


def filter_matrix_per_mm(n: int, step_mm: float, name: str) -> FloatArray:
    r"""Filter of n samples as a Toeplitz matrix, 1/mm.

    .. math:: h(k) = \frac1\Delta\Bigl[\tfrac12 \operatorname{sinc} k
              - \tfrac14 \operatorname{sinc}^2\tfrac k2\Bigr]

    is the band-limited ramp |f|; a window over f is a sum of shifted copies of it: Hann and Hamming
    shift by one sample, cosine by half a sample, and Shepp-Logan is its mean over one sample.
    """
    if name not in FILTERS:
        raise ValueError(f"filter = {name!r}: must be one of {FILTERS}")

    def ramp(k: FloatArray) -> FloatArray:
        return np.asarray((0.5 * np.sinc(k) - 0.25 * np.sinc(k / 2) ** 2) / step_mm)

    k = np.arange(1 - n, n) * 1.0
    if name == "ramlak":
        kernel = ramp(k)
    elif name == "shepp-logan":
        kernel = -2 / (np.pi**2 * (4 * k**2 - 1)) / step_mm
    elif name == "cosine":
        kernel = 0.5 * (ramp(k - 0.5) + ramp(k + 0.5))
    else:
        middle = 0.5 if name == "hann" else 0.54
        kernel = middle * ramp(k) + 0.5 * (1 - middle) * (ramp(k - 1) + ramp(k + 1))
    lag = np.arange(n)[:, None] - np.arange(n)[None, :]
    return np.asarray(kernel[lag + n - 1])


def make_plan(
    translations_mm: ArrayLike,
    rotations_rad: ArrayLike,
    rotation_axis_mm: float,
    *,
    filter_name: str = "ramlak",
    kept: NDArray[np.bool_] | None = None,
) -> Plan:
    """Prepare the back-projection of a scan.

    Parameters
    ----------
    translations_mm
        Motor positions, evenly spaced, rising or falling, ``(n,)``.
    rotations_rad
        Rotations, any order and range.
    rotation_axis_mm
        Motor position at which the rotation axis stands in the beam.
    filter_name
        One of FILTERS.
    kept
        Rotations to use; all if not given.
    """
    translations = np.asarray(translations_mm, dtype=np.float64)
    steps = np.diff(translations)
    if len(steps) < 1 or steps[0] == 0:
        raise ValueError("translations_mm: at least two different positions are needed")
    step = float((translations[-1] - translations[0]) / len(steps))
    even = translations[0] + step * np.arange(len(translations))
    if np.abs(translations - even).max() > UNIFORM * abs(step):
        raise ValueError(f"translations_mm: must be even to {UNIFORM} of the step {step:.6g} mm")
    use = np.ones(np.size(rotations_rad), bool) if kept is None else kept
    rotations = np.asarray(rotations_rad, dtype=np.float64)[use]
    if rotations.size == 0:
        raise ValueError("rotations_rad: no rotation was measured")
    n, size = len(translations), abs(step)
    # after flipping, samples stand at u = first + index * size, in the sense of the sample's axes
    first = -(max(translations[0], translations[-1]) - rotation_axis_mm)
    voxel, x, y = _field_of_view(n, size, min(-first, first + (n - 1) * size))
    u = np.sin(rotations)[:, None] * x + np.cos(rotations)[:, None] * y
    position = np.clip((u - first) / size, 0.0, n - 1.0)
    index = np.minimum(np.floor(position), n - 2)
    weight = angular_weights_rad(rotations)
    return Plan(
        n=n,
        step_mm=size,
        descending=step < 0,
        voxel=voxel,
        index=_grouped(index).astype(np.int32),
        fraction=_grouped(position - index),
        weight=_grouped(weight),
        filter_per_mm=filter_matrix_per_mm(n, size, filter_name),
        kept=use,
    )


def _field_of_view(
    n: int, step_mm: float, radius_mm: float
) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Flat index, x and y of the voxels that every projection sees."""
    y, x = np.meshgrid(axis_mm(n, step_mm), axis_mm(n, step_mm), indexing="ij")
    inside = np.flatnonzero(np.hypot(x, y).ravel() <= radius_mm + 1e-6 * step_mm)
    if inside.size == 0:
        raise ValueError("rotation axis: it stands outside the range of the translations")
    return inside, x.ravel()[inside], y.ravel()[inside]


def _grouped(values: FloatArray) -> FloatArray:
    """Pad the first axis (angles) with zeros and fold it into steps."""
    missing = -len(values) % ANGLES_PER_STEP
    padded = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
    return padded.reshape(-1, ANGLES_PER_STEP, *values.shape[1:])


def reconstruct(plan: Plan, sinogram: FloatArray, batch: int = 256) -> NDArray[np.float32]:
    """Reconstruct every channel.

    Parameters
    ----------
    plan
        From `make_plan`.
    sinogram
        Ray integrals, ``(translation, rotation, channel)``, without NaN in the rotations kept
        (see `fill_missing`), except for whole channels.
    batch
        Channels in work at a time.

    Returns
    -------
        Image ``(y, x, channel)`` in the sinogram's unit per mm; NaN outside the field of view.
    """
    matrix = jnp.asarray(plan.filter_per_mm)
    return _in_batches(plan, sinogram, batch, partial(_value, matrix))


def reconstruct_variance(plan: Plan, variance: FloatArray, batch: int = 256) -> NDArray[np.float32]:
    r"""Variance of each voxel of `reconstruct` for independent rays.

    .. math:: \operatorname{var} f = \sum_a w_a^2 \sum_s
              [(1-\lambda) h_{k,s} + \lambda h_{k+1,s}]^2 \operatorname{var} p_{a,s}

    Exact, the linear interpolation's share included; axis order as in `reconstruct`.
    """
    h = plan.filter_per_mm
    squares = jnp.asarray(h**2)
    products = jnp.asarray(np.vstack([h[:-1] * h[1:], np.zeros_like(h[:1])]))
    return _in_batches(plan, variance, batch, partial(_variance, squares, products))


def _in_batches(
    plan: Plan, sinogram: FloatArray, batch: int, law: Callable[..., jax.Array]
) -> NDArray[np.float32]:
    n_channels = sinogram.shape[-1]
    if sinogram.shape[:2] != (plan.n, len(plan.kept)):
        raise ValueError(
            f"sinogram: shape {sinogram.shape[:2]}, the scan says {(plan.n, len(plan.kept))}"
        )
    rows = np.moveaxis(sinogram[:: 1 if plan.descending else -1][:, plan.kept], 0, 1)
    size = min(batch, n_channels)
    image = np.full((plan.n * plan.n, n_channels), np.nan, dtype=np.float32)
    geometry = tuple(jnp.asarray(a) for a in (plan.index, plan.fraction, plan.weight))
    for start in range(0, n_channels, size):
        part = _grouped(rows[..., start : start + size])
        width = part.shape[-1]
        part = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, size - width)])
        image[plan.voxel, start : start + width] = np.asarray(law(jnp.asarray(part), *geometry))[
            :, :width
        ]
    return image.reshape(plan.n, plan.n, n_channels)


@jax.jit
def _value(
    matrix: jax.Array,
    rows: jax.Array,  # (steps, angles per step, n, channels)
    index: jax.Array,
    fraction: jax.Array,
    weight: jax.Array,
) -> jax.Array:
    filtered = jnp.einsum("ks,gasc->gakc", matrix, rows, precision="highest")

    def add(
        total: jax.Array, group: tuple[jax.Array, jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, None]:
        rows_, index_, fraction_, weight_ = group
        for a in range(ANGLES_PER_STEP):
            low = rows_[a].at[index_[a]].get(mode="promise_in_bounds")
            high = rows_[a].at[index_[a] + 1].get(mode="promise_in_bounds")
            share = fraction_[a][:, None]
            total = total + weight_[a] * ((1 - share) * low + share * high)
        return total, None

    start = jnp.zeros((index.shape[-1], rows.shape[-1]), dtype=filtered.dtype)
    return jax.lax.scan(add, start, (filtered, index, fraction, weight))[0]


@jax.jit
def _variance(
    squares: jax.Array,
    products: jax.Array,
    rows: jax.Array,
    index: jax.Array,
    fraction: jax.Array,
    weight: jax.Array,
) -> jax.Array:
    own = jnp.einsum("ks,gasc->gakc", squares, rows, precision="highest")
    mixed = jnp.einsum("ks,gasc->gakc", products, rows, precision="highest")

    def add(
        total: jax.Array, group: tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, None]:
        own_, mixed_, index_, fraction_, weight_ = group
        for a in range(ANGLES_PER_STEP):
            low = own_[a].at[index_[a]].get(mode="promise_in_bounds")
            high = own_[a].at[index_[a] + 1].get(mode="promise_in_bounds")
            both = mixed_[a].at[index_[a]].get(mode="promise_in_bounds")
            share = fraction_[a][:, None]
            found = (1 - share) ** 2 * low + share**2 * high + 2 * share * (1 - share) * both
            total = total + weight_[a] ** 2 * found
        return total, None

    start = jnp.zeros((index.shape[-1], rows.shape[-1]), dtype=own.dtype)
    return jax.lax.scan(add, start, (own, mixed, index, fraction, weight))[0]


def fill_missing(
    sinogram: FloatArray, variance: FloatArray, measured: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Bridge dropped rays by their neighbours in translation; tell which rotations to keep.

    Parameters
    ----------
    sinogram
        ``(translation, rotation, channel)``.
    variance
        Same shape.
    measured
        ``(translation, rotation)``, False where the frame was dropped.

    Returns
    -------
        Filled copies, and ``(rotation,)`` True where at least one ray was measured.

    Notes
    -----
    A filled ray's noise is that of the interpolation; its correlation with the neighbours, and
    what the object did in between, are not in the variance.
    """
    if measured.all():
        return sinogram, variance, np.ones(measured.shape[1], dtype=bool)
    filled, noise = sinogram.copy(), variance.copy()
    kept = np.asarray(measured.any(axis=0), dtype=bool)
    for rotation in np.flatnonzero(kept & ~measured.all(axis=0)):
        have = np.flatnonzero(measured[:, rotation])
        for ray in np.flatnonzero(~measured[:, rotation]):
            share = np.interp(ray, have, np.arange(len(have)))
            low = int(share)
            high = min(low + 1, len(have) - 1)
            share -= low
            pair = have[[low, high]]
            filled[ray, rotation] = (1 - share) * sinogram[pair[0], rotation] + share * sinogram[
                pair[1], rotation
            ]
            noise[ray, rotation] = (1 - share) ** 2 * variance[pair[0], rotation] + (
                share**2 * variance[pair[1], rotation]
            )
    return filled, noise, kept
