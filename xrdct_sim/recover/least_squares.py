r"""Weighted least squares of many small problems at once, with bounds, error bars and status codes.

.. math:: \min_\theta \sum_i w_i^2 [y_i - f(x_i; \theta)]^2, \qquad
          \operatorname{cov}\theta = (J^T W^2 J)^{-1}

by Levenberg-Marquardt. Left out: errors correlated between points, and weights that follow the
model (a variance taken from the data itself pulls a mean down by about one count in Poisson data).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]
Model = Callable[[jax.Array, jax.Array], jax.Array]
ROUNDING = 1e-5  # of chi squared: what single precision leaves uncertain at 1000 sigma a point


class Status(IntEnum):
    """How a voxel's fit ended; every code but OK leaves NaN in the maps."""

    OK = 0
    TOO_LITTLE_SIGNAL = 1
    NOT_CONVERGED = 2
    AT_BOUND = 3
    NOT_ENOUGH_DATA = 4


EXPLANATION = {
    Status.OK: "fitted; error bars hold",
    Status.TOO_LITTLE_SIGNAL: (
        "the peak is weaker than the demanded multiple of its own error bar; "
        "count longer, or read the map of the plain window sum, which needs no fit"
    ),
    Status.NOT_CONVERGED: (
        "no minimum within the allowed steps; look at the profile: two peaks in the window?"
    ),
    Status.AT_BOUND: (
        "centre or width ran to the edge of its range; move or widen the window, or its bounds"
    ),
    Status.NOT_ENOUGH_DATA: (
        "outside the field of view, or too few unmasked points in the window; widen the window"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Result of n fits of p parameters; values as found, whatever the status."""

    value: FloatArray  # (n, p)
    covariance: FloatArray  # (n, p, p)
    chi_squared: FloatArray  # (n,)
    n_points: NDArray[np.integer]  # (n,) points with weight
    status: NDArray[np.int8]  # (n,)


@dataclass(frozen=True, kw_only=True)
class FitMaps:
    """Fits per voxel, by the parameters' names; NaN where ``status`` is not OK."""

    value: Mapping[str, FloatArray]
    error: Mapping[str, FloatArray]  # standard deviations
    chi_squared: FloatArray
    degrees_of_freedom: NDArray[np.integer]
    status: NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Solver:
    """Accuracy of the minimisation."""

    max_steps: int = 40
    decrement: float = 1e-4  # stop when chi squared can fall by less than this (one last step)
    batch: int = 4096  # problems in work at a time


def least_squares(
    model: Model,
    x: ArrayLike,
    data: ArrayLike,
    variance: ArrayLike,
    start: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    solver: Solver | None = None,
) -> Fit:
    """Fit every row of the data.

    Parameters
    ----------
    model
        ``model(parameters (p,), x) -> (m,)``, a function defined once (it is compiled once).
    x
        Whatever the model takes, the same for all rows; leading axis m.
    data
        ``(n, m)``; NaN is left out.
    variance
        Of the data, ``(n, m)``; points without a positive, finite variance are left out.
    start
        Start values, ``(n, p)``, within the bounds.
    lower, upper
        Bounds, ``(p,)`` or ``(n, p)``; infinite = none.
    solver
        Accuracy.
    """
    how = solver or Solver()
    rows, noise = np.asarray(data), np.asarray(variance)
    first = np.asarray(start)
    low, high = (np.broadcast_to(np.asarray(b), first.shape) for b in (lower, upper))
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.isfinite(rows) & np.isfinite(noise) & (noise > 0)
        weight = np.where(used, 1 / np.sqrt(noise), 0.0)
    clean = np.where(used, rows, 0.0)
    n, batch = len(rows), min(how.batch, max(len(rows), 1))
    parts = []
    for begin in range(0, n, batch):
        piece = slice(begin, begin + batch)
        pad = batch - len(clean[piece])
        padded = [
            jnp.asarray(np.pad(a[piece], [(0, pad), (0, 0)], mode="edge"))
            for a in (clean, weight, first, low, high)
        ]
        found = _solve(model, how.max_steps, how.decrement, jnp.asarray(x), *padded)
        parts.append([np.asarray(a)[: batch - pad] for a in found])
    if not parts:
        p = first.shape[1]
        return _empty(p)
    value, covariance, chi_squared, done, bound = (
        np.concatenate(a) for a in zip(*parts, strict=True)
    )
    n_points = used.sum(axis=1)
    return Fit(
        value=value,
        covariance=covariance,
        chi_squared=chi_squared,
        n_points=n_points,
        status=_status(value, covariance, n_points, done, bound),
    )


def fit_maps(
    fit: Fit,
    names: Sequence[str],
    unit: FloatArray,
    shape: tuple[int, ...],
    least_signal: float,
) -> FitMaps:
    """Scale fits back to their units and lay them out as maps.

    Parameters
    ----------
    fit
        n fits whose first parameter is the signal.
    names
        Of the p parameters.
    unit
        What to multiply each parameter by, ``(n, p)``.
    shape
        Of the maps; n voxels in all.
    least_signal
        Signal over its error below which a fit counts as empty.
    """
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.diagonal(fit.covariance, axis1=1, axis2=2))
    status = fit.status.copy()
    weak = fit.value[:, 0] < least_signal * error[:, 0]
    status[(status != Status.NOT_ENOUGH_DATA) & weak] = Status.TOO_LITTLE_SIGNAL
    good = (status == Status.OK)[:, None]
    value = np.where(good, fit.value * unit, np.nan)
    spread = np.where(good, error * unit, np.nan)
    return FitMaps(
        value={name: value[:, k].reshape(shape) for k, name in enumerate(names)},
        error={name: spread[:, k].reshape(shape) for k, name in enumerate(names)},
        chi_squared=np.where(good[:, 0], fit.chi_squared, np.nan).reshape(shape),
        degrees_of_freedom=(fit.n_points - len(names)).reshape(shape),
        status=status.reshape(shape),
    )


def _empty(p: int) -> Fit:
    return Fit(
        value=np.zeros((0, p)),
        covariance=np.zeros((0, p, p)),
        chi_squared=np.zeros(0),
        n_points=np.zeros(0, dtype=np.int64),
        status=np.zeros(0, dtype=np.int8),
    )


def _status(
    value: FloatArray,
    covariance: FloatArray,
    n_points: NDArray[np.integer],
    done: NDArray[np.bool_],
    bound: NDArray[np.bool_],
) -> NDArray[np.int8]:
    spread = np.diagonal(covariance, axis1=1, axis2=2)
    sound = np.isfinite(value).all(axis=1) & np.isfinite(spread).all(axis=1)
    sound &= (spread > 0).all(axis=1)
    status = np.full(len(value), Status.OK, dtype=np.int8)
    status[~(done & sound)] = Status.NOT_CONVERGED
    status[bound] = Status.AT_BOUND
    status[n_points < value.shape[1] + 1] = Status.NOT_ENOUGH_DATA
    return status


@partial(jax.jit, static_argnums=(0, 1, 2))
def _solve(
    model: Model,
    max_steps: int,
    decrement: float,
    x: jax.Array,
    data: jax.Array,
    weight: jax.Array,
    start: jax.Array,
    lower: jax.Array,
    upper: jax.Array,
) -> tuple[jax.Array, ...]:
    one = partial(_solve_one, model, max_steps, decrement, x)
    return jax.vmap(one)(data, weight, start, lower, upper)


def _normal(
    model: Model, x: jax.Array, data: jax.Array, weight: jax.Array, value: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Give normal matrix and gradient, scaled to a unit diagonal, and the scale."""
    jacobian = weight[:, None] * jax.jacfwd(model)(value, x)
    residual = weight * (data - model(value, x))
    scale = jnp.sqrt(jnp.sum(jacobian**2, axis=0))
    scale = jnp.where(scale > 0, scale, 1.0)
    jacobian = jacobian / scale
    matrix = jnp.matmul(jacobian.T, jacobian, precision="highest")
    return matrix, jacobian.T @ residual, scale


def _cholesky_solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve a small positive definite system by elementwise arithmetic, unrolled.

    LAPACK, called for thousands of tiny matrices within a loop, is slow and can lock up.
    """
    n = matrix.shape[0]
    factor: list[list[jax.Array]] = [[] for _ in range(n)]
    half: list[jax.Array] = []
    for i in range(n):
        for j in range(i):
            known = sum((factor[i][k] * factor[j][k] for k in range(j)), jnp.zeros(()))
            factor[i].append((matrix[i, j] - known) / factor[j][j])
        known = sum((factor[i][k] ** 2 for k in range(i)), jnp.zeros(()))
        factor[i].append(jnp.sqrt(matrix[i, i] - known))
        known = sum((factor[i][k] * half[k] for k in range(i)), jnp.zeros(()))
        half.append((right[i] - known) / factor[i][i])
    whole: list[jax.Array] = [jnp.zeros(())] * n
    for i in reversed(range(n)):
        known = sum((factor[k][i] * whole[k] for k in range(i + 1, n)), jnp.zeros(()))
        whole[i] = (half[i] - known) / factor[i][i]
    return jnp.stack(whole)


def _solve_one(
    model: Model,
    max_steps: int,
    decrement: float,
    x: jax.Array,
    data: jax.Array,
    weight: jax.Array,
    start: jax.Array,
    lower: jax.Array,
    upper: jax.Array,
) -> tuple[jax.Array, ...]:
    eye = jnp.eye(len(start), dtype=start.dtype)

    def cost_of(value: jax.Array) -> jax.Array:
        return jnp.sum((weight * (data - model(value, x))) ** 2)

    def step(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        value, cost, damping, count, _ = state
        matrix, gradient, scale = _normal(model, x, data, weight, value)
        stuck = ((value <= lower) & (gradient < 0)) | ((value >= upper) & (gradient > 0))
        free = ~stuck
        matrix = jnp.where(free[:, None] & free[None, :], matrix, eye)
        gradient = jnp.where(free, gradient, 0.0)
        newton = _cholesky_solve(matrix + 1e-6 * eye, gradient[:, None])[:, 0]
        damped = _cholesky_solve(matrix + damping * eye, gradient[:, None])[:, 0]
        trial = jnp.clip(value + damped / scale, lower, upper)
        trial_cost = cost_of(trial)
        better = trial_cost <= cost
        gain = gradient @ newton
        finished = (gain <= decrement + ROUNDING * cost) & (better | (damping > 1.0))
        damping = jnp.where(better, jnp.maximum(damping / 8, 1e-6), damping * 8)
        value, cost = jnp.where(better, trial, value), jnp.where(better, trial_cost, cost)
        return value, cost, damping, count + 1, finished

    def unfinished(state: tuple[jax.Array, ...]) -> jax.Array:
        return (state[3] < max_steps) & ~state[4]

    begin: tuple[jax.Array, ...] = (
        start,
        cost_of(start),
        jnp.full_like(start[0], 1e-2),
        jnp.asarray(0),
        jnp.asarray(False),
    )
    value, cost, _, _, done = jax.lax.while_loop(unfinished, step, begin)
    matrix, _, scale = _normal(model, x, data, weight, value)
    covariance = _cholesky_solve(matrix, eye) / (scale[:, None] * scale[None, :])
    bound = jnp.any((value <= lower) | (value >= upper))
    return value, covariance, cost, done, bound
