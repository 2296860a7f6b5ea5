r"""Smooth random fields over the sample's horizontal plane, known at every point.

.. math:: f(s) = \sqrt{2/N}\,\sum_{i=1}^N \cos(k_i\cdot s + \varphi_i),
          \qquad k_i \sim \mathcal N(0, \ell^{-2})

has unit variance and the correlation :math:`\exp(-|s|^2/2\ell^2)`; it is a function, so that no
grid is interpolated. Left out: any dependence on height. With N = 48 waves its distribution is
near to normal (kurtosis 3 - 3/(2N)).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.physics.arrays import Array

N_WAVES = 48


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class RandomField:
    """One draw of a unit-variance field; correlation length may be differentiated."""

    directions: np.ndarray  # (N, 2) standard normal: k times the correlation length
    phases_rad: np.ndarray  # (N,)
    correlation_mm: float | jax.Array

    def __call__(self, points_mm: Array) -> jax.Array:
        """Field at points ``(..., >= 2)`` (x, y first), shape ``(...)``."""
        xy = jnp.asarray(points_mm)[..., :2] / self.correlation_mm
        waves = jnp.asarray(self.directions, xy.dtype)
        phases = jnp.asarray(self.phases_rad, xy.dtype)
        argument = xy[..., :1] * waves[:, 0] + xy[..., 1:] * waves[:, 1] + phases
        total = jnp.sum(jnp.cos(argument), axis=-1)
        return total * float(np.sqrt(2 / N_WAVES))


def draw_field(seed: int, purpose: int, correlation_mm: float | jax.Array) -> RandomField:
    """Draw the field that belongs to ``(seed, purpose)``, whatever was drawn before."""
    rng = np.random.Generator(np.random.Philox(key=[seed, purpose]))
    return RandomField(
        directions=rng.normal(size=(N_WAVES, 2)),
        phases_rad=rng.uniform(0, 2 * np.pi, N_WAVES),
        correlation_mm=correlation_mm,
    )


def bounded(field: jax.Array, limit: float = 2.0) -> jax.Array:
    r"""Soft limit, :math:`b\tanh(f/b)`: keeps a physical quantity inside its range."""
    return limit * jnp.tanh(field / limit)
