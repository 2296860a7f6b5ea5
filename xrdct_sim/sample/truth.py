r"""The exact truth of a phantom on any grid: what a perfect recovery would find in each voxel.

Fractions are averages over the voxel's square and over the beam's height. Texture is that of the
voxel's centre. Left out: anything about the instrument.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.materials import Material, electron_density_per_A3
from xrdct_sim.physics.texture import (
    direction_harmonics,
    harmonic_orders,
    mean_over_rotations,
    orders_for,
    scattering_direction,
    zonal_coefficients,
)
from xrdct_sim.sample.phantom import Phantom, TextureField
from xrdct_sim.sample.shapes import Footprint

FloatArray = NDArray[np.floating]
VOXELS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class VoxelTruth:
    """Truth of one slice; maps have shape (y, x)."""

    x_mm: FloatArray  # voxel centres in the sample frame
    y_mm: FloatArray
    volume_fraction: Mapping[str, FloatArray]  # of each pure material
    mass_mg_per_mm3: Mapping[str, FloatArray]
    electrons_per_A3: FloatArray
    axis: FloatArray | None  # (y, x, 3) fibre axis; None without texture
    march_r: FloatArray | None
    ordered: FloatArray | None  # share of grains that follow the texture


def grid_centres_mm(n_voxels: int, step_mm: float) -> NDArray[np.float64]:
    """Voxel centres along one side, symmetric about the rotation axis, mm."""
    return np.asarray((np.arange(n_voxels) - (n_voxels - 1) / 2) * step_mm, np.float64)


@jax.jit
def _fractions(phantom: Phantom, points: jax.Array, voxel: Footprint) -> jax.Array:
    return phantom.fractions(points, voxel)


@jax.jit
def _texture(phantom: Phantom, points: jax.Array) -> TextureField:
    return phantom.texture(points)


def voxel_truth(
    phantom: Phantom,
    materials: Mapping[str, Material],
    *,
    n_voxels: int,
    step_mm: float,
    height_mm: float,
    height_sigma_mm: float,
) -> VoxelTruth:
    """Truth on a square grid.

    Parameters
    ----------
    materials
        Pure materials by name, for densities.
    n_voxels, step_mm
        Voxels a side and their size, mm.
    height_mm
        Motor position z: the slice lies at sample height -height_mm.
    height_sigma_mm
        Standard deviation of the beam's vertical profile, mm.
    """
    centres = grid_centres_mm(n_voxels, step_mm)
    y, x = np.meshgrid(centres, centres, indexing="ij")
    points = np.stack([x, y, np.full_like(x, -height_mm)], axis=-1)
    voxel = Footprint(
        rotation_rad=0.0, length_mm=step_mm, width_mm=step_mm, height_sigma_mm=height_sigma_mm
    )
    fractions = np.asarray(_fractions(phantom, points, voxel), float)
    fractions = np.clip(fractions, 0.0, 1.0)
    names = phantom.materials
    volume = {name: fractions[..., k] for k, name in enumerate(names)}
    density = {name: materials[name].density_g_cm3 for name in names}
    texture = _texture(phantom, points) if phantom.textured is not None else None
    return VoxelTruth(
        x_mm=centres,
        y_mm=centres,
        volume_fraction=volume,
        mass_mg_per_mm3={name: volume[name] * density[name] for name in names},
        electrons_per_A3=np.sum(
            [volume[name] * electron_density_per_A3(materials[name]) for name in names], axis=0
        ),
        axis=np.asarray(texture.axis, float) if texture else None,
        march_r=np.asarray(texture.march_r, float) if texture else None,
        ordered=np.broadcast_to(np.asarray(texture.ordered, float), x.shape) if texture else None,
    )


def scan_mean_pole_density(
    texture: TextureField,
    zonal: FloatArray,
    two_theta_rad: float,
    azimuth_rad: FloatArray,
    rotations_rad: FloatArray,
) -> NDArray[np.float64]:
    r"""Pole density on a ring, averaged over the rotations of a scan.

    .. math:: \bar P(\chi) = \sum_{lm} a_l\,z_l\,\langle Y_{lm}(R_\omega n)\rangle_\omega\,
              Y_{lm}(q(\theta, \chi))

    What scalar reconstruction of each azimuth finds for an isolated voxel.

    Parameters
    ----------
    texture
        Of the voxels, ``(n, ...)``.
    zonal
        Means of P_l(cos rho) over the ring's family, even l, ``(l_max / 2 + 1,)``.
    azimuth_rad
        pyFAI's chi, ``(n_azimuth,)``.

    Returns
    -------
        Shape ``(n, n_azimuth)``, m.r.d.
    """
    l_max = 2 * (len(zonal) - 1)
    steepest = float(np.min(np.asarray(texture.axis)[:, 2], initial=1.0))
    m_max = orders_for(l_max, float(np.arccos(min(steepest, 1.0))), 1e-5)
    eta = np.asarray(azimuth_rad) - np.pi / 2
    q = scattering_direction(two_theta_rad / 2, eta)
    angles, weights = jnp.asarray(rotations_rad), jnp.asarray(zonal)
    parts = [
        np.asarray(_mean_density(part, weights, q, angles, l_max, m_max), float)[:kept]
        for part, kept in texture_batches(texture)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(azimuth_rad)))


def texture_batches(texture: TextureField) -> Iterator[tuple[TextureField, int]]:
    """Cut voxels into batches of one fixed shape (one compilation); with each, how many count."""
    count = len(texture.march_r)
    ordered = np.broadcast_to(np.asarray(texture.ordered), (count,))
    for first in range(0, count, VOXELS_AT_ONCE):
        place = np.minimum(first + np.arange(VOXELS_AT_ONCE), count - 1)
        part = TextureField(
            axis=jnp.asarray(np.asarray(texture.axis)[place]),
            march_r=jnp.asarray(np.asarray(texture.march_r)[place]),
            ordered=jnp.asarray(ordered[place]),
        )
        yield part, min(VOXELS_AT_ONCE, count - first)


@partial(jax.jit, static_argnames=("l_max", "m_max"))
def _mean_density(
    texture: TextureField,
    zonal: jax.Array,
    q: jax.Array,
    rotations_rad: jax.Array,
    l_max: int,
    m_max: int,
) -> jax.Array:
    """Pole density of voxels in directions q, averaged over rotations, ``(n, n_azimuth)``."""
    degrees = harmonic_orders(l_max, m_max)
    looking = direction_harmonics(q, l_max, m_max) * zonal[degrees // 2]
    turned = mean_over_rotations(
        direction_harmonics(texture.axis, l_max, m_max), rotations_rad, l_max, m_max
    )
    fibre = (zonal_coefficients(texture.march_r, l_max)[:, degrees // 2] * turned) @ looking.T
    share = jnp.asarray(texture.ordered)[:, None]
    return jnp.asarray(1 - share + share * fibre)
