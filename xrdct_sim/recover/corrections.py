r"""What a pixel would count for an isotropic scatterer: solid angle, sensor, polarisation.

Left out: flat fields (a counting detector's pixels are taken as equal) and the depth at which
the sensor absorbs (up to two pixels' shift of the ring at 38 degrees in 0.5 mm of CsI).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrdct_sim.instrument.detector import sensor_efficiency
from xrdct_sim.instrument.geometry import PixelGeometry
from xrdct_sim.physics.atoms import mass_fractions
from xrdct_sim.physics.materials import Material, attenuation_per_mm
from xrdct_sim.physics.scattering import polarisation_parts
from xrdct_sim.scanfile.scan import ScanInfo, Sensor

FloatArray = NDArray[np.floating]


def polarisation_factor(
    two_theta_rad: ArrayLike, chi_rad: ArrayLike, polarisation: float
) -> FloatArray:
    r"""Share of the Thomson cross-section left by polarisation.

    .. math:: P = \tfrac12 (1 + \cos^2 2\theta) - f \cos 2\chi \; \tfrac12 \sin^2 2\theta

    with f = 1 for light polarised horizontally (pyFAI's factor) and chi = 0 in the horizontal.
    """
    mean, turning = polarisation_parts(np.asarray(two_theta_rad))
    return np.asarray(mean - polarisation * np.cos(2 * np.asarray(chi_rad)) * turning)


def efficiency(sensor: Sensor | None, energy_keV: float, cos_incidence: ArrayLike) -> FloatArray:
    r"""Share of photons that the sensor absorbs, :math:`1 - \exp(-\mu t/\cos a)`; 1 if unknown.

    Parameters
    ----------
    sensor
        Layer that absorbs; None = not known.
    energy_keV
        Energy of the scattered photon; that of the beam, for elastic scattering.
    cos_incidence
        cos a of each pixel.
    """
    cosine = np.asarray(cos_incidence, dtype=np.float64)
    if sensor is None:
        return np.ones_like(cosine)
    layer = Material(
        name=sensor.material,
        description="sensor",
        density_g_cm3=sensor.density_g_cm3,
        mass_fractions=mass_fractions(sensor.material),
    )
    mu = attenuation_per_mm(layer, energy_keV)
    return np.asarray(sensor_efficiency(mu, sensor.thickness_mm, cosine))


def pixel_response(info: ScanInfo, geometry: PixelGeometry, solid_angle: bool = True) -> FloatArray:
    r"""Return counts of each pixel per photon and per unit of :math:`\int S T dx` (sr⁻¹).

    .. math:: \Delta\Omega\,\epsilon\,P
    """
    polarised = polarisation_factor(geometry.two_theta_rad, geometry.chi_rad, info.polarisation)
    sensed = efficiency(info.sensor, info.energy_keV, geometry.cos_incidence)
    seen = geometry.solid_angle_sr
    if not solid_angle:  # every pixel as one of normal incidence
        seen = np.full_like(seen, np.prod(geometry.pixel_mm) / geometry.distance_mm**2)
    return np.asarray(seen * sensed * polarised)
