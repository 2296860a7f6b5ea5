"""What each position of the beam sees: path lengths by depth, transmission, texture.

Rays of one height and one rotation are computed together, for all translations of the scan, in
one fixed shape: the result never depends on which frames are wanted.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.physics.absorption import transmission
from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.texture import (
    direction_harmonics,
    harmonic_orders,
    rotate_about_z,
    zonal_coefficients,
)
from xrdct_sim.sample.phantom import Phantom
from xrdct_sim.sample.shapes import Footprint
from xrdct_sim.simulate.layout import Layout, cloud_in_cell

FINE_MM = 1e-4
"""Size of the beam when its footprint is switched off, mm."""


class Rays(NamedTuple):
    """Rays of one block; the first axis is the translation."""

    lengths_mm: jax.Array  # (n_translations, n_materials * n_bins) path length by depth
    transmission: jax.Array  # (n_translations,) of the whole ray
    texture_mm: jax.Array  # (n_translations, n_texture_bins, n_harmonics)
    textured_mm: jax.Array  # (n_translations, n_texture_bins) path through textured material


def footprint(beam: Beam, layout: Layout, rotation_rad: float | jax.Array) -> Footprint:
    """Volume that one sample along the ray stands for."""
    wide = layout.effects.footprint
    return Footprint(
        rotation_rad=rotation_rad,
        length_mm=layout.depth_step_mm,
        width_mm=beam.width_mm if wide else FINE_MM,
        height_sigma_mm=beam.height_sigma_mm if wide else FINE_MM,
    )


def ray_points(
    translations_mm: Array, rotation_rad: Array, height_mm: Array, layout: Layout
) -> jax.Array:
    """Points along each ray in the sample frame, ``(n_translations, n_depths, 3)``, mm.

    The sample point ``s`` stands in the lab at ``R_z(rotation) s + (0, translation, height)``.
    """
    depths = jnp.asarray(layout.depths_mm())
    across = -jnp.asarray(translations_mm)
    x, y = jnp.broadcast_arrays(depths[None, :], across[:, None])
    lab = jnp.stack([x, y, jnp.full_like(x, -height_mm)], axis=-1)
    return rotate_about_z(lab, -rotation_rad)


def trace_rays(
    phantom: Phantom,
    beam: Beam,
    mu_per_mm: Array,
    translations_mm: Array,
    rotation_rad: float | jax.Array,
    height_mm: Array,
    layout: Layout,
) -> Rays:
    r"""Path lengths, transmission and texture of the rays of one rotation.

    .. math:: w_{mj} = \int \varphi_m(x)\,\Lambda_j(x)\,dx, \qquad
              T = \exp\Bigl(-\int \sum_m \mu_m\varphi_m\,dx\Bigr)

    with :math:`\Lambda_j` the linear deposit on depth bin j (cloud in cell: the depth's centroid
    is exact). Texture coefficients are :math:`\int\varphi\,\Lambda_j\,[(1-f)\delta_{l0} +
    f a_l Y_{lm}(n)]\,dx` with f the ordered share and n the fibre axis in the lab.

    Parameters
    ----------
    mu_per_mm
        Attenuation of each material, 1/mm, ``(n_materials,)``.
    translations_mm
        Motor positions of the block, ``(n_translations,)``.
    """
    points = ray_points(translations_mm, rotation_rad, height_mm, layout)
    fractions = phantom.fractions(points, footprint(beam, layout, rotation_rad))
    step = layout.depth_step_mm
    deposit = jnp.asarray(cloud_in_cell(layout.depths_mm(), layout.bin_centres_mm()) * step)
    lengths = jnp.einsum("txm,xj->tmj", fractions, deposit.astype(fractions.dtype))
    lengths = jnp.maximum(lengths, 0.0)  # differences of shares may round to -1e-6
    optical = jnp.sum(lengths, axis=-1) @ jnp.asarray(mu_per_mm)
    through = transmission(optical) if layout.effects.absorption else jnp.ones_like(optical)
    texture, path = _texture_of_rays(phantom, fractions, points, rotation_rad, layout)
    return Rays(
        lengths_mm=lengths.reshape(len(lengths), -1),
        transmission=through,
        texture_mm=texture,
        textured_mm=path,
    )


def _texture_of_rays(
    phantom: Phantom, fractions: jax.Array, points: jax.Array, rotation_rad: Array, layout: Layout
) -> tuple[jax.Array, jax.Array]:
    """Texture coefficients and path length by depth bin."""
    bins = layout.n_texture_bins
    if layout.textured is None:
        return jnp.zeros((len(points), bins, 0)), jnp.zeros((len(points), bins))
    texture = phantom.texture(points)
    degrees = harmonic_orders(layout.l_max, layout.m_max)
    ordered = zonal_coefficients(texture.march_r, layout.l_max)
    axis = rotate_about_z(texture.axis, rotation_rad)
    harmonics = direction_harmonics(axis, layout.l_max, layout.m_max)
    share = jnp.asarray(texture.ordered)[..., None]
    coefficients = share * ordered[..., degrees // 2] * harmonics
    random = jnp.asarray(degrees == 0, coefficients.dtype)
    coefficients = coefficients + (1 - share) * random
    material = phantom.materials.index(layout.textured)
    nodes = layout.texture_bin_centres_mm()
    deposit = cloud_in_cell(layout.depths_mm(), nodes) * layout.depth_step_mm
    weighted = fractions[..., material, None] * coefficients
    onto = jnp.asarray(deposit, weighted.dtype)
    path = jnp.einsum("tx,xj->tj", fractions[..., material], onto)
    return jnp.einsum("txk,xj->tjk", weighted, onto), path
