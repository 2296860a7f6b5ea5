"""The incident beam: a focused, slit-cut, nearly monochromatic pencil.

Left out: divergence, and tails of the spectrum (it is a Gaussian).
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.scattering import FWHM_PER_SIGMA


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Beam:
    """Pencil beam; all but the energy, which chooses tables, may be differentiated."""

    energy_keV: float = field(metadata={"static": True})
    bandwidth_keV: float | jax.Array  # FWHM
    width_mm: float | jax.Array  # horizontal, box (slits)
    height_fwhm_mm: float | jax.Array  # vertical, Gaussian (focus)
    flux_per_s: float | jax.Array  # photons/s in the footprint
    polarisation: float | jax.Array  # pyFAI's factor f = 2p - 1, p the horizontal fraction

    @property
    def wavelength_A(self) -> float:
        """Photon wavelength, Å."""
        return HC_KEV_A / self.energy_keV

    @property
    def height_sigma_mm(self) -> float | jax.Array:
        """Vertical standard deviation, mm."""
        return self.height_fwhm_mm / float(FWHM_PER_SIGMA)

    def blur_variance_mm2(self) -> jax.Array:
        r"""Variance that the footprint adds to a ring's radius, :math:`(w^2/12 + \sigma_z^2)/2`.

        The mean over the ring's azimuth of the footprint's variance along the radius.
        """
        return 0.5 * (jnp.square(self.width_mm) / 12 + jnp.square(self.height_sigma_mm))
