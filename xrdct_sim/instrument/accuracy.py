"""All accuracy knobs of the forward model in one value; each says which error it bounds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Numerical settings; the defaults are for full-size frames."""

    depth_step_mm: float = 0.05
    """Sampling along the ray. Fractions are box-averaged over it, so path lengths are exact."""

    depth_bin_fwhm: float = 0.2
    """Depth bins: largest shift of a ring between two, in FWHM of the sharpest ring at the rim."""

    profile_per_pixel: int = 8
    """Steps of the radial profile per pixel. Linear interpolation's broadening is taken out."""

    texture_depth_bins: int = 12
    """Depth bins of a textured material; its rings' second moment is right on average."""

    texture_tolerance: float = 3e-3
    """First zonal term of a texture left out, relative to its peak."""

    texture_azimuths: int = 180
    """Azimuth nodes of a textured ring: linear interpolation errs by (step/sigma)²/8 of a peak."""

    texture_rings: int = 24
    """Radius intervals over which a pole density is linear in the Bragg angle."""

    n_sensor_depths: int = 6
    """Gauss-Legendre nodes over the sensor's depth."""
