"""Structure factor of matter without long-range order: halos, and broadened polymer lines.

Left out: small-angle scattering of pores and lamellae (Q below about 0.3 1/Å).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HaloPeak:
    """One Gaussian of a structure factor: position, height, full width at half maximum."""

    q_per_A: float
    height: float
    fwhm_per_A: float


@dataclass(frozen=True, kw_only=True)
class CrystallineLines:
    """Broadened lines of a semicrystalline polymer; only their relative heights matter."""

    fraction: float
    lines: tuple[HaloPeak, ...]


@dataclass(frozen=True, kw_only=True)
class Halo:
    """Parameters of an amorphous structure factor."""

    s0: float
    cut_off_per_A: float
    exponent: float
    peaks: tuple[HaloPeak, ...]
    crystalline: CrystallineLines | None = None


def gaussian_sum(q_per_A: FloatArray, peaks: tuple[HaloPeak, ...]) -> FloatArray:
    r"""Sum of Gaussians :math:`\sum_i A_i \exp[-4\ln2\,((Q-Q_i)/w_i)^2]`.

    Parameters
    ----------
    q_per_A
        Any shape, 1/Å.
    peaks
        Positions and widths in 1/Å, heights without unit.

    Returns
    -------
        Same shape as ``q_per_A``.
    """
    total = np.zeros_like(q_per_A)
    for peak in peaks:
        offset = (q_per_A - peak.q_per_A) / peak.fwhm_per_A
        total = total + peak.height * np.exp(-4 * np.log(2) * offset**2)
    return total


def amorphous_structure_factor(q_per_A: FloatArray, halo: Halo) -> FloatArray:
    r"""Structure factor of the disordered part, 1 for large Q.

    .. math:: S_a(Q) = 1 - (1 - S_0)\,e^{-(Q/Q_c)^p} + \sum_i A_i e^{-4\ln2((Q-Q_i)/w_i)^2}

    Parameters
    ----------
    q_per_A
        Any shape, 1/Å.
    halo
        S0, Qc, p and peaks.

    Returns
    -------
        S, same shape.
    """
    depletion = (1 - halo.s0) * np.exp(-((q_per_A / halo.cut_off_per_A) ** halo.exponent))
    return 1 - depletion + gaussian_sum(q_per_A, halo.peaks)


def crystalline_window(q_per_A: FloatArray, crystalline: CrystallineLines) -> FloatArray:
    r"""Weight of the range in which a polymer's crystallinity is defined: 1 there, 0 far beyond.

    .. math:: W(Q) = \exp[-(Q/Q_x)^8], \quad Q_x = Q_{last} + 2 w_{last}

    Parameters
    ----------
    q_per_A
        Any shape, 1/Å.
    crystalline
        The lines; the last one sets the window.

    Returns
    -------
        W in (0, 1], same shape.
    """
    edge = max(line.q_per_A + 2 * line.fwhm_per_A for line in crystalline.lines)
    return np.exp(-((q_per_A / edge) ** 8))


def structure_factor(q_per_A: FloatArray, halo: Halo, weight: FloatArray) -> FloatArray:
    r"""Structure factor with the crystalline lines of a semicrystalline polymer.

    .. math:: S(Q) = S_a(Q)\,[1 - x W(Q)] + \kappa \sum_l A_l G_l(Q)

    where x is the crystallinity and κ makes the lines carry what the window W takes out:
    :math:`\kappa \int \sum A_l G_l\, w\, Q\, dQ = x \int W S_a\, w\, Q\, dQ`.

    Parameters
    ----------
    q_per_A
        Ascending, 1/Å; shape ``(n,)``; it must span the lines.
    halo
        Parameters; without ``crystalline`` the result is the amorphous S(Q).
    weight
        Weight w of the coherent intensity, sum of n_Z f_Z²; shape ``(n,)``.

    Returns
    -------
        S, shape ``(n,)``; 1 for large Q.

    Notes
    -----
    The usual X-ray crystallinity: the lines' share of the coherent intensity in the range of the
    lines (Q below about 2 1/Å). Beyond it S tends to 1 as it must, for crystallites and melt alike.
    The solid angle element is taken as Q dQ (exact) and polarisation as constant over the window
    (to 0.1 % at 70 keV).
    """
    amorphous = amorphous_structure_factor(q_per_A, halo)
    if halo.crystalline is None:
        return amorphous
    fraction = halo.crystalline.fraction
    window = crystalline_window(q_per_A, halo.crystalline)
    lines = gaussian_sum(q_per_A, halo.crystalline.lines)
    measure = weight * q_per_A
    taken = fraction * np.trapezoid(window * amorphous * measure, q_per_A)
    scale = taken / np.trapezoid(lines * measure, q_per_A)
    return amorphous * (1 - fraction * window) + scale * lines
