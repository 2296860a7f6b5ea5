r"""From rays and patterns to the expected counts of a frame.

.. math:: N_p = I_0 t\,T\,\Delta\Omega_p\,\varepsilon_p\left[A(\rho_p) - f\cos 2\chi_p\,B(\rho_p)
          + M(\chi_p, \rho_p)\,(1 - f\cos 2\chi_p\,B_0/A_0)\right] + d\,t

A pure function of rays, patterns and pixels; noise is a separate step.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector, sensor_efficiency
from xrdct_sim.instrument.geometry import panel_arrays
from xrdct_sim.physics.arrays import Array
from xrdct_sim.simulate.layout import Layout
from xrdct_sim.simulate.patterns import Patterns
from xrdct_sim.simulate.rays import Rays
from xrdct_sim.simulate.texture_map import texture_map


class Pixels(NamedTuple):
    """What each pixel reads of the profiles, ``(n_pixels,)`` each."""

    low_radius: jax.Array  # index of the profile point below
    radius_part: jax.Array  # place between it and the next
    low_azimuth: jax.Array  # index of the texture map's azimuth below
    azimuth_part: jax.Array
    polar: jax.Array  # f cos 2 chi
    weight: jax.Array  # solid angle x efficiency, 0 in the beamstop's shadow; sr


@partial(jax.jit, static_argnames=("layout",))
def look_at_pixels(detector: Detector, beam: Beam, layout: Layout) -> Pixels:
    """Where each pixel stands on the reference plane and how much it collects."""
    effects = layout.effects
    area = detector.pixel_mm[0] * detector.pixel_mm[1]
    panel = panel_arrays(
        detector.distance_mm, detector.poni_mm, detector.rotations_rad, detector.plane_mm, area
    )
    distance = detector.beam_distance_mm
    x, y, z = (panel.position_mm[:, k] for k in range(3))
    radius = distance * jnp.hypot(y, z) / x
    place = radius / layout.radius_step_mm
    low = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, layout.n_radii - 2)
    count = layout.accuracy.texture_azimuths
    turn = jnp.mod(panel.chi_rad, 2 * np.pi) * (count / (2 * np.pi))
    low_azimuth = jnp.floor(turn).astype(jnp.int32)
    weight = panel.solid_angle_sr
    if not effects.solid_angle:
        weight = jnp.full_like(weight, area) / detector.distance_mm**2
    if effects.efficiency:
        weight = weight * sensor_efficiency(
            detector.sensor_mu_per_mm, detector.sensor_thickness_mm, panel.cos_incidence
        )
    if effects.beamstop:
        shadow = detector.beamstop_radius_mm * distance / detector.beamstop_distance_mm
        weight = jnp.where(radius < shadow, 0.0, weight)
    factor = jnp.asarray(beam.polarisation) * effects.polarisation
    return Pixels(
        low_radius=low,
        radius_part=place - low,
        low_azimuth=low_azimuth % count,
        azimuth_part=turn - low_azimuth,
        polar=factor * jnp.cos(2 * panel.chi_rad),
        weight=weight,
    )


def radial_profiles(rays: Rays, patterns: Patterns, beam: Beam, exposure_s: Array) -> jax.Array:
    """Profiles of all rays of a block, ``(n_translations, 2, n_radii)``, photons per sr."""
    photons = (beam.flux_per_s * exposure_s * rays.transmission)[:, None]
    plain = (photons * rays.lengths_mm) @ patterns.plain
    polar = (photons * rays.lengths_mm) @ patterns.polar
    return jnp.stack([plain, polar], axis=1)


def expected_counts(
    profiles: jax.Array,
    texture: jax.Array | None,
    pixels: Pixels,
    patterns: Patterns,
    dark_counts: Array,
    layout: Layout,
) -> jax.Array:
    """Expected counts of one frame, ``(n_pixels,)``.

    Parameters
    ----------
    profiles
        Plain and polar profile of the frame, ``(2, n_radii)``, photons per sr.
    texture
        Coefficients for :func:`texture_map` times incident photons and transmission, or None
        where the ray meets no textured material.
    dark_counts
        Dark counts per pixel in the exposure.
    """
    low, part = pixels.low_radius, pixels.radius_part

    def read(profile: jax.Array) -> jax.Array:
        below = profile.at[low].get(mode="promise_in_bounds")
        above = profile.at[low + 1].get(mode="promise_in_bounds")
        return below + part * (above - below)

    seen = read(profiles[0]) - pixels.polar * read(profiles[1])
    if texture is not None:
        surface = texture_map(texture, patterns.harmonics, patterns.textured, layout)
        seen = seen + _read_surface(surface, pixels) * (
            1 - pixels.polar * read(patterns.polar_ratio)
        )
    return jnp.maximum(seen, 0.0) * pixels.weight + dark_counts


def _read_surface(surface: jax.Array, pixels: Pixels) -> jax.Array:
    """Bilinear value of an (azimuth, radius) map at each pixel; azimuth is periodic."""
    flat, width = surface.reshape(-1), surface.shape[1]
    after = jnp.where(pixels.low_azimuth + 1 == surface.shape[0], 0, pixels.low_azimuth + 1)

    def read(azimuth: jax.Array) -> jax.Array:
        index = azimuth * width + pixels.low_radius
        below = flat.at[index].get(mode="promise_in_bounds")
        above = flat.at[index + 1].get(mode="promise_in_bounds")
        return below + pixels.radius_part * (above - below)

    first, second = read(pixels.low_azimuth), read(after)
    return first + pixels.azimuth_part * (second - first)
