"""What single atoms do to X-rays: form factors, dispersion, incoherent functions, cross-sections.

The only module that talks to xraylib. Left out: bonding, which changes the tables by less than
their own 1-2 % spread (4 % for rare earths) except below s = 0.2 1/Å.
"""

import numpy as np
import xraylib
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

LOWEST_FORM_FACTOR_S_PER_A = 1e-7
LOWEST_INCOHERENT_S_PER_A = 1e-3


def mass_fractions(formula: str) -> dict[str, float]:
    """Mass fraction of each element of a chemical formula such as ``"LiCoO2"``."""
    parsed = xraylib.CompoundParser(formula)
    symbols = [xraylib.AtomicNumberToSymbol(z) for z in parsed["Elements"]]
    return dict(zip(symbols, parsed["massFractions"], strict=True))


def atomic_number(symbol: str) -> int:
    """Nuclear charge Z of an element; raises ``ValueError`` for an unknown symbol."""
    return int(xraylib.SymbolToAtomicNumber(symbol))


def atomic_weight_u(symbol: str) -> float:
    """Atomic weight in u (g/mol)."""
    return float(xraylib.AtomicWeight(atomic_number(symbol)))


def form_factor(symbol: str, s_per_A: ArrayLike) -> FloatArray:
    r"""Form factor f0 at :math:`s = \sin\theta/\lambda`, electrons.

    Parameters
    ----------
    symbol
        Element.
    s_per_A
        Any shape, 1/Å, not negative.

    Returns
    -------
        f0, same shape; f0(0) = Z.

    Notes
    -----
    The table refuses 0 < s < 1e-7 1/Å; there f0 = Z to 1e-12.
    """
    s = np.asarray(s_per_A, dtype=float)
    z = atomic_number(symbol)
    safe = np.where(s < LOWEST_FORM_FACTOR_S_PER_A, 0.0, s)
    values = [xraylib.FF_Rayl(z, value) for value in safe.ravel()]
    return np.array(values, dtype=float).reshape(s.shape)


def dispersion(symbol: str, energy_keV: float) -> complex:
    """Anomalous part f' + i f'' of the scattering factor, electrons; f'' > 0.

    Notes
    -----
    xraylib stores f'' with a negative sign; its modulus is taken here.
    """
    z = atomic_number(symbol)
    return complex(xraylib.Fi(z, energy_keV), abs(xraylib.Fii(z, energy_keV)))


def scattering_factor(symbol: str, s_per_A: ArrayLike, energy_keV: float) -> ComplexArray:
    r"""Complex scattering factor :math:`f = f_0(s) + f'(E) + i f''(E)`, electrons."""
    return np.asarray(form_factor(symbol, s_per_A) + dispersion(symbol, energy_keV), dtype=complex)


def incoherent_function(symbol: str, s_per_A: ArrayLike) -> FloatArray:
    r"""Incoherent scattering function S_inc(s), electrons: 0 at s = 0, Z for large s.

    Parameters
    ----------
    symbol
        Element.
    s_per_A
        Any shape, 1/Å, not negative.

    Returns
    -------
        S_inc, same shape.

    Notes
    -----
    The table starts at s = 1e-3 1/Å; below, S_inc is continued as s², its law at small s.
    """
    s = np.asarray(s_per_A, dtype=float)
    z = atomic_number(symbol)
    safe = np.maximum(s, LOWEST_INCOHERENT_S_PER_A)
    values = [xraylib.SF_Compt(z, value) for value in safe.ravel()]
    return np.asarray(np.reshape(values, s.shape) * (s / safe) ** 2, dtype=float)


def photoelectric_cm2_g(symbol: str, energy_keV: float) -> float:
    """Photoelectric mass attenuation coefficient, cm²/g."""
    return float(xraylib.CS_Photo(atomic_number(symbol), energy_keV))


def rayleigh_cm2_g(symbol: str, energy_keV: float) -> float:
    """Rayleigh (elastic) mass attenuation coefficient of the free atom, cm²/g."""
    return float(xraylib.CS_Rayl(atomic_number(symbol), energy_keV))


def compton_cm2_g(symbol: str, energy_keV: float) -> float:
    """Compton (inelastic) mass attenuation coefficient, cm²/g."""
    return float(xraylib.CS_Compt(atomic_number(symbol), energy_keV))
