"""Crystal structures and reflections: geometry, symmetry, counting."""

import time
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_legendre

from xrdct_sim.physics.crystals import read_structure
from xrdct_sim.physics.material_files import load_structure
from xrdct_sim.physics.reflections import families, family_legendre, reflections

ENERGY_KEV = 69.95
ALL = sorted(
    entry.name
    for entry in files("xrdct_sim.phantoms").joinpath("structures").iterdir()
    if entry.name.endswith(".cif")
)


def shortest_A(structure, one, other):
    """Shortest distance between atoms of two elements, Å."""
    cells = np.stack(np.meshgrid(*[range(-1, 2)] * 3, indexing="ij"), -1).reshape(-1, 3)
    a, b = (
        structure.positions[[e == symbol for e in structure.elements]] for symbol in (one, other)
    )
    gaps = (b[None, :, None] + cells - a[:, None, None]) @ structure.basis_A
    lengths = np.linalg.norm(gaps, axis=-1)
    return lengths[lengths > 0.1].min()


@pytest.mark.parametrize(
    ("name", "pair", "expected_A"),
    [
        ("LiCoO2", ("Co", "O"), 1.921),  # the other origin choice would give 2.09
        ("LiCoO2", ("Li", "O"), 2.092),
        ("Fe", ("Fe", "Fe"), 2.8665 * np.sqrt(3) / 2),
        ("Al", ("Al", "Al"), 4.0495 / np.sqrt(2)),
        ("Si", ("Si", "Si"), 5.431179 * np.sqrt(3) / 4),
        ("CaCO3", ("C", "O"), 1.283),
        ("AB5", ("La", "Ni"), 2.898),
    ],
)
def test_neighbours_stand_at_their_known_distance(name, pair, expected_A):
    structure = load_structure(f"{name}.cif")
    assert shortest_A(structure, *pair) == pytest.approx(expected_A, abs=1e-3)  # digits given


@pytest.mark.parametrize(
    ("name", "atoms"),
    [("Fe", 2), ("Al", 4), ("Si", 8), ("LiCoO2", 12), ("AB5", 20), ("CaCO3", 30), ("C15", 40)],
)
def test_special_positions_give_the_right_number_of_atoms_per_cell(name, atoms):
    assert len(load_structure(f"{name}.cif").elements) == atoms


def test_atoms_that_share_a_position_are_known_to_share_it():
    structure = load_structure("AB5.cif")
    filling = np.bincount(structure.place, weights=structure.occupancy)
    np.testing.assert_allclose(filling, 1.0, atol=0.002)  # three digits in the file


@pytest.mark.parametrize("name", ALL)
def test_family_sizes_add_to_the_number_of_lattice_points_in_the_sphere(name):
    structure = load_structure(name)
    q_max = 9.0
    hkl, sizes = families(structure, q_max)
    reach = range(-40, 41)
    points = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), -1).reshape(-1, 3)
    q = np.linalg.norm(points @ structure.reciprocal_per_A, axis=1)
    assert sizes.sum() == np.count_nonzero((q > 0) & (q <= q_max))
    assert len(np.unique(hkl, axis=0)) == len(hkl)


@settings(deadline=None, max_examples=15)
@given(q_max=st.floats(3.0, 20.0))
def test_lattice_points_fill_reciprocal_space_at_the_density_of_the_cell(q_max):
    structure = load_structure("LiCoO2.cif")
    _, sizes = families(structure, q_max)
    expected = 4 / 3 * np.pi * q_max**3 * structure.cell_volume_A3 / (2 * np.pi) ** 3
    surface = 4 * np.pi * q_max**2 * structure.cell_volume_A3 ** (2 / 3) / (2 * np.pi) ** 2
    assert abs(sizes.sum() + 1 - expected) < surface  # points within a cell of the surface


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Fe", {(1, 1, 0): 12, (2, 0, 0): 6, (2, 1, 1): 24, (2, 2, 0): 12, (3, 1, 0): 24}),
        ("Al", {(1, 1, 1): 8, (2, 0, 0): 6, (2, 2, 0): 12, (3, 1, 1): 24, (2, 2, 2): 8}),
        ("LiCoO2", {(0, 0, 3): 2, (1, 0, 1): 6, (0, 0, 6): 2, (0, 1, 2): 6, (1, 0, 4): 6}),
    ],
)
def test_the_first_lines_and_their_multiplicities_are_the_textbook_ones(name, expected):
    found = reflections(load_structure(f"{name}.cif"), ENERGY_KEV, 8.0)
    first = {tuple(hkl): m for hkl, m in zip(found.hkl.tolist(), found.multiplicity, strict=True)}
    assert dict(list(first.items())[:5]) == expected


def test_a_quadratic_form_gives_the_spacings_of_a_hexagonal_cell():
    found = reflections(load_structure("LiCoO2.cif"), ENERGY_KEV, 10.0)
    h, k, l = found.hkl.T  # noqa: E741
    expected = 1 / np.sqrt(4 / 3 * (h * h + h * k + k * k) / 2.8156**2 + l * l / 14.0542**2)
    np.testing.assert_allclose(found.d_A, expected, rtol=1e-12)  # rounding


def test_pyfais_certified_ceria_has_lines_at_the_same_spacings():
    found = reflections(load_structure("CeO2.cif"), ENERGY_KEV, 10.0)
    # SRM 674b as distributed: 111, 200, 220, 311, 222
    np.testing.assert_allclose(
        np.unique(found.d_A.round(9))[::-1][:5],
        [3.124418148, 2.7058255, 1.913307559, 1.631674168, 1.562209074],
        atol=1e-6,  # digits given
    )


def test_a_quarter_of_the_diamond_lattices_even_lines_vanish():
    found = reflections(load_structure("Si.cif"), ENERGY_KEV, 12.0)
    lines = {tuple(sorted(hkl)) for hkl in found.hkl.tolist()}
    assert (2, 2, 2) not in lines
    assert (0, 0, 2) not in lines
    assert {(1, 1, 1), (0, 2, 2), (1, 1, 3), (0, 0, 4)} <= lines


def test_a_thousand_families_take_less_than_a_second():
    structure = load_structure("LiCoO2.cif")
    started = time.perf_counter()
    found = reflections(structure, ENERGY_KEV, 30.0)
    assert time.perf_counter() - started < 1.0
    assert len(found.hkl) > 1000


def cubic_angles_rad(family, axis):
    """Angles of all permutations and sign changes of a cubic family to an axis."""
    a, b, c = family
    signs = np.stack(np.meshgrid(*[[-1, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    orders = [(a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)]
    every = np.unique(np.concatenate([signs * np.array(order) for order in orders]), axis=0)
    cosine = every @ np.array(axis) / np.linalg.norm(every, axis=1) / np.linalg.norm(axis)
    return np.arccos(np.clip(cosine, -1, 1))


@settings(deadline=None, max_examples=20)
@given(
    family=st.tuples(*[st.integers(0, 5)] * 3).filter(any),
    axis=st.sampled_from([(0, 0, 1), (1, 1, 0), (1, 1, 1), (3, 1, 2)]),
)
def test_family_means_of_legendre_polynomials_in_a_cubic_cell(family, axis):
    structure = load_structure("Fe.cif")
    found = family_legendre(structure, np.array([family]), 40, axis)
    cosine = np.cos(cubic_angles_rad(family, axis))
    expected = [eval_legendre(order, cosine).mean() for order in range(0, 41, 2)]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)  # recursion's rounding


@pytest.mark.parametrize(
    ("hkl", "rho_deg"),
    [
        ((0, 0, 3), 0.0),
        ((1, 0, 1), 80.15),
        ((1, 0, 4), 55.23),
        ((1, 1, 0), 90.0),
        ((0, 1, 8), 35.76),
    ],
)
def test_planes_of_a_layered_oxide_stand_at_their_angle_to_the_layers(hkl, rho_deg):
    found = family_legendre(load_structure("LiCoO2.cif"), np.array([hkl]), 2)
    cosine2 = (2 * found[0, 1] + 1) / 3
    angle = np.degrees(np.arccos(np.sqrt(max(cosine2, 0.0))))
    assert angle == pytest.approx(rho_deg, abs=0.02)  # given for a cell rounded to 4 digits


def test_friedel_mates_of_a_polar_crystal_are_averaged(tmp_path):
    """Zinc blende near an absorption edge: |F(111)| and |F(-1-1-1)| differ, the mean has both."""
    (tmp_path / "ZnS.cif").write_text(ZINC_BLENDE)
    structure = read_structure(tmp_path / "ZnS.cif")

    def factor(symbol, s_per_A):
        return np.full(np.shape(s_per_A), {"Zn": 20 + 4j, "S": 10 + 1j}[symbol])

    found = reflections(structure, ENERGY_KEV, 2.5, factor)
    mates = [abs(4 * ((20 + 4j) + sign * 1j * (10 + 1j))) ** 2 for sign in (1, -1)]
    assert abs(mates[0] - mates[1]) > 0.1 * mates[0]
    assert found.f_squared[0] == pytest.approx(np.mean(mates), rel=1e-12)  # rounding
    assert found.multiplicity[0] == 8


ZINC_BLENDE = """data_ZnS
_space_group_name_H-M_alt 'F -4 3 m'
_cell_length_a 5.41
_cell_length_b 5.41
_cell_length_c 5.41
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Zn1 Zn 0 0 0
S1 S 0.25 0.25 0.25
"""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("data_ZnS", "not a cif"), "data_"),
        (("Zn1 Zn 0 0 0", "Zn1 Qq 0 0 0"), "Qq"),
        (("'F -4 3 m'", "'F -4 9 m'"), "F -4 9 m"),
        (("_cell_length_a 5.41", "_cell_length_a 0"), "unit cell"),
        (("Zn1 Zn 0 0 0\nS1 S 0.25 0.25 0.25\n", ""), ""),
        (("S1 S 0.25 0.25 0.25", "S1 S 0 0 0"), "occupancies"),
    ],
)
def test_an_unusable_cif_is_refused_in_one_line_naming_the_file(tmp_path, change, word):
    path = tmp_path / "bad.cif"
    path.write_text(ZINC_BLENDE.replace(*change))
    with pytest.raises(ValueError, match=r"bad\.cif") as refusal:
        read_structure(path)
    assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_cif_is_refused_in_one_line_naming_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.cif"):
        read_structure(tmp_path / "none.cif")
