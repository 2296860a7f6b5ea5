r"""What each material scatters, as profiles over the radius on a reference plane.

The plane stands at the panel's distance D along the beam, normal to it. A pixel at lab position
(X, Y, Z) sees the radius :math:`\rho = D\sqrt{Y^2 + Z^2}/X`; scattering from depth x under the
angle 2 theta reaches :math:`\rho = (D - x)\tan 2\theta`. Profiles are macroscopic cross-sections
[1/mm/sr] per solid angle of the pixel as seen from the rotation axis:

* a ring of power C [1/mm] puts :math:`C/2\pi` photons per radian of azimuth, spread over
  :math:`\rho` by a Gaussian g, so that its profile is
  :math:`\frac{C}{2\pi}\,\frac{g(\rho - \rho_h)}{\rho}\,\frac{(D^2 + \rho^2)^{3/2}}{D}`;
* smooth scattering is S(2 theta) times the ratio of solid angles seen from x and from the axis.

Left out: tilt of the panel in the depth shift (relative error of a radius at most
:math:`(x/D)\,|X/D - 1|`), and the width of the smooth parts.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector, sensor_efficiency
from xrdct_sim.physics.scattering import polarisation_parts
from xrdct_sim.simulate.layout import Layout
from xrdct_sim.simulate.rings import (
    depth_radius,
    ring_factor,
    ring_variance_mm2,
    rings,
    sensor_shift,
    solid_angle_ratio,
)
from xrdct_sim.simulate.tables import MaterialTable, RingTable, SmoothTable
from xrdct_sim.simulate.texture_map import interval_matrix, node_harmonics, texture_profiles


class Patterns(NamedTuple):
    """Profiles over the reference plane's radius, as photons per solid angle on axis."""

    plain: jax.Array  # (n_materials * n_bins, n_radii) 1/mm/sr, azimuthal mean
    polar: jax.Array  # the same, amplitude of -f cos 2chi
    textured: jax.Array  # (n_intervals, 2 * n_texture_bins * n_degrees, radii per interval)
    harmonics: jax.Array  # (n_intervals + 1, n_azimuths, n_harmonics) of scattering directions
    polar_ratio: jax.Array  # (n_radii,) polar over plain of elastic scattering on axis


@partial(jax.jit, static_argnames=("crystalline", "layout"))
def _smooth_profiles(
    table: SmoothTable, detector: Detector, crystalline: bool, layout: Layout
) -> jax.Array:
    """Diffuse and Compton profiles of one material, ``(n_bins, 2, n_radii)``."""
    effects = layout.effects
    distance = detector.beam_distance_mm
    radii = jnp.asarray(layout.radii_mm())
    depth = jnp.asarray(layout.bin_centres_mm())[:, None]
    two_theta = jnp.arctan2(radii, distance - depth)
    ratio = solid_angle_ratio(distance, depth, radii)
    wanted = effects.thermal_diffuse if crystalline else effects.amorphous
    smooth = wanted * ratio * jnp.interp(two_theta, table.grid_rad, table.smooth_per_mm_sr)
    parts = jnp.stack([smooth * part for part in polarisation_parts(two_theta)], axis=1)
    if effects.compton:
        seen = ratio * _compton_efficiency_ratio(table, two_theta, detector, effects.efficiency)
        found = [
            seen * jnp.interp(two_theta, table.grid_rad, c)
            for c in jnp.asarray(table.compton_per_mm_sr)
        ]
        parts = parts + jnp.stack(found, axis=1)
    return parts


@partial(jax.jit, static_argnames=("layout",))
def _ring_profiles(table: RingTable, beam: Beam, detector: Detector, layout: Layout) -> jax.Array:
    """Bragg profiles of one powder, ``(n_bins, 2, n_radii)``."""
    distance = detector.beam_distance_mm
    radii = jnp.asarray(layout.radii_mm())
    bins = layout.bin_centres_mm()
    step = float(bins[1] - bins[0]) if len(bins) > 1 else 0.0

    def from_depth(depth: jax.Array) -> jax.Array:
        variance = ring_variance_mm2(
            table.two_theta_rad, table.width_rad, distance - depth, beam, detector, layout, step
        )
        centre = depth_radius(distance, depth, table.two_theta_rad)
        found = rings(centre, variance, jnp.asarray(table.power_per_mm), layout)
        elastic = found * ring_factor(radii, distance)
        plain, polar = polarisation_parts(jnp.arctan2(radii, distance - depth))
        return jnp.stack([elastic * plain, elastic * polar])

    return jax.vmap(from_depth)(jnp.asarray(bins))


def _compton_efficiency_ratio(
    table: SmoothTable, two_theta: jax.Array, detector: Detector, wanted: bool
) -> jax.Array:
    """Sensor efficiency at the Compton-shifted energy over that at the beam's."""
    if not wanted:
        return jnp.ones_like(two_theta)
    shifted = jnp.interp(two_theta, table.grid_rad, table.sensor_mu_per_mm)
    cosine, thickness = jnp.cos(two_theta), detector.sensor_thickness_mm
    elastic = sensor_efficiency(detector.sensor_mu_per_mm, thickness, cosine)
    return jnp.asarray(sensor_efficiency(shifted, thickness, cosine) / elastic)


def build_patterns(
    tables: tuple[MaterialTable, ...],
    names: tuple[str, ...],
    beam: Beam,
    detector: Detector,
    layout: Layout,
) -> Patterns:
    """Tabulate what every material scatters from every depth bin."""
    rows = []
    for name, table in zip(names, tables, strict=True):
        found = _smooth_profiles(table.smooth, detector, table.rings is not None, layout)
        if layout.effects.bragg and name != layout.textured and table.rings is not None:
            found = found + _ring_profiles(table.rings, beam, detector, layout)
        rows.append(found)
    stacked = jnp.stack(rows)
    plain = stacked[:, :, 0].reshape(-1, layout.n_radii)
    polar = stacked[:, :, 1].reshape(-1, layout.n_radii)
    textured = jnp.zeros((0, layout.n_radii))
    chosen = tables[names.index(layout.textured)].rings if layout.textured else None
    if chosen is not None:
        textured = texture_profiles(chosen, beam, detector, layout)
    if layout.effects.sensor_parallax:
        plain, polar, textured = (
            sensor_shift(part, detector, layout) for part in (plain, polar, textured)
        )
    on_axis = jnp.arctan2(jnp.asarray(layout.radii_mm()), detector.beam_distance_mm)
    isotropic, anisotropic = polarisation_parts(on_axis)
    return Patterns(
        plain=plain,
        polar=polar,
        textured=interval_matrix(textured, layout),
        harmonics=node_harmonics(detector, layout),
        polar_ratio=anisotropic / isotropic,
    )
