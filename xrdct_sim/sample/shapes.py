r"""How much of the beam's footprint lies inside a body, from signed distances.

A body is known by a coordinate that grows through its faces (a distance from an axis or from a
plane) and that coordinate's gradient. Around each sample point the beam averages over a box
along itself (the sampling step), a box across itself (slits) and a Gaussian in height (focus).
Projected on the gradient this is the sum of two uniform and one normal variable, whose
cumulative distribution gives the share of the footprint beyond a face.

Left out: curvature of a face within the footprint. A disc of radius R seen by a footprint of
width w has its area wrong by less than :math:`w^2/(24 R^2)`: 1e-4 at 0.175 mm and 3 mm.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.texture import rotate_about_z


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Volume over which one sample point is averaged; each field may be differentiated."""

    rotation_rad: float | jax.Array  # of the sample: the beam runs along R_z(-rotation) x
    length_mm: float | jax.Array  # along the beam, box
    width_mm: float | jax.Array  # across the beam, horizontal, box
    height_sigma_mm: float | jax.Array  # vertical, Gaussian standard deviation

    def spread(self, gradient: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Two box widths and a standard deviation along gradients ``(..., 3)``, mm."""
        lab = rotate_about_z(gradient, self.rotation_rad)
        return (
            self.length_mm * jnp.abs(lab[..., 0]),
            self.width_mm * jnp.abs(lab[..., 1]),
            self.height_sigma_mm * jnp.abs(lab[..., 2]),
        )


def _second_integral(z: jax.Array) -> jax.Array:
    """Second antiderivative of the normal density: ((z² + 1) Phi(z) + z phi(z)) / 2."""
    normal = 0.5 * (1 + jax.scipy.special.erf(z / np.sqrt(2)))
    density = jnp.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return jnp.asarray(0.5 * ((z * z + 1) * normal + z * density))


def cumulative_footprint(
    depth_mm: Array, first_mm: Array, second_mm: Array, sigma_mm: Array
) -> jax.Array:
    r"""Share of the footprint that lies beyond a face.

    .. math:: F(u) = \frac{\sigma^2}{ab}\left[\Phi_2(z_{++}) - \Phi_2(z_{+-}) - \Phi_2(z_{-+})
        + \Phi_2(z_{--})\right], \qquad z_{\pm\pm} = \frac{u \pm a/2 \pm b/2}{\sigma}

    the distribution of the sum of two uniform variables of widths a, b and a normal one, with
    :math:`\Phi_2'' = \varphi`.

    Parameters
    ----------
    depth_mm
        Signed distance of the centre beyond the face, mm; any shape.
    first_mm, second_mm, sigma_mm
        Box widths a, b and standard deviation, mm; broadcast.

    Returns
    -------
        Share in [0, 1]: 0 far before the face, 1 far beyond, 1/2 on it.

    Notes
    -----
    For single precision sigma is kept above a twentieth of the wider box and the boxes above
    0.8 sigma, at unchanged variance (excess kurtosis -0.007). The mean position of the face, and
    so areas, do not change.
    """
    wider = jnp.maximum(first_mm, second_mm)
    sigma = jnp.maximum(jnp.maximum(sigma_mm, 0.05 * wider), 1e-6)
    a = jnp.maximum(first_mm, 0.8 * sigma)
    b = jnp.maximum(second_mm, 0.8 * sigma)
    sigma = jnp.sqrt(sigma**2 - (a**2 - first_mm**2 + b**2 - second_mm**2) / 12)
    reach = 0.5 * (a + b) + 6 * sigma
    u = jnp.clip(depth_mm, -reach, reach)
    corners = 0.5 * jnp.stack(jnp.broadcast_arrays(a + b, a - b, b - a, -a - b), axis=-1)
    parts = _second_integral((u[..., None] + corners) / sigma[..., None])
    total = parts[..., 0] - parts[..., 1] - parts[..., 2] + parts[..., 3]
    return jnp.clip(total * sigma**2 / (a * b), 0.0, 1.0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Coordinate:
    """A monotone coordinate through a stack of faces: value ``(...)`` mm, gradient ``(..., 3)``."""

    value_mm: jax.Array
    gradient: jax.Array

    def beyond(self, face_mm: float | jax.Array, footprint: Footprint) -> jax.Array:
        """Share of the footprint where the coordinate exceeds ``face_mm``."""
        return cumulative_footprint(self.value_mm - face_mm, *footprint.spread(self.gradient))

    def layers(self, faces_mm: list[float | jax.Array], footprint: Footprint) -> list[jax.Array]:
        """Shares below the first face, between faces, and beyond the last; they add up to 1.

        ``faces_mm`` ascend; n faces give n + 1 shares. Differences of one cumulative profile, so
        that neither a hole nor an overlap can arise at a shared face.
        """
        faces = jnp.stack([jnp.asarray(face) for face in faces_mm])
        widths = [width[..., None] for width in footprint.spread(self.gradient)]
        beyond = cumulative_footprint(self.value_mm[..., None] - faces, *widths)
        between = [beyond[..., k] - beyond[..., k + 1] for k in range(len(faces_mm) - 1)]
        return [1 - beyond[..., 0], *between, beyond[..., -1]]


def height_above(points_mm: Array, plane_mm: Array, normal: Array) -> Coordinate:
    r"""Signed distance from a plane, :math:`n\cdot(s - p)`.

    Parameters
    ----------
    points_mm
        Sample points, shape ``(..., 3)``.
    plane_mm, normal
        A point of the plane and its unit normal, shape ``(3,)``.
    """
    points = jnp.asarray(points_mm)
    value = (points - plane_mm) @ jnp.asarray(normal)
    return Coordinate(value_mm=value, gradient=jnp.broadcast_to(normal, points.shape))


def distance_from_axis(points_mm: Array, centre_mm: Array, axis: Array) -> Coordinate:
    r"""Distance from an axis, :math:`|d - (d\cdot a)a|` with :math:`d = s - c`.

    Parameters
    ----------
    points_mm
        Sample points, shape ``(..., 3)``.
    centre_mm, axis
        A point of the axis and its unit direction, shape ``(3,)``.
    """
    offset = jnp.asarray(points_mm) - centre_mm
    direction = jnp.asarray(axis)
    radial = offset - (offset @ direction)[..., None] * direction
    value = jnp.sqrt(jnp.sum(radial**2, axis=-1) + 1e-12)
    return Coordinate(value_mm=value, gradient=radial / value[..., None])
