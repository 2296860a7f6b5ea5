r"""The detector as the forward model needs it: a flat panel with a sensor in front.

A counting detector: point spread acts on the mean, the noise is Poisson in each pixel.
Left out: saturation, gain, read noise and correlated light spread of an integrating panel.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.physics.arrays import Array, library_of
from xrdct_sim.physics.scattering import FWHM_PER_SIGMA


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Detector:
    """A counting panel; position, sensor and point spread may be differentiated."""

    distance_mm: float | jax.Array  # rotation axis to point of normal incidence
    poni_mm: Array  # (2,) that point in the detector's plane, slow axis first
    rotations_rad: Array  # (3,) pyFAI's rot1, rot2, rot3
    plane_mm: np.ndarray  # (n_pixels, 2) pixel centres in the detector's plane, row by row
    pixel_mm: tuple[float, float] = field(metadata={"static": True})
    shape: tuple[int, int] = field(metadata={"static": True})
    sensor_mu_per_mm: float | jax.Array  # attenuation of the sensor at the beam's energy
    sensor_thickness_mm: float | jax.Array
    psf_fwhm_mm: float | jax.Array
    dark_per_s: float | jax.Array  # counts per pixel and second
    beamstop_radius_mm: float | jax.Array
    beamstop_distance_mm: float | jax.Array  # behind the rotation axis

    @property
    def beam_distance_mm(self) -> float | jax.Array:
        """From the rotation axis to the panel along the beam, mm."""
        rotations = jnp.asarray(self.rotations_rad)
        return self.distance_mm / (jnp.cos(rotations[0]) * jnp.cos(rotations[1]))

    def blur_variance_mm2(self, point_spread: bool) -> jax.Array:
        r"""Variance of a ring's radius from point spread and pixel aperture.

        .. math:: \sigma_{psf}^2 + p_1 p_2/12

        The square aperture has the same variance along every direction; taking it as Gaussian is
        wrong in the fourth moment only.
        """
        aperture = self.pixel_mm[0] * self.pixel_mm[1] / 12
        return aperture + point_spread * jnp.square(self.psf_fwhm_mm / FWHM_PER_SIGMA)


def sensor_efficiency(mu_per_mm: Array, thickness_mm: Array, cos_incidence: Array) -> Any:
    r"""Share of photons absorbed in the sensor, :math:`1 - \exp(-\mu d/\cos a)`."""
    library = library_of(mu_per_mm, thickness_mm, cos_incidence)
    return -library.expm1(-mu_per_mm * thickness_mm / cos_incidence)


def sensor_depths(
    mu_per_mm: Array, thickness_mm: Array, cos_incidence: Array, n_nodes: int
) -> tuple[jax.Array, jax.Array]:
    r"""Depths in the sensor and the share of the absorbed photons at each.

    .. math:: p(d) \propto \exp(-\mu d/\cos a), \quad 0 < d < t

    by Gauss-Legendre nodes. Returns depths ``(n_nodes,)`` in mm and weights
    ``(n_nodes, *cos_incidence.shape)`` that add up to 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    depths = jnp.asarray(0.5 * (nodes + 1)) * thickness_mm
    cosine = jnp.asarray(cos_incidence)
    density = jnp.exp(-mu_per_mm * depths.reshape(-1, *[1] * cosine.ndim) / cosine)
    share = density * weights.reshape(-1, *[1] * cosine.ndim)
    return depths, share / jnp.sum(share, axis=0)
