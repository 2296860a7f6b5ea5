r"""Rings on the reference plane: where scattering from a depth arrives and how sharp it is.

The plane stands at the panel's distance D along the beam, normal to it. A pixel at lab position
(X, Y, Z) sees the radius :math:`\rho = D\sqrt{Y^2 + Z^2}/X`. Left out: curvature of a ring within
its blur (a shift of :math:`\sigma^2/2\rho`: 1 um for the 003 ring of LiCoO2 at 260 mm).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector, sensor_depths
from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.scattering import FWHM_PER_SIGMA, bandwidth_fwhm_rad
from xrdct_sim.simulate.layout import RING_REACH_SIGMA, Layout


def depth_radius(distance_mm: Array, depth_mm: Array, two_theta_rad: Array) -> jax.Array:
    r"""Radius of a ring from depth x, :math:`\rho = (D - x)\tan 2\theta`, mm."""
    return (jnp.asarray(distance_mm) - depth_mm) * jnp.tan(two_theta_rad)


def solid_angle_ratio(distance_mm: Array, depth_mm: Array, radius_mm: Array) -> jax.Array:
    r"""Solid angle of a pixel at :math:`\rho` seen from depth x, over that seen from the axis.

    .. math:: \frac{D - x}{D}\left(\frac{D^2 + \rho^2}{(D - x)^2 + \rho^2}\right)^{3/2}
    """
    near = jnp.asarray(distance_mm) - depth_mm
    squared = jnp.square(radius_mm)
    return near / distance_mm * ((distance_mm**2 + squared) / (near**2 + squared)) ** 1.5


def ring_variance_mm2(
    two_theta_rad: Array,
    width_rad: Array,
    distance_mm: Array,
    beam: Beam,
    detector: Detector,
    layout: Layout,
    bin_step_mm: float,
) -> jax.Array:
    r"""Variance of a ring's radius on the reference plane, mm².

    .. math:: \left(\frac{D - x}{\cos^2 2\theta}\right)^2
              \left[w^2 + \left(2\tan\theta\,\frac{\Delta E}{E}\right)^2\right]
              + \sigma_{blur}^2 - \frac{h^2}{6} - \frac{(\Delta x\tan 2\theta)^2}{6}

    The last two terms take out what linear interpolation between radii (step h) and between
    depth bins (step :math:`\Delta x`) adds on average. ``distance_mm`` is D - x.
    """
    effects = layout.effects
    relative = effects.bandwidth * beam.bandwidth_keV / beam.energy_keV / FWHM_PER_SIGMA
    spectral = bandwidth_fwhm_rad(jnp.asarray(two_theta_rad), relative)
    stretch = distance_mm / jnp.cos(two_theta_rad) ** 2
    blur = detector.blur_variance_mm2(effects.point_spread)
    blur = blur + effects.footprint * beam.blur_variance_mm2()
    added = layout.radius_step_mm**2 / 6 + (bin_step_mm * jnp.tan(two_theta_rad)) ** 2 / 6
    variance = stretch**2 * (width_rad**2 + spectral**2) + blur
    return jnp.maximum(variance - added, 0.25 * variance)


def rings(
    radius_mm: jax.Array, variance_mm2: jax.Array, power: jax.Array, layout: Layout
) -> jax.Array:
    r"""Sum of Gaussian rings on the radial grid, each normalised to its power per mm.

    Parameters
    ----------
    radius_mm, variance_mm2
        Shape ``(n_rings,)``.
    power
        Shape ``(n_rings, ...)``.

    Returns
    -------
        Shape ``(n_radii, ...)``, power per mm of radius.
    """
    step, count = layout.radius_step_mm, layout.n_ring_points
    sigma = jnp.sqrt(variance_mm2)
    first = jnp.floor(radius_mm / step).astype(int) - count // 2 + 1
    index = first[:, None] + np.arange(count)
    offset = (index * step - radius_mm[:, None]) / sigma[:, None]
    shape = jnp.exp(-0.5 * offset**2) / (sigma[:, None] * np.sqrt(2 * np.pi))
    shape = jnp.where((jnp.abs(offset) < RING_REACH_SIGMA) & (index >= 0), shape, 0.0)
    extra = (1,) * (power.ndim - 1)
    values = shape.reshape(*shape.shape, *extra) * power[:, None]
    empty = jnp.zeros((layout.n_radii, *power.shape[1:]), values.dtype)
    return empty.at[index].add(values, mode="drop")


def ring_factor(radii_mm: Array, distance_mm: Array) -> jax.Array:
    """Profile of one photon per mm of radius, (D² + rho²)^1.5 / (2 pi rho D)."""
    safe = jnp.maximum(radii_mm, 1e-3)
    return (jnp.square(distance_mm) + safe**2) ** 1.5 / (2 * np.pi * safe * distance_mm)


@partial(jax.jit, static_argnames=("layout",))
def sensor_shift(profiles: jax.Array, detector: Detector, layout: Layout) -> jax.Array:
    r"""Move photons outward by their depth in the sensor, :math:`\rho\to\rho(1 + d/D)`.

    A photon that enters at :math:`\rho'` and is absorbed at depth d is counted at
    :math:`\rho = \rho'(1 + d/D)`; areas keep their photons: a factor :math:`(\rho'/\rho)^2`
    joins, and the profile refers to the solid angle at :math:`\rho`. ``(..., n_radii)``.
    """
    distance = detector.beam_distance_mm
    radii = jnp.asarray(layout.radii_mm())
    cosine = distance / jnp.sqrt(distance**2 + radii**2)
    depths, weights = sensor_depths(
        detector.sensor_mu_per_mm,
        detector.sensor_thickness_mm,
        cosine,
        layout.accuracy.n_sensor_depths,
    )
    shifted = jnp.zeros_like(profiles)
    for depth, weight in zip(depths, weights, strict=True):
        shrink = distance / (distance + depth)
        place = radii * shrink / layout.radius_step_mm
        low = jnp.clip(jnp.floor(place).astype(int), 0, layout.n_radii - 2)
        part = place - low
        entered = profiles[..., low] * (1 - part) + profiles[..., low + 1] * part
        seen = ((distance**2 + radii**2) / (distance**2 + (radii * shrink) ** 2)) ** 1.5
        shifted = shifted + weight * shrink**2 * seen * entered
    return shifted
