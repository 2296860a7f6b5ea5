"""Structure factors and relative intensities against three independent programs (extra `peers`)."""

import importlib
import warnings
from importlib.resources import files

import numpy as np
import pytest

from xrdct_sim.physics.atoms import form_factor
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.material_files import load_structure
from xrdct_sim.physics.reflections import reflections, structure_factor_squared
from xrdct_sim.physics.scattering import polarisation_parts, ring_power_per_mm

# the programs' own warnings (deprecations, version checks) are not ours to fail on
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
NAMES = ("LiCoO2", "Fe", "Al")
Q_MAX_PER_A = 4 * np.pi * 1.9
ENERGY_KEV = 69.95
WAVELENGTH_A = HC_KEV_A / ENERGY_KEV


def peer(module):
    """Import an independent program, or skip and say what is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as missing:
        pytest.skip(f"independent program not installed (extra `peers`): {missing}")


def cif_path(name):
    return str(files("xrdct_sim.phantoms").joinpath("structures", f"{name}.cif"))


def structure_and_hkl(name):
    structure = load_structure(f"{name}.cif")
    return structure, reflections(structure, ENERGY_KEV, Q_MAX_PER_A).hkl


def xrayutilities_squared(name, hkl, energy_eV):
    """|F|² by xrayutilities, and the complex scattering factor it used."""
    xu = peer("xrayutilities")
    crystal = xu.materials.Crystal.fromCIF(cif_path(name))
    f = [crystal.StructureFactor(crystal.Q(*[int(i) for i in index]), energy_eV) for index in hkl]
    atoms = {atom.basename: atom for atom, *_ in crystal.lattice.base()}

    def factor(symbol, s_per_A):
        return np.array([complex(atoms[symbol].f(4 * np.pi * s, energy_eV)) for s in s_per_A])

    return np.abs(f) ** 2, factor


def dans_squared(name, hkl):
    """|F|² by Dans_Diffraction (International Tables C f0, no dispersion), and that f0."""
    dans = peer("Dans_Diffraction")
    crystal = dans.Crystal(cif_path(name))
    crystal.Scatter._use_isotropic_thermal_factor = True
    crystal.Scatter._use_waaskirf_scattering_factor = False

    def factor(symbol, s_per_A):
        table = dans.functions_crystallography.xray_scattering_factor([symbol], 4 * np.pi * s_per_A)
        return table[:, 0].astype(complex)

    return crystal.Scatter.x_ray(hkl) * crystal.scale**2, factor


def tabulated_f0(symbol, s_per_A):
    """Return the product's own f0, without dispersion."""
    return form_factor(symbol, s_per_A).astype(complex)


@pytest.mark.parametrize("name", NAMES)
def test_structure_factors_agree_with_xrayutilities_given_its_complex_scattering_factors(name):
    structure, hkl = structure_and_hkl(name)
    theirs, factor = xrayutilities_squared(name, hkl, 10000.0)
    ours = structure_factor_squared(structure, hkl, factor)
    # 1e-5 of |F|; xrayutilities rounds q in its table of scattering factors (measured 4e-7)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_structure_factors_agree_with_dans_diffraction_given_its_form_factors(name):
    structure, hkl = structure_and_hkl(name)
    theirs, factor = dans_squared(name, hkl)
    ours = structure_factor_squared(structure, hkl, factor)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)  # same sum in float64; measured 2e-12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("s_from", "s_to", "spread"),
    [(0.0, 0.35, 0.003), (0.35, 1.9, 0.0105)],  # f0 tables differ so much (Fe, Co: 1.01 % at 1.9)
)
def test_structure_factors_agree_with_the_international_tables_within_the_tables_spread(
    name, s_from, s_to, spread
):
    structure, hkl = structure_and_hkl(name)
    s = np.linalg.norm(hkl @ structure.reciprocal_per_A, axis=1) / (4 * np.pi)
    hkl, s = hkl[(s >= s_from) & (s < s_to)], s[(s >= s_from) & (s < s_to)]
    theirs, factor = dans_squared(name, hkl)
    ours = structure_factor_squared(structure, hkl, tabulated_f0)
    # each atom's error counts in full even where the atoms' waves cancel
    waves = sum(
        occupancy * factor(symbol, s).real * np.exp(-b * s**2)
        for symbol, occupancy, b in zip(
            structure.elements, structure.occupancy, structure.b_iso_A2, strict=True
        )
    )
    assert np.max(np.abs(np.sqrt(ours) - np.sqrt(theirs)) / waves) < spread


def pymatgen_powder(name, structure):
    """Angles (degrees) and intensities by pymatgen, and the f0 it used."""
    xrd = peer("pymatgen.analysis.diffraction.xrd")
    b_iso = dict(zip(structure.elements, structure.b_iso_A2.tolist(), strict=True))
    calculator = xrd.XRDCalculator(wavelength=WAVELENGTH_A, debye_waller_factors=b_iso)
    pattern = calculator.get_pattern(
        peer("pymatgen.core").Structure.from_file(cif_path(name)), two_theta_range=(0, 15)
    )

    def factor(symbol, s_per_A):
        a, b = np.array(xrd.ATOMIC_SCATTERING_PARAMS[symbol]).T
        z = form_factor(symbol, 0.0)
        tail = (a * np.exp(-np.outer(s_per_A**2, b))).sum(axis=1)
        return (z - 41.78214 * s_per_A**2 * tail).astype(complex)

    return pattern.x, pattern.y, factor


def powder(structure, factor):
    """Angles (degrees) and relative intensities of an unpolarised powder pattern, ours."""
    found = reflections(structure, ENERGY_KEV, 4 * np.pi / WAVELENGTH_A * 0.14, factor)
    sine = found.q_per_A * WAVELENGTH_A / (4 * np.pi)
    power = ring_power_per_mm(
        WAVELENGTH_A, found.multiplicity, found.f_squared, found.cell_volume_A3, 1.0, sine
    )
    angle = 2 * np.arcsin(sine)
    return np.degrees(angle), power * polarisation_parts(angle)[0] / np.sin(angle)


def summed_per_line(lines_deg, angles_deg, intensities):
    """Sum intensities into the nearest line and scale the strongest line to 1."""
    distance = np.abs(angles_deg[:, None] - lines_deg[None])
    here = distance.min(axis=1) < 1e-4
    nearest = distance.argmin(axis=1)[here]
    total = np.bincount(nearest, weights=intensities[here], minlength=len(lines_deg))
    return total / total.max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("same_f0", "s_to", "tolerance"),
    # 1e-5: rounding of positions; 1 %: twice the tables' spread is 0.6 %, and pymatgen's f0 are
    # fits to electron scattering factors (iron 211: 0.9 %)
    [(True, 0.7, 1e-5), (False, 0.35, 0.01)],
)
def test_relative_powder_intensities_agree_with_pymatgen(name, same_f0, s_to, tolerance):
    structure = load_structure(f"{name}.cif")
    angles, intensities, factor = pymatgen_powder(name, structure)
    lines = angles[np.append(True, np.diff(angles) > 1e-4)]
    theirs = summed_per_line(lines, angles, intensities)
    ours = summed_per_line(lines, *powder(structure, factor if same_f0 else tabulated_f0))
    s = np.sin(np.radians(lines / 2)) / WAVELENGTH_A
    strong = (theirs > 0.05) & (s < s_to)  # where atoms cancel, f0 errors grow
    assert strong.sum() >= 2
    np.testing.assert_allclose(ours[strong], theirs[strong], rtol=tolerance)
