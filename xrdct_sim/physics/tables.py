"""What one pure material scatters at one energy, tabulated for a forward model to interpolate.

Rings stay apart as powers to be placed by the caller; everything smooth is a table over 2θ.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.amorphous import structure_factor
from xrdct_sim.physics.atoms import incoherent_function, scattering_factor
from xrdct_sim.physics.constants import AVOGADRO_PER_MOL, HC_KEV_A
from xrdct_sim.physics.crystals import Structure
from xrdct_sim.physics.materials import (
    CM3_IN_A3,
    Crystal,
    Material,
    attenuation_per_mm,
    number_densities_per_A3,
)
from xrdct_sim.physics.reflections import reflections
from xrdct_sim.physics.scattering import (
    combined_fwhm,
    compton_parts_per_mm_sr,
    elastic_per_mm_sr,
    place_diffuse,
    ring_power_per_mm,
    size_fwhm_rad,
    strain_fwhm_rad,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rings:
    """Debye-Scherrer rings of one crystalline material, by rising angle."""

    structure: Structure
    hkl: IntArray  # (n, 3)
    q_per_A: FloatArray  # (n,)
    two_theta_rad: FloatArray  # (n,)
    power_per_mm: FloatArray  # (n,) C_h, without polarisation
    fwhm_rad: FloatArray  # (n,) from size and strain, without the beam's bandwidth


@dataclass(frozen=True, kw_only=True)
class MaterialScattering:
    """Scattering of one pure material at one energy; tables run over ``two_theta_rad``."""

    name: str
    energy_keV: float
    mu_per_mm: float
    two_theta_rad: FloatArray  # (k,) ascending from 0
    elastic_per_mm_sr: FloatArray  # (k,) diffuse or amorphous, without polarisation
    compton_a_per_mm_sr: FloatArray  # (k,) S = A - f cos(2 chi) B, polarisation included
    compton_b_per_mm_sr: FloatArray  # (k,)
    rings: Rings | None  # None for a material without crystal structure


def material_scattering(
    material: Material, energy_keV: float, q_max_per_A: float, n_angles: int = 4096
) -> MaterialScattering:
    """Tabulate the scattering of a material.

    Parameters
    ----------
    material
        Pure material.
    energy_keV
        Photon energy, keV.
    q_max_per_A
        Largest momentum transfer, 1/Å; backscattering (4 pi/λ) if it is larger than that.
    n_angles
        Points of the tables between 2θ = 0 and that of ``q_max_per_A``. 4096 points to 30 1/Å
        hold a polymer's line of 0.04 1/Å to 2 % of its peak under linear interpolation.

    Returns
    -------
        Rings and tables; all are linear in the material's density.
    """
    wavelength = HC_KEV_A / energy_keV
    sine_max = min(q_max_per_A * wavelength / (4 * np.pi), 1.0)
    two_theta = np.linspace(0, 2 * np.arcsin(sine_max), n_angles)
    s = np.sin(two_theta / 2) / wavelength
    if material.crystal is None:
        strength = disordered_strength_per_A3(material, energy_keV, s)
        rings = None
    else:
        cells = cells_per_A3(material, material.crystal.structure)
        strength = cells * cell_diffuse(material.crystal.structure, energy_keV, s)
        q_max = 4 * np.pi * sine_max / wavelength
        rings = crystal_rings(material.crystal, cells, energy_keV, q_max)
    compton_a, compton_b = compton_parts_per_mm_sr(
        two_theta, energy_keV, incoherent_per_A3(material, s)
    )
    return MaterialScattering(
        name=material.name,
        energy_keV=energy_keV,
        mu_per_mm=attenuation_per_mm(material, energy_keV),
        two_theta_rad=two_theta,
        elastic_per_mm_sr=elastic_per_mm_sr(strength),
        compton_a_per_mm_sr=compton_a,
        compton_b_per_mm_sr=compton_b,
        rings=rings,
    )


def cells_per_A3(material: Material, structure: Structure) -> float:
    r"""Return the unit cells per volume for the material's density, :math:`\rho N_A/M`, 1/Å³."""
    return material.density_g_cm3 * AVOGADRO_PER_MOL * CM3_IN_A3 / structure.cell_mass_u


def crystal_rings(crystal: Crystal, cells: float, energy_keV: float, q_max_per_A: float) -> Rings:
    """Rings of a crystal with ``cells`` unit cells per Å³, up to a momentum transfer."""
    wavelength = HC_KEV_A / energy_keV
    found = reflections(crystal.structure, energy_keV, q_max_per_A)
    sin_theta = np.minimum(found.q_per_A * wavelength / (4 * np.pi), 1.0)
    two_theta = 2 * np.arcsin(sin_theta)
    return Rings(
        structure=crystal.structure,
        hkl=found.hkl,
        q_per_A=found.q_per_A,
        two_theta_rad=two_theta,
        power_per_mm=ring_power_per_mm(
            wavelength,
            found.multiplicity.astype(float),
            found.f_squared,
            found.cell_volume_A3,
            cells,
            sin_theta,
        ),
        fwhm_rad=combined_fwhm(
            size_fwhm_rad(wavelength, two_theta, crystal.crystallite_size_A),
            strain_fwhm_rad(two_theta, crystal.microstrain),
        ),
    )


def cell_diffuse(structure: Structure, energy_keV: float, s_per_A: FloatArray) -> FloatArray:
    """Thermal diffuse scattering and site disorder of a unit cell, electrons²; shape of s."""
    factors = {
        symbol: scattering_factor(symbol, s_per_A, energy_keV) for symbol in set(structure.elements)
    }
    total = np.zeros_like(s_per_A)
    for place in range(int(structure.place.max()) + 1):
        atoms = np.flatnonzero(structure.place == place)
        total += place_diffuse(
            s_per_A,
            structure.occupancy[atoms],
            np.stack([factors[structure.elements[atom]] for atom in atoms]),
            structure.b_iso_A2[atoms],
        )
    return total


def disordered_strength_per_A3(
    material: Material, energy_keV: float, s_per_A: FloatArray
) -> FloatArray:
    r"""Elastic strength :math:`\sum_Z n_Z |f_Z|^2 S(Q)` of a halo material or a gas (S = 1).

    Parameters
    ----------
    material
        Composition, density and halo.
    energy_keV
        Photon energy, keV.
    s_per_A
        Ascending, 1/Å; shape ``(n,)``.

    Returns
    -------
        electrons²/Å³, shape ``(n,)``.
    """
    free = np.zeros_like(s_per_A)
    for symbol, number in number_densities_per_A3(material).items():
        free += number * np.abs(scattering_factor(symbol, s_per_A, energy_keV)) ** 2
    if material.halo is None:
        return free
    return free * structure_factor(4 * np.pi * s_per_A, material.halo, free)


def incoherent_per_A3(material: Material, s_per_A: FloatArray) -> FloatArray:
    r"""Incoherent function per volume, :math:`\sum_Z n_Z S_{inc,Z}(s)`, electrons/Å³."""
    total = np.zeros_like(s_per_A)
    for symbol, number in number_densities_per_A3(material).items():
        total += number * incoherent_function(symbol, s_per_A)
    return total
