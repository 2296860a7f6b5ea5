"""Tables of what one material scatters at the beam's energy, as the forward model reads them."""

from dataclasses import dataclass

import jax
import numpy as np

from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.materials import Material, attenuation_per_mm
from xrdct_sim.physics.reflections import family_legendre
from xrdct_sim.physics.scattering import FWHM_PER_SIGMA, compton_ratio
from xrdct_sim.physics.tables import Rings, material_scattering

N_SENSOR_ENERGIES = 48


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class RingTable:
    """Debye-Scherrer rings of a crystalline material, ``(n_rings,)`` each."""

    two_theta_rad: Array
    power_per_mm: Array  # C_h, without polarisation
    width_rad: Array  # standard deviation in 2 theta from size and strain
    zonal: Array  # (n_rings, l_max // 2 + 1) family means of P_l(cos rho)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class SmoothTable:
    """Diffuse or amorphous and Compton scattering over 2 theta, ``(n_grid,)`` each."""

    grid_rad: Array  # ascending
    smooth_per_mm_sr: Array  # elastic, without polarisation
    compton_per_mm_sr: Array  # (2, n_grid) azimuthal mean and cos 2chi parts
    sensor_mu_per_mm: Array  # attenuation of the sensor at the Compton energy


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class MaterialTable:
    """Scattering of one pure material at the beam's energy."""

    mu_per_mm: Array  # scalar
    smooth: SmoothTable
    rings: RingTable | None


def material_table(
    material: Material, sensor: Material, energy_keV: float, q_max_per_A: float, l_max: int
) -> MaterialTable:
    """Tabulate a material.

    Parameters
    ----------
    material, sensor
        The scatterer, and the detector's sensor for its efficiency at shifted energies.
    q_max_per_A
        Largest momentum transfer on the panel, 1/Å.
    l_max
        Highest degree of the zonal series of a textured material, 0 for a powder.
    """
    found = material_scattering(material, energy_keV, q_max_per_A)
    coarse = np.linspace(0, found.two_theta_rad[-1], N_SENSOR_ENERGIES)
    shifted = energy_keV * compton_ratio(coarse, energy_keV)
    sensor_mu = np.interp(
        found.two_theta_rad, coarse, [attenuation_per_mm(sensor, e) for e in shifted]
    )
    smooth = SmoothTable(
        grid_rad=found.two_theta_rad,
        smooth_per_mm_sr=found.elastic_per_mm_sr,
        compton_per_mm_sr=np.stack([found.compton_a_per_mm_sr, found.compton_b_per_mm_sr]),
        sensor_mu_per_mm=sensor_mu,
    )
    return MaterialTable(
        mu_per_mm=np.asarray(found.mu_per_mm),
        smooth=smooth,
        rings=ring_table(found.rings, l_max) if found.rings else None,
    )


def ring_table(rings: Rings, l_max: int) -> RingTable:
    """Rings of a crystal, with the zonal functions of each family about its c* axis."""
    return RingTable(
        two_theta_rad=rings.two_theta_rad,
        power_per_mm=rings.power_per_mm,
        width_rad=rings.fwhm_rad / FWHM_PER_SIGMA,
        zonal=family_legendre(rings.structure, rings.hkl, l_max),
    )
