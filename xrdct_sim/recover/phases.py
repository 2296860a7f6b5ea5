r"""From a peak's area to the volume fraction of its phase, on the absolute scale.

.. math:: \phi = \frac{\int S\,dQ}{A_h}, \qquad
          A_h = \frac{C_h}{2\pi \sin 2\theta} \frac{dQ}{d2\theta}, \qquad
          \frac{dQ}{d2\theta} = \frac{2\pi \cos\theta}{\lambda}

Left out: peaks of other phases in the window, extinction. A textured ring's plain mean is not
that of a powder: :func:`fibre_mean` gives the mean over all orientations instead.
"""

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.crystals import Structure
from xrdct_sim.physics.reflections import reflections
from xrdct_sim.physics.scattering import ring_power_per_mm

FloatArray = NDArray[np.floating]
SAME_Q = 1e-5  # relative distance in Q within which reflections are one peak


def reference_area(structure: Structure, hkl: tuple[int, int, int], energy_keV: float) -> float:
    """Integral over Q of the cross-section of the solid crystal, 1/(mm sr Å).

    Parameters
    ----------
    structure
        Unit cell of the phase.
    hkl
        Reflection; others at the same Q are added to it.
    energy_keV
        Photon energy.
    """
    wavelength = HC_KEV_A / energy_keV
    q = float(np.linalg.norm(np.asarray(hkl) @ structure.reciprocal_per_A))
    if not 0 < q < 4 * np.pi / wavelength:
        raise ValueError(f"hkl = {hkl}: no reflection at {energy_keV} keV")
    found = reflections(structure, energy_keV, q * (1 + SAME_Q))
    here = found.q_per_A > q * (1 - SAME_Q)
    if not here.any():
        raise ValueError(f"hkl = {hkl}: absent, or too weak to measure")
    sin_theta = q * wavelength / (4 * np.pi)
    power = ring_power_per_mm(
        wavelength,
        found.multiplicity[here].astype(np.float64),
        found.f_squared[here],
        found.cell_volume_A3,
        1 / found.cell_volume_A3,
        np.asarray(sin_theta),
    )
    cos_theta = np.sqrt(1 - sin_theta**2)
    per_rad = power.sum() / (2 * np.pi * 2 * sin_theta * cos_theta)
    return float(per_rad * 2 * np.pi * cos_theta / wavelength)


def volume_fraction(
    area: FloatArray, error: FloatArray, reference: float
) -> tuple[FloatArray, FloatArray]:
    """Volume fraction and its standard deviation from a peak's area and that of the solid."""
    return area / reference, error / reference


def fibre_mean(
    profile: FloatArray,
    variance: FloatArray,
    azimuth_rad: FloatArray,
    direction_rad: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    r"""Mean over all orientations of a ring that an axial texture modulates, and its variance.

    .. math:: \langle I\rangle = \frac{\sum_\chi I(\chi)\,|\sin(\chi - c)|}
                                {\sum_\chi |\sin(\chi - c)|}

    At a small Bragg angle the ring is a great circle through the fibre axis; the pole density
    depends on the angle from the axis alone, so that a great circle, weighted by the area of its
    zones, is the whole sphere, whose mean is that of a powder.

    Parameters
    ----------
    profile, variance
        Ring profiles, ``(..., n_azimuth)``; NaN sectors are left out.
    azimuth_rad
        Centres of the sectors, ``(n_azimuth,)``.
    direction_rad
        Azimuth c of the fibre axis, ``(...)``; 90 degrees where it is NaN.

    Returns
    -------
        Mean and variance, shape ``(...)``.

    Notes
    -----
    Exact for an axis in the plane of the detector as theta goes to 0. An axis tilted by t out of
    that plane, or a Bragg angle theta, errs by some a_2 (t² + theta²)/2: 0.2 % at 2 degrees.
    """
    direction = np.where(np.isfinite(direction_rad), direction_rad, np.pi / 2)
    known = np.isfinite(profile)
    weight = np.where(known, np.abs(np.sin(azimuth_rad - direction[..., None])), 0.0)
    total = weight.sum(axis=-1)
    total = np.where(total > 0, total, np.nan)
    mean = np.sum(weight * np.where(known, profile, 0.0), axis=-1) / total
    spread = np.sum(weight**2 * np.where(known, variance, 0.0), axis=-1) / total**2
    return mean, spread
