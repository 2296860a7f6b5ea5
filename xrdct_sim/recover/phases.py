r"""From a peak's area to the volume fraction of its phase, on the absolute scale.

.. math:: \phi = \frac{\int S\,dQ}{A_h}, \qquad
          A_h = \frac{C_h}{2\pi \sin 2\theta} \frac{dQ}{d2\theta}, \qquad
          \frac{dQ}{d2\theta} = \frac{2\pi \cos\theta}{\lambda}

Left out: texture (the area must be the powder's, that is the mean over all orientations), peaks
of other phases in the window, extinction.
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
