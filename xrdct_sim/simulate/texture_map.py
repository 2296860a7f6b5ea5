r"""Scattering of a textured material over azimuth and radius, from harmonics of its fibre axes.

The pole density is linear in the coefficients :math:`a_l Y_{lm}(n)` of each point of the ray, so
that any distribution of axes and sharpness along a ray costs one small matrix product.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.physics.scattering import polarisation_parts
from xrdct_sim.physics.texture import direction_harmonics, harmonic_orders, scattering_direction
from xrdct_sim.simulate.layout import Layout
from xrdct_sim.simulate.rings import (
    depth_radius,
    ring_factor,
    ring_variance_mm2,
    rings,
)
from xrdct_sim.simulate.tables import RingTable


@partial(jax.jit, static_argnames=("layout",))
def texture_profiles(table: RingTable, beam: Beam, detector: Detector, layout: Layout) -> jax.Array:
    """Profiles of each depth bin and degree (degree fastest), ``(n_bins * n_degrees, n_radii)``."""
    distance = detector.beam_distance_mm
    radii = jnp.asarray(layout.radii_mm())
    bins = layout.texture_bin_centres_mm()
    step = float(bins[1] - bins[0]) if len(bins) > 1 else 0.0
    power = jnp.asarray(table.power_per_mm)[:, None] * table.zonal

    def from_depth(depth: jax.Array) -> jax.Array:
        variance = ring_variance_mm2(
            table.two_theta_rad, table.width_rad, distance - depth, beam, detector, layout, step
        )
        centre = depth_radius(distance, depth, table.two_theta_rad)
        plain, _ = polarisation_parts(jnp.arctan2(radii, distance - depth))
        found = rings(centre, variance, power, layout).T * ring_factor(radii, distance)
        return jnp.asarray(found * plain)

    return jax.vmap(from_depth)(jnp.asarray(bins)).reshape(-1, layout.n_radii)


def interval_matrix(profiles: jax.Array, layout: Layout) -> jax.Array:
    """Cut ``(k, n_radii)`` profiles into intervals, weighted for linear interpolation.

    ``(n_intervals, 2 k, radii per interval)``: first the shares of each interval's lower node.
    """
    per = layout.radii_per_interval
    cut = profiles.reshape(-1, layout.n_ring_intervals, per).transpose(1, 0, 2)
    upper = jnp.asarray(np.arange(per) / per, cut.dtype)
    return jnp.concatenate([cut * (1 - upper), cut * upper], axis=1)


def node_harmonics(detector: Detector, layout: Layout) -> jax.Array:
    """Harmonics of the scattering directions at the texture map's nodes."""
    nodes = np.arange(layout.n_ring_intervals + 1) * layout.radii_per_interval
    theta = 0.5 * jnp.arctan2(jnp.asarray(nodes * layout.radius_step_mm), detector.beam_distance_mm)
    count = layout.accuracy.texture_azimuths
    eta = np.arange(count) * (2 * np.pi / count) - np.pi / 2
    if layout.textured is None:
        return jnp.zeros((len(nodes), count, 0))
    directions = scattering_direction(theta[:, None], jnp.asarray(eta)[None, :])
    return direction_harmonics(directions, layout.l_max, layout.m_max)


def texture_map(
    coefficients: jax.Array, harmonics: jax.Array, profiles: jax.Array, layout: Layout
) -> jax.Array:
    r"""Scattering of the textured material over azimuth and radius.

    .. math:: M(\chi, \rho) = \sum_{x}\sum_l G_l(\rho; x)\,\sum_m c_{lm}(x)\,Y_{lm}(q(\rho, \chi))

    Parameters
    ----------
    coefficients
        Sums over the ray of (volume fraction x length x a_l Y_lm(axis)) for each depth bin,
        shape ``(n_texture_bins, n_harmonics)``, mm.

    Returns
    -------
        Shape ``(n_azimuths, n_radii)``, azimuth node 0 at pyFAI's chi = 0; 1/sr.
    """
    degrees = harmonic_orders(layout.l_max, layout.m_max)
    parts = []
    for degree in range(0, layout.l_max + 1, 2):
        (columns,) = np.nonzero(degrees == degree)
        chosen = slice(columns[0], columns[-1] + 1)
        parts.append(harmonics[..., chosen] @ coefficients[:, chosen].T)
    nodes = jnp.stack(parts, axis=-1).reshape(*harmonics.shape[:2], -1)
    both = jnp.concatenate([nodes[:-1], nodes[1:]], axis=-1)
    return jnp.swapaxes(both @ profiles, 0, 1).reshape(both.shape[1], layout.n_radii)


compiled_texture_map = jax.jit(texture_map, static_argnames=("layout",))
"""The same, compiled for use outside other compiled functions."""
