"""Static sizes of a simulation: how many depth bins, radii, harmonics its arrays have.

Chosen once from concrete values, so that everything downstream compiles to fixed shapes and the
same block of rays always runs through the same code.
"""

from dataclasses import dataclass, replace

import numpy as np

from xrdct_sim.instrument.accuracy import Accuracy
from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.instrument.effects import Effects
from xrdct_sim.physics.scattering import FWHM_PER_SIGMA
from xrdct_sim.physics.texture import degree_for, orders_for
from xrdct_sim.sample.phantom import Phantom

RING_REACH_SIGMA = 5.5
"""Rings are cut at this many standard deviations: 4e-8 of their power is lost."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Static sizes; hashable, so that it can be a static argument of compiled functions."""

    effects: Effects
    accuracy: Accuracy
    n_depths: int  # samples along a ray
    depth_reach_mm: float  # rays are followed from -reach to +reach
    n_bins: int  # depth bins of the untextured scattering
    n_radii: int  # points of the radial profiles
    radius_step_mm: float
    n_ring_points: int  # points of the radial profile that one ring can touch
    textured: str | None  # material with a texture, if it is simulated
    n_texture_bins: int
    texture_reach_mm: float
    l_max: int
    m_max: int
    n_ring_intervals: int

    @property
    def depth_step_mm(self) -> float:
        """Distance of the samples along a ray, mm."""
        return 2 * self.depth_reach_mm / self.n_depths

    def depths_mm(self) -> np.ndarray:
        """Sample positions along the beam, ``(n_depths,)``, mm from the rotation axis."""
        places = (np.arange(self.n_depths) + 0.5) * self.depth_step_mm
        return np.asarray(places - self.depth_reach_mm)

    def bin_centres_mm(self) -> np.ndarray:
        """Depth bins of the untextured scattering, ``(n_bins,)``."""
        return _nodes(self.depth_reach_mm, self.n_bins)

    def texture_bin_centres_mm(self) -> np.ndarray:
        """Depth bins of the textured scattering, ``(n_texture_bins,)``."""
        return _nodes(self.texture_reach_mm, self.n_texture_bins)

    def radii_mm(self) -> np.ndarray:
        """Radii of the profiles on the reference plane, ``(n_radii,)``, from 0."""
        return np.asarray(np.arange(self.n_radii) * self.radius_step_mm)

    @property
    def radii_per_interval(self) -> int:
        """Radii in each interval of the texture map."""
        return -(-self.n_radii // self.n_ring_intervals)


def _nodes(reach_mm: float, count: int) -> np.ndarray:
    return np.zeros(1) if count == 1 else np.linspace(-reach_mm, reach_mm, count)


def cloud_in_cell(positions_mm: np.ndarray, nodes_mm: np.ndarray) -> np.ndarray:
    """Linear deposit of positions ``(n,)`` on nodes ``(k,)``: rows add up to 1, centroids kept.

    Shape ``(n, k)``; positions beyond the last node go to it.
    """
    if len(nodes_mm) == 1:
        return np.ones((len(positions_mm), 1))
    step = nodes_mm[1] - nodes_mm[0]
    place = np.clip((positions_mm - nodes_mm[0]) / step, 0, len(nodes_mm) - 1)
    return np.asarray(np.clip(1 - np.abs(place[:, None] - np.arange(len(nodes_mm))), 0, None))


def plan_layout(
    phantom: Phantom,
    beam: Beam,
    detector: Detector,
    corner_radius_mm: float,
    widest_ring_rad: float,
    effects: Effects,
    accuracy: Accuracy,
) -> Layout:
    """Choose all sizes from concrete values.

    ``widest_ring_rad`` is the largest standard deviation in 2 theta that a material gives a
    ring, without bandwidth and blur; ``corner_radius_mm`` is the largest radius of a pixel on the
    reference plane, that is, at the panel's distance along the beam and normal to it.
    """
    distance = float(detector.beam_distance_mm)
    reach = phantom.radius_mm
    blur = np.sqrt(
        float(detector.blur_variance_mm2(effects.point_spread))
        + float(beam.blur_variance_mm2()) * effects.footprint
    )
    slope = corner_radius_mm / distance
    bandwidth = effects.bandwidth * float(beam.bandwidth_keV) / beam.energy_keV / FWHM_PER_SIGMA
    theta = 0.5 * np.arctan(slope)
    sharpest = np.hypot(blur, distance * (1 + slope**2) * 2 * np.tan(theta) * bandwidth)
    bin_width = accuracy.depth_bin_fwhm * FWHM_PER_SIGMA * sharpest / slope
    n_bins = max(3, 1 + int(np.ceil(2 * reach / bin_width))) if effects.sample_parallax else 1
    rim = (distance + reach) * (1 + slope**2) * widest_ring_rad
    widest = np.hypot(rim, sharpest * (distance + reach) / distance)
    step = min(detector.pixel_mm) / accuracy.profile_per_pixel
    intervals = accuracy.texture_rings
    n_radii = int(np.ceil(corner_radius_mm / step)) + 3
    n_radii = intervals * -(-n_radii // intervals)
    textured = phantom.textured if effects.texture and effects.bragg else None
    limits = phantom.texture_limits() if textured else None
    tolerance = accuracy.texture_tolerance
    ends = (limits.sharpest_march_r, limits.flattest_march_r) if limits else (1.0, 1.0)
    l_max = degree_for(*ends, tolerance) if limits else 0
    return Layout(
        effects=replace(effects, noise=True),  # noise is drawn later: one compilation for both
        accuracy=accuracy,
        n_depths=int(np.ceil(2 * reach / accuracy.depth_step_mm)),
        depth_reach_mm=reach,
        n_bins=n_bins,
        n_radii=n_radii,
        radius_step_mm=step,
        n_ring_points=int(np.ceil(2 * RING_REACH_SIGMA * widest / step)) + 2,
        textured=textured,
        n_texture_bins=accuracy.texture_depth_bins if effects.sample_parallax else 1,
        texture_reach_mm=limits.reach_mm if limits else reach,
        l_max=l_max,
        m_max=orders_for(l_max, limits.largest_tilt_rad, accuracy.texture_tolerance)
        if limits
        else 0,
        n_ring_intervals=intervals,
    )
