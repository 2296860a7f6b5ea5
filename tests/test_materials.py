"""Materials: numbers that follow from density and composition, and files that complain well."""

import dataclasses
from importlib.resources import files

import numpy as np
import pytest
import xraylib
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdct_sim.physics.atoms import dispersion, form_factor, incoherent_function
from xrdct_sim.physics.material_files import load_material, material_names
from xrdct_sim.physics.materials import (
    Material,
    Mixture,
    attenuation_per_mm,
    compton_per_mm,
    electron_density_per_A3,
    photoelectric_per_mm,
    pure_parts,
    rayleigh_per_mm,
)
from xrdct_sim.physics.tables import material_scattering

ENERGY_KEV = 69.95

# Frozen from xraylib, 1/cm at 69.95 keV: attenuation, photoelectric, Compton, Rayleigh.
FROZEN_PER_CM = {
    "Ni_OH_2": (2.80861, 2.00634, 0.58178, 0.22049),
    "AB5": (21.19476, 19.1881, 1.00834, 0.99832),
    "Fe": (6.42794, 4.81404, 1.0581, 0.5558),
    "PP": (0.17093, 0.00263, 0.16252, 0.00578),
    "Kapton": (0.24655, 0.00698, 0.22786, 0.01171),
    "KOH30": (0.30715, 0.06952, 0.21446, 0.02317),
    "LiCoO2": (3.03939, 2.08732, 0.70697, 0.2451),
    "LiPF6_carbonate": (0.23742, 0.01257, 0.21155, 0.0133),
    "Al": (0.62178, 0.15753, 0.395, 0.06925),
    "glass": (0.46458, 0.0822, 0.34079, 0.0416),
}
PURE = tuple(n for n in material_names() if isinstance(load_material(n), Material))


@pytest.mark.parametrize("name", FROZEN_PER_CM)
def test_attenuation_and_its_parts_have_their_frozen_values(name):
    material = load_material(name)
    laws = (attenuation_per_mm, photoelectric_per_mm, compton_per_mm, rayleigh_per_mm)
    found = [10 * law(material, ENERGY_KEV) for law in laws]
    # frozen to 5 decimals; compositions to 6 digits
    np.testing.assert_allclose(found, FROZEN_PER_CM[name], rtol=2e-6, atol=6e-6)


@pytest.mark.parametrize(
    ("name", "formula"), [("PVC", "C2H3Cl"), ("Kapton", "C22H10N2O5"), ("LiCoO2", "LiCoO2")]
)
def test_attenuation_equals_xraylibs_own_sum_over_a_compound(name, formula):
    material = load_material(name)
    expected = 0.1 * material.density_g_cm3 * xraylib.CS_Total_CP(formula, ENERGY_KEV)
    assert attenuation_per_mm(material, ENERGY_KEV) == pytest.approx(expected, rel=1e-9)  # rounding


def test_water_has_a_third_of_an_electron_per_cubic_angstrom():
    water = Material(
        name="water",
        description="",
        density_g_cm3=1.0,
        mass_fractions={"H": 0.111894, "O": 0.888106},
    )
    # 10 electrons in 18.0153 u at 1 g/cm3
    expected = 10 * 0.602214076 / 18.0153
    assert electron_density_per_A3(water) == pytest.approx(
        expected, rel=5e-4
    )  # xraylib's H is 1.01 u


@settings(deadline=None, max_examples=10)
@given(scale=st.floats(0.05, 3.0), name=st.sampled_from(["LiCoO2", "Nylon66", "air"]))
def test_any_density_scales_everything_a_material_does_in_proportion(scale, name):
    thin = load_material(name)
    thick = dataclasses.replace(thin, density_g_cm3=scale * thin.density_g_cm3)
    one, two = (material_scattering(m, ENERGY_KEV, 6.0, 64) for m in (thin, thick))
    for field in ("mu_per_mm", "elastic_per_mm_sr", "compton_a_per_mm_sr", "compton_b_per_mm_sr"):
        first, second = np.asarray(getattr(one, field)), np.asarray(getattr(two, field))
        np.testing.assert_allclose(second, scale * first, rtol=1e-12)  # rounding
    if one.rings is not None and two.rings is not None:
        np.testing.assert_allclose(
            two.rings.power_per_mm, scale * one.rings.power_per_mm, rtol=1e-12
        )


@pytest.mark.parametrize("name", PURE)
def test_a_crystals_file_and_its_structure_agree_in_density_and_composition(name):
    material = load_material(name)
    if material.crystal is None:
        assert sum(material.mass_fractions.values()) == pytest.approx(1, abs=1e-9)
        return
    structure = material.crystal.structure
    density = structure.cell_mass_u / structure.cell_volume_A3 / 0.602214076
    # Co(OH)2 as weighed has 5 % pores; all others are the crystal's own density
    within = 0.06 if name == "Co_OH_2" else 0.003
    assert material.density_g_cm3 == pytest.approx(density, rel=within)
    electrons = sum(
        form_factor(symbol, 0.0) * occupancy
        for symbol, occupancy in zip(structure.elements, structure.occupancy, strict=True)
    )
    scaled = dataclasses.replace(material, density_g_cm3=density)
    expected = electrons / structure.cell_volume_A3
    assert electron_density_per_A3(scaled) == pytest.approx(
        expected, rel=6e-4
    )  # xraylib's Al is 26.97 u


@pytest.mark.parametrize("name", material_names())
def test_every_material_in_the_package_loads_and_attenuates(name):
    parts = pure_parts(load_material(name))
    assert 0 < sum(fraction for _, fraction in parts) <= 1 + 1e-9
    assert all(attenuation_per_mm(material, ENERGY_KEV) > 0 for material, _ in parts)


def test_the_positive_electrode_has_pores_so_its_fractions_add_to_less_than_one():
    mixture = load_material("positive")
    assert isinstance(mixture, Mixture)
    assert sum(fraction for _, fraction in mixture.parts) == pytest.approx(0.95)


@pytest.mark.parametrize("symbol", ["H", "He", "Li", "Fe", "La"])
def test_atomic_tables_are_smooth_through_the_limits_where_xraylib_refuses(symbol):
    z = xraylib.SymbolToAtomicNumber(symbol)
    tiny = np.array([0.0, 1e-9, 1e-7, 1e-5])
    np.testing.assert_allclose(form_factor(symbol, tiny), z, rtol=1e-4)  # f0 falls as s²
    values = incoherent_function(symbol, np.array([0.0, 5e-4, 9.99e-4, 1.001e-3]))
    assert values[0] == 0
    assert values[1] == pytest.approx(values[2] / 4, rel=0.02)  # S ~ s² below the table
    assert values[2] == pytest.approx(values[3], rel=0.01)  # and continuous where it begins


def test_absorption_makes_the_imaginary_scattering_factor_positive():
    # optical theorem: f'' = sigma / (2 r_e lambda); iron just above its K edge, 7.2 keV
    sigma_A2 = xraylib.CSb_Photo(26, 7.2) * 1e-8
    expected = sigma_A2 / (2 * 2.8179403262e-5 * 12.398419843 / 7.2)
    assert dispersion("Fe", 7.2).imag == pytest.approx(expected, rel=0.05)  # tables near an edge


GOOD = """description = "x"
density_g_cm3 = { value = 1.0, source = "s" }
composition = { formula = "H2O", source = "s" }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "materials").mkdir()
    (tmp_path / "structures").mkdir()
    return tmp_path / "materials"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("1.0", "40.0"), ["density_g_cm3.value", "40", "1e-05 to 25"]),
        (GOOD.replace("1.0", '"heavy"'), ["density_g_cm3.value", "'heavy'", "not a number"]),
        (GOOD.replace("density_g_cm3", "densty_g_cm3"), ["densty_g_cm3", "density_g_cm3"]),
        (GOOD.replace(', source = "s" }\nc', " }\nc"), ["density_g_cm3.source", "missing"]),
        (GOOD.replace("H2O", "Xy2"), ["composition.formula", "Xy2"]),
        (GOOD + 'structure = { cif = "x.cif" }', ["structure.cif", "x.cif"]),
        ("description = ", ["bad.toml", "cannot be read"]),
        (
            'description = "x"\nsource = "s"\nvolume_fractions = { good = 1.2 }',
            ["volume_fractions.good", "1.2", "0 to 1"],
        ),
        (
            'description = "x"\nsource = "s"\nvolume_fractions = { god = 1.0 }',
            ["volume_fractions.god", "did you mean 'good'"],
        ),
        (
            'description = "x"\nsource = "s"\nvolume_fractions = { good = 0.6, fine = 0.6 }',
            ["volume_fractions", "add to 1.2"],
        ),
        (
            GOOD.replace('formula = "H2O"', "mass_fractions = { H = 0.5, O = 0.2 }"),
            ["mass_fractions", "add to 0.7"],
        ),
    ],
)
def test_a_bad_material_file_is_refused_in_one_line_naming_file_key_value_and_range(
    folder, text, words
):
    for name in ("good", "fine"):
        (folder / f"{name}.toml").write_text(GOOD)
    (folder / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.toml") as refusal:
        load_material("bad", folder)
    assert "\n" not in str(refusal.value)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_an_unknown_material_suggests_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'LiCoO2'"):
        load_material("LiCo02")


def test_names_differ_by_more_than_case_so_that_every_file_system_can_hold_them():
    names = [
        entry.name.lower() for entry in files("xrdct_sim.phantoms").joinpath("materials").iterdir()
    ]
    assert len(names) == len(set(names))


def signal_per_cm_sr(name, q_per_A):
    """Elastic plus Compton scattering at one q, 1/cm/sr, polarisation left out of the former."""
    total = 0.0
    for material, fraction in pure_parts(load_material(name)):
        table = material_scattering(material, ENERGY_KEV, 8.0)
        angle = 2 * np.arcsin(q_per_A * 12.398419843 / ENERGY_KEV / (4 * np.pi))
        smooth = table.elastic_per_mm_sr + table.compton_a_per_mm_sr
        total += 10 * fraction * np.interp(angle, table.two_theta_rad, smooth)
    return total


def test_the_separator_outshines_the_film_at_1_74_and_ring_and_tube_show():
    film = signal_per_cm_sr("LCOfilm", 1.74)
    assert signal_per_cm_sr("sepglass", 1.74) > 1.3 * film
    assert signal_per_cm_sr("sepcoin", 1.74) < film  # polypropylene would not do
    for name in ("oring", "kaptontube"):
        assert signal_per_cm_sr(name, 1.74) > 0.5 * film
    assert signal_per_cm_sr("air", 1.74) < 1e-3 * film
