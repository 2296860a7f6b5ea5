"""The truth of a run: phantom and forward model asked on the recovery's own grid and channels."""

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.config.experiment import RunSettings
from xrdct_sim.judge.truth_file import SliceTruth, Truth
from xrdct_sim.judge.truth_patterns import reference_patterns
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.physics.reflections import family_legendre
from xrdct_sim.physics.texture import degree_for
from xrdct_sim.recover.binning import Binning
from xrdct_sim.recover.settings import RecoverySettings, Reflection
from xrdct_sim.sample.phantom import TextureField
from xrdct_sim.sample.truth import VoxelTruth, scan_mean_pole_density, voxel_truth
from xrdct_sim.scanfile.scan import ScanInfo
from xrdct_sim.simulate.run import SimulatedScan
from xrdct_sim.workflow.build import pure_materials

FloatArray = NDArray[np.floating]
SUBSECTORS = 5
"""Directions averaged over each azimuthal sector."""


def truth_of(
    simulated: SimulatedScan,
    info: ScanInfo,
    binning: Binning,
    recovery: RecoverySettings,
    settings: RunSettings,
) -> Truth:
    """Truth of all slices on the recovery's grid."""
    experiment = simulated.experiment
    phantom = experiment.phantom
    textured = experiment.layout.textured
    translations = info.translations_mm
    step = abs(float(translations[-1] - translations[0])) / (len(translations) - 1)
    materials = pure_materials()
    slices = []
    for height in info.heights_mm:
        voxels = voxel_truth(
            phantom,
            materials,
            n_voxels=len(translations),
            step_mm=step,
            height_mm=float(height),
            height_sigma_mm=float(experiment.beam.height_sigma_mm),
        )
        rings = {}
        for name, line in recovery.ring_reflections.items():
            if settings.recover.rings[name].material == textured:
                rings[name] = _ring_profiles(voxels, str(textured), line, binning, info)
        slices.append(SliceTruth(height_mm=0.0 - float(height), voxels=voxels, ring_profiles=rings))
    return Truth(
        textured=textured,
        rotations_rad=np.asarray(info.rotations_rad, float),
        q_per_A=binning.q_per_A,
        azimuth_rad=binning.azimuth_rad,
        reference=reference_patterns(simulated, info, binning, recovery.solid_angle),
        slices=tuple(slices),
    )


def _ring_profiles(
    voxels: VoxelTruth, textured: str, line: Reflection, binning: Binning, info: ScanInfo
) -> NDArray[np.float32]:
    """Volume fraction times the scan's mean pole density, averaged over each sector."""
    if voxels.axis is None or voxels.march_r is None or voxels.ordered is None:
        raise ValueError("truth: the phantom has no texture")
    amount = voxels.volume_fraction[textured]
    inside = amount > 0
    q = float(np.linalg.norm(np.asarray(line.hkl) @ line.structure.reciprocal_per_A))
    two_theta = 2 * np.arcsin(q * HC_KEV_A / info.energy_keV / (4 * np.pi))
    ends = float(np.min(voxels.march_r)), float(np.max(voxels.march_r))
    degree = degree_for(*ends, TRUTH_TOLERANCE)
    zonal = family_legendre(line.structure, np.array([line.hkl]), degree)[0]
    width = float(binning.azimuth_edges_rad[1] - binning.azimuth_edges_rad[0])
    shifts = ((np.arange(SUBSECTORS) + 0.5) / SUBSECTORS - 0.5) * width
    fine = (binning.azimuth_rad[:, None] + shifts).ravel()
    field = TextureField(
        axis=jnp.asarray(voxels.axis[inside]),
        march_r=jnp.asarray(voxels.march_r[inside]),
        ordered=jnp.asarray(voxels.ordered[inside]),
    )
    density = scan_mean_pole_density(field, zonal, two_theta, fine, info.rotations_rad)
    profiles = np.zeros((*amount.shape, binning.n_azimuth), np.float32)
    sectors = density.reshape(-1, binning.n_azimuth, SUBSECTORS).mean(axis=-1)
    profiles[inside] = amount[inside, None] * sectors
    return profiles


TRUTH_TOLERANCE = 1e-3
"""First zonal term left out of the truth, relative to the peak."""
