"""Laws of scattering: Bragg rings, diffuse, amorphous and Compton scattering, polarisation, widths.

All cross-sections are macroscopic (per volume). Elastic ones come without the polarisation
factor; Compton scattering has its own two parts. Left out: multiple scattering, fluorescence.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.arrays import Array, library_of
from xrdct_sim.physics.constants import ELECTRON_RADIUS_A, ELECTRON_REST_KEV, PER_A_IN_PER_MM

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

GAUSSIAN_SCHERRER = 0.94
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))


def polarisation_parts(two_theta_rad: Array) -> tuple[Any, Any]:
    r"""Parts A and B of the elastic polarisation factor :math:`P = A - f\cos2\chi\, B`.

    .. math:: A = (1 + \cos^2 2\theta)/2, \quad B = \sin^2(2\theta)/2

    Parameters
    ----------
    two_theta_rad
        Scattering angle, rad, any shape.

    Returns
    -------
        A and B, same shape; f = 2p - 1 with p the horizontal fraction, cos 2χ = 1 in the
        horizontal plane.
    """
    library = library_of(two_theta_rad)
    squared = library.cos(two_theta_rad) ** 2
    return (1 + squared) / 2, (1 - squared) / 2


def ring_power_per_mm(
    wavelength_A: float,
    multiplicity: FloatArray,
    f_squared: FloatArray,
    cell_volume_A3: float,
    cells_per_A3: float,
    sin_theta: FloatArray,
) -> FloatArray:
    r"""Power that a powder scatters into a whole Debye-Scherrer ring, per length and incident flux.

    .. math:: C_h = \frac{r_e^2 \lambda^3 m |F|^2}{4\, v \sin\theta}\, n_c,
              \quad S = C_h P \frac{g(2\theta)}{2\pi \sin 2\theta}

    Parameters
    ----------
    wavelength_A
        λ, Å.
    multiplicity
        Planes in the family, Friedel mates included; shape ``(n,)``.
    f_squared
        \|F\|², electrons² per unit cell; shape ``(n,)``.
    cell_volume_A3
        v, Å³.
    cells_per_A3
        n_c, unit cells per volume: 1/v in a solid crystal.
    sin_theta
        Sine of the Bragg angle; shape ``(n,)``.

    Returns
    -------
        C_h without polarisation, 1/mm; shape ``(n,)``. g is normalised per rad of 2θ.

    References
    ----------
    Warren, X-ray Diffraction (1990), eq. 4.8; in a solid crystal n_c/v = 1/v².
    """
    per_A = (
        ELECTRON_RADIUS_A**2
        * wavelength_A**3
        * multiplicity
        * f_squared
        * cells_per_A3
        / (4 * cell_volume_A3 * sin_theta)
    )
    return np.asarray(PER_A_IN_PER_MM * per_A)


def place_diffuse(
    s_per_A: FloatArray, occupancy: FloatArray, factors: ComplexArray, b_iso_A2: FloatArray
) -> FloatArray:
    r"""Diffuse elastic scattering of one crystal position: thermal motion and disorder.

    .. math:: \sum_k o_k |f_k|^2 - \Bigl|\sum_k o_k f_k e^{-B_k s^2}\Bigr|^2

    Parameters
    ----------
    s_per_A
        sin θ/λ, 1/Å; shape ``(n,)``.
    occupancy
        o of each species at the position; shape ``(k,)``; a sum below 1 means vacancies.
    factors
        Complex scattering factor of each species; shape ``(k, n)``.
    b_iso_A2
        B of each species, Å²; shape ``(k,)``.

    Returns
    -------
        electrons², shape ``(n,)``, never negative.

    Notes
    -----
    Einstein's independent oscillators and Laue's random occupation: no peaks of thermal diffuse
    scattering under the Bragg rings, the integral is right.
    """
    mean = (occupancy[:, None] * factors * np.exp(-np.outer(b_iso_A2, s_per_A**2))).sum(axis=0)
    total = (occupancy[:, None] * np.abs(factors) ** 2).sum(axis=0)
    return np.asarray(total - np.abs(mean) ** 2)


def elastic_per_mm_sr(electrons2_per_A3: FloatArray) -> FloatArray:
    r"""Differential cross-section of a scattering strength, without polarisation.

    .. math:: S = r_e^2 \sum_Z n_Z f_Z^2 S(Q)

    Parameters
    ----------
    electrons2_per_A3
        Squared scattering amplitude per volume, electrons²/Å³, any shape.

    Returns
    -------
        1/mm/sr, same shape.
    """
    return PER_A_IN_PER_MM * ELECTRON_RADIUS_A**2 * electrons2_per_A3


def compton_ratio(two_theta_rad: FloatArray, energy_keV: float) -> FloatArray:
    r"""Energy of the scattered photon over that of the incident one.

    .. math:: k = \frac{E'}{E} = \frac{1}{1 + (E/mc^2)(1 - \cos2\theta)}

    Parameters
    ----------
    two_theta_rad
        Scattering angle, rad, any shape.
    energy_keV
        E, keV.

    Returns
    -------
        k in (0, 1], same shape. The electrons' motion, which widens the line, is left out.
    """
    return 1 / (1 + energy_keV / ELECTRON_REST_KEV * (1 - np.cos(two_theta_rad)))


def compton_parts_per_mm_sr(
    two_theta_rad: FloatArray, energy_keV: float, incoherent_per_A3: FloatArray
) -> tuple[FloatArray, FloatArray]:
    r"""Compton scattering of a polarised beam, :math:`S = A_c - f\cos2\chi\, B_c`.

    .. math:: A_c = \tfrac12 r_e^2 k^2 (k + 1/k - \sin^2 2\theta) \sum_Z n_Z S_{inc,Z}, \quad
              B_c = \tfrac12 r_e^2 k^2 \sin^2 2\theta \sum_Z n_Z S_{inc,Z}

    Parameters
    ----------
    two_theta_rad
        Scattering angle, rad; shape ``(n,)``.
    energy_keV
        Incident energy, keV.
    incoherent_per_A3
        Sum of n_Z S_inc over the elements, electrons/Å³; shape ``(n,)``.

    Returns
    -------
        A_c and B_c, 1/mm/sr, shape ``(n,)``.

    References
    ----------
    Klein & Nishina (1929); Hubbell et al., J. Phys. Chem. Ref. Data 4 (1975) 471 for S_inc.
    """
    ratio = compton_ratio(two_theta_rad, energy_keV)
    sine2 = np.sin(two_theta_rad) ** 2
    scale = 0.5 * elastic_per_mm_sr(incoherent_per_A3) * ratio**2
    return scale * (ratio + 1 / ratio - sine2), scale * sine2


def size_fwhm_rad(
    wavelength_A: float, two_theta_rad: FloatArray, crystallite_size_A: float
) -> FloatArray:
    r"""Width of a ring from the crystallites' size (Scherrer).

    .. math:: w = 0.94\,\lambda / (L \cos\theta)

    Parameters
    ----------
    wavelength_A
        λ, Å.
    two_theta_rad
        Scattering angle, rad, any shape.
    crystallite_size_A
        L, Å.

    Returns
    -------
        FWHM in 2θ, rad, same shape.
    """
    return GAUSSIAN_SCHERRER * wavelength_A / (crystallite_size_A * np.cos(two_theta_rad / 2))


def strain_fwhm_rad(two_theta_rad: FloatArray, microstrain: float) -> FloatArray:
    r"""Width of a ring from a spread of lattice spacings.

    .. math:: w = 2\sqrt{2\ln2}\; 2 \varepsilon \tan\theta

    Parameters
    ----------
    two_theta_rad
        Scattering angle, rad, any shape.
    microstrain
        ε, rms of Δd/d.

    Returns
    -------
        FWHM in 2θ, rad, same shape.
    """
    return np.asarray(FWHM_PER_SIGMA * 2 * microstrain * np.tan(two_theta_rad / 2))


def bandwidth_fwhm_rad(two_theta_rad: Array, relative_bandwidth: Array) -> Any:
    r"""Width of a ring from the beam's bandwidth.

    .. math:: w = 2 \tan\theta\, \Delta E/E

    Parameters
    ----------
    two_theta_rad
        Scattering angle, rad, any shape.
    relative_bandwidth
        ΔE/E, FWHM.

    Returns
    -------
        FWHM in 2θ, rad, same shape. On a flat panel at distance D this is
        :math:`r\,(\Delta E/E)/(\cos^2\theta\cos2\theta)` in radius.
    """
    library = library_of(two_theta_rad, relative_bandwidth)
    return 2 * library.tan(0.5 * two_theta_rad) * relative_bandwidth


def combined_fwhm(*widths: FloatArray) -> FloatArray:
    r"""FWHM of a convolution of Gaussians, :math:`\sqrt{\sum w_i^2}`, in the widths' unit."""
    return np.asarray(np.sqrt(sum(width**2 for width in widths)))
