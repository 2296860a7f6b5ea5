"""Where things are on the panel, for pictures."""

import numpy as np

from xrdct_sim.instrument.geometry import pixel_geometry, read_poni
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.scanfile.scan import ScanInfo

MM_PER_M = 1e3


def beam_on_panel(info: ScanInfo) -> tuple[tuple[float, float], tuple[float, float]]:
    """Beam centre (slow, fast) from the outer corner of the first pixel, and pixel size, mm."""
    record = read_poni(info.poni, info.shape).getFit2D()
    pixel = pixel_geometry(info.poni, info.shape).pixel_mm
    return (float(record["centerY"]) * pixel[0], float(record["centerX"]) * pixel[1]), pixel


def ring_radius_mm(info: ScanInfo, q_per_A: float) -> float:
    """Radius of a ring on a panel normal to the beam, mm."""
    wavelength = HC_KEV_A / info.energy_keV
    two_theta = 2 * np.arcsin(q_per_A * wavelength / (4 * np.pi))
    return float(pixel_geometry(info.poni, info.shape).distance_mm * np.tan(two_theta))
