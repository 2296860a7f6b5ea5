"""Beer-Lambert attenuation along straight rays; pure functions for numpy or JAX arrays.

Left out: scattering back into the ray (build-up), at most the single-scattering albedo times
the optical depth.
"""

import jax
import jax.numpy as jnp


def transmission(optical_depth: jax.Array) -> jax.Array:
    r"""Fraction of photons that pass an optical depth.

    .. math:: T = e^{-\tau}, \quad \tau = \sum_m \mu_m L_m

    Parameters
    ----------
    optical_depth
        τ, any shape, no unit.

    Returns
    -------
        T in (0, 1], same shape.
    """
    return jnp.exp(-optical_depth)


def optical_depth(mu_per_mm: jax.Array, path_mm: jax.Array) -> jax.Array:
    r"""Optical depth of lengths of materials on a ray.

    .. math:: \tau = \sum_m \mu_m L_m

    Parameters
    ----------
    mu_per_mm
        Linear attenuation coefficients, 1/mm; shape ``(m,)``.
    path_mm
        Length of each material on each ray, mm; shape ``(..., m)``.

    Returns
    -------
        τ, shape ``(...)``.
    """
    return jnp.sum(mu_per_mm * path_mm, axis=-1)


def transmission_in(mu_per_mm: jax.Array, step_mm: float | jax.Array) -> jax.Array:
    r"""Fraction of the beam that reaches the centre of each voxel on its path.

    .. math:: T_i = \exp\Bigl[-\Delta\bigl(\tfrac12\mu_i + \sum_{j<i}\mu_j\bigr)\Bigr]

    Parameters
    ----------
    mu_per_mm
        Linear attenuation along the ray, entrance first, 1/mm; shape ``(..., n)``.
    step_mm
        Voxel pitch along the ray, mm.

    Returns
    -------
        Transmission in (0, 1]; shape ``(..., n)``.

    Notes
    -----
    Exact at the centre of a uniform voxel. Read as the voxel's *mean* it is low by
    (mu step)²/24: under 0.1 % while mu step < 0.15.
    """
    crossed = jnp.cumsum(mu_per_mm, axis=-1) - 0.5 * mu_per_mm
    return jnp.exp(-step_mm * crossed)


def transmission_out(mu_per_mm: jax.Array, step_mm: float | jax.Array) -> jax.Array:
    r"""Fraction of what each voxel's centre sends forward that leaves at the far end of the ray.

    .. math:: T_i = \exp\Bigl[-\Delta\bigl(\tfrac12\mu_i + \sum_{j>i}\mu_j\bigr)\Bigr]

    Parameters
    ----------
    mu_per_mm
        Linear attenuation along the ray, entrance first, 1/mm; shape ``(..., n)``.
    step_mm
        Voxel pitch along the ray, mm.

    Returns
    -------
        Transmission in (0, 1]; shape ``(..., n)``.

    Notes
    -----
    Forward direction only: with ``transmission_in`` it makes one number per ray.
    """
    return jnp.flip(transmission_in(jnp.flip(mu_per_mm, axis=-1), step_mm), axis=-1)
