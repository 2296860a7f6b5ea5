"""Integrals of differential cross-sections over the sphere against independent totals."""

from functools import lru_cache

import numpy as np
import pytest

from xrdct_sim.physics.atoms import scattering_factor
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.material_files import load_material
from xrdct_sim.physics.materials import compton_per_mm, rayleigh_per_mm
from xrdct_sim.physics.scattering import elastic_per_mm_sr, polarisation_parts
from xrdct_sim.physics.tables import cells_per_A3, material_scattering

ENERGY_KEV = 69.95
WAVE_NUMBER_PER_A = 2 * np.pi * ENERGY_KEV / HC_KEV_A
LIGHT = ("Al", "Si", "Fe", "Ni", "LiCoO2", "Ni_OH_2")
RARE_EARTHS = ("AB5", "CeO2", "LaB6")
AMORPHOUS = tuple(
    "PP PE PVC PET Kapton PVDF KOH30 LiPF6_carbonate glass C SBRbinder Nylon66".split()
)


def over_sphere(table, per_mm_sr):
    """Integral over the sphere of an azimuthal mean, 1/mm."""
    angle = table.two_theta_rad
    return np.trapezoid(per_mm_sr * 2 * np.pi * np.sin(angle), angle)


@lru_cache
def tables(name):
    """Tables of a material up to backscattering."""
    return material_scattering(load_material(name), ENERGY_KEV, 100.0, 8001)


def elastic_total_per_mm(name):
    """Bragg rings (to backscattering) plus everything diffuse, unpolarised, 1/mm."""
    table = tables(name)
    total = over_sphere(table, table.elastic_per_mm_sr * polarisation_parts(table.two_theta_rad)[0])
    if table.rings is None:
        return total
    polarisation = polarisation_parts(table.rings.two_theta_rad)[0]
    return total + (table.rings.power_per_mm * polarisation).sum()


def polarisation_at(q_per_A):
    sine = np.minimum(q_per_A / (2 * WAVE_NUMBER_PER_A), 1.0)
    return polarisation_parts(2 * np.arcsin(sine))[0]


def self_part_per_mm(material):
    """What the atoms would scatter elastically one by one, 1/mm."""
    structure = material.crystal.structure
    q = np.linspace(0, 2 * WAVE_NUMBER_PER_A, 6001)
    squares = sum(
        occupancy * np.abs(scattering_factor(symbol, q / (4 * np.pi), ENERGY_KEV)) ** 2
        for symbol, occupancy in zip(structure.elements, structure.occupancy, strict=True)
    )
    integral = np.trapezoid(squares * polarisation_at(q) * q, q)
    cells = cells_per_A3(material, structure)
    return elastic_per_mm_sr(cells * 2 * np.pi / WAVE_NUMBER_PER_A**2 * integral)


@lru_cache
def pair_part_per_mm(name, range_A=8.0):
    r"""Interference of pairs of atoms by Debye's sum in direct space, without reflections.

    Sum over pairs of f_i f_j sin(qr)/(qr), pairs weighted by exp(-r²/2 range²), minus the same
    for a uniform medium (which is the forward beam). The weight blurs the rings by 1/range.
    """
    material = load_material(name)
    structure = material.crystal.structure
    q = np.concatenate([np.linspace(0, 3, 1501), np.linspace(3, 30, 2701)[1:]])
    measure = polarisation_at(q) * q
    places = range(int(structure.place.max()) + 1)
    waves = np.zeros((len(places), len(q)), complex)
    for atom, symbol in enumerate(structure.elements):
        damped = np.exp(-structure.b_iso_A2[atom] * (q / (4 * np.pi)) ** 2)
        factor = scattering_factor(symbol, q / (4 * np.pi), ENERGY_KEV)
        waves[structure.place[atom]] += structure.occupancy[atom] * factor * damped
    positions = np.array([structure.positions[structure.place == p][0] for p in places])
    kinds, kind = np.unique(waves.round(9), axis=0, return_inverse=True)
    r = np.arange(0.5, 4.5 * range_A, 0.02)
    sines = np.sinc(np.outer(r, q) / np.pi) * measure
    uniform = (2 * np.pi) ** 1.5 * range_A**3 * np.exp(-((q * range_A) ** 2) / 2)
    reach = np.ceil(r[-1] * np.linalg.norm(structure.reciprocal_per_A, axis=1) / (2 * np.pi))
    cells = np.stack(
        np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1
    ).reshape(-1, 3)
    total = 0.0
    for one in range(len(kinds)):
        first = np.flatnonzero(kind == one)
        for other in range(len(kinds)):
            product = (kinds[one] * kinds[other].conj()).real
            kernel = np.trapezoid(sines * product, q, axis=1) * np.exp(-((r / range_A) ** 2) / 2)
            background = np.trapezoid(uniform * product * measure, q) / structure.cell_volume_A3
            for place in np.flatnonzero(kind == other):
                gaps = (cells + positions[place] - positions[first[0]]) @ structure.basis_A
                lengths = np.linalg.norm(gaps, axis=1)
                lengths = lengths[(lengths > 0.5) & (lengths < r[-1])]
                total += len(first) * (np.interp(lengths, r, kernel).sum() - background)
    density = cells_per_A3(material, structure)
    return elastic_per_mm_sr(density * 2 * np.pi / WAVE_NUMBER_PER_A**2 * total)


@pytest.mark.parametrize("name", LIGHT + RARE_EARTHS)
def test_rings_and_diffuse_scattering_carry_what_debyes_sum_over_pairs_gives(name):
    """Reciprocal space against direct space: constants, |F|², multiplicities, diffuse part."""
    material = load_material(name)
    expected = self_part_per_mm(material) + pair_part_per_mm(name)
    # the finite range of pairs blurs the rings: 5e-4; halved by a range 1.4 times as long
    assert elastic_total_per_mm(name) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [(name, 0.01) for name in LIGHT] + [(name, 0.05) for name in RARE_EARTHS],
)
def test_elastic_scattering_plus_the_lack_of_order_at_small_angle_is_the_rayleigh_total(
    name, tolerance
):
    """A crystal scatters less than its atoms would: below its first ring there is only the beam.

    That share (2 to 7 % at 70 keV) is the pair part; the rest must be the free atoms' total.
    """
    material = load_material(name)
    pairs = pair_part_per_mm(name)
    rayleigh = rayleigh_per_mm(material, ENERGY_KEV)
    assert -0.08 < pairs / rayleigh < -0.01
    # tables: form factors and totals come from different calculations
    assert elastic_total_per_mm(name) - pairs == pytest.approx(rayleigh, rel=tolerance)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [(name, 0.01) for name in (*LIGHT, "Kapton", "glass", "LiPF6_carbonate", "Nylon66")]
    + [(name, 0.05) for name in RARE_EARTHS],  # tables of S_inc and of totals differ
)
def test_compton_scattering_integrates_to_its_total(name, tolerance):
    table = tables(name)
    expected = compton_per_mm(load_material(name), ENERGY_KEV)
    found = over_sphere(table, table.compton_a_per_mm_sr)
    assert found == pytest.approx(expected, rel=tolerance)


def test_a_gas_of_free_atoms_integrates_to_the_rayleigh_total():
    expected = rayleigh_per_mm(load_material("air"), ENERGY_KEV)
    assert elastic_total_per_mm("air") == pytest.approx(expected, rel=0.01)  # tables, as above


@pytest.mark.parametrize("name", AMORPHOUS)
def test_an_amorphous_material_scatters_elastically_about_what_its_atoms_do(name):
    """Halos are assumed shapes: S(Q) -> 1 is exact, the total good to 5 % only."""
    expected = rayleigh_per_mm(load_material(name), ENERGY_KEV)
    assert elastic_total_per_mm(name) == pytest.approx(expected, rel=0.05)
