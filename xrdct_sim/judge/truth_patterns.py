r"""Exact voxel patterns on the recovery's own channels: what a perfect tomography would return.

Each material's pattern is the forward model's expected counts for 1 mm of it on the rotation axis,
put through the recovery's integration; a voxel's pattern is their sum by volume fraction. The
textured material enters by the harmonics of its fibre axis, averaged over the scan's rotations.
Left out, on purpose: absorption, depth in the sample, noise and tomography; these are what a score
shows. The detector's own resolution and the depth in its sensor are in these patterns (+0.04 % of
a radius for 0.5 mm of CsI): a score does not show them.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.texture import (
    direction_harmonics,
    harmonic_orders,
    mean_over_rotations,
    zonal_coefficients,
)
from xrdct_sim.recover.binning import Binning
from xrdct_sim.recover.integrate import integrate
from xrdct_sim.sample.phantom import TextureField
from xrdct_sim.sample.truth import VoxelTruth, texture_batches
from xrdct_sim.scanfile.scan import ScanInfo
from xrdct_sim.simulate.integrated import CellSums
from xrdct_sim.simulate.layout import cloud_in_cell
from xrdct_sim.simulate.run import SimulatedScan
from xrdct_sim.simulate.texture_map import compiled_texture_map

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class ReferencePatterns:
    """Macroscopic cross-sections on the recovery's channels, 1/mm/sr."""

    materials: tuple[str, ...]
    plain: NDArray[np.float64]  # (n_materials, n_q); the textured one without its Bragg rings
    texture: NDArray[np.float64]  # (n_harmonics, n_q) Bragg rings per unit harmonic
    l_max: int
    m_max: int


def reference_patterns(
    simulated: SimulatedScan, info: ScanInfo, binning: Binning, solid_angle: bool = True
) -> ReferencePatterns:
    """Patterns of pure materials and of each texture harmonic.

    Parameters
    ----------
    simulated
        Forward model.
    info, binning
        Record of its scan and the recovery's channels.
    solid_angle
        Whether the recovery divides by the pixels' relative solid angle.
    """
    experiment, prepared = simulated.experiment, simulated.prepared
    layout = experiment.layout
    sums = CellSums(
        prepared.pixels,
        np.asarray(prepared.patterns.polar_ratio),
        layout,
        binning.cell_of_pixel,
        binning.n_cells,
        experiment.gaps,
    )
    names = experiment.phantom.materials
    on_axis = cloud_in_cell(np.zeros(1), layout.bin_centres_mm())[0]
    shape = (len(names), layout.n_bins, layout.n_radii)
    parts = [
        np.einsum("mjr,j->mr", np.asarray(profile, float).reshape(shape), on_axis)
        for profile in (prepared.patterns.plain, prepared.patterns.polar)
    ]
    plain = sums.expected(np.stack(parts, axis=1), None, 0.0)
    harmonics = _harmonic_cells(simulated, sums, binning)
    return ReferencePatterns(
        materials=names,
        plain=_normalised(info, binning, plain, solid_angle),
        texture=_normalised(info, binning, harmonics, solid_angle),
        l_max=layout.l_max,
        m_max=layout.m_max,
    )


def _harmonic_cells(
    simulated: SimulatedScan, sums: CellSums, binning: Binning
) -> NDArray[np.float64]:
    """Expected counts of cells for each unit harmonic on the axis, (n_harmonics, n_cells)."""
    layout, patterns = simulated.experiment.layout, simulated.prepared.patterns
    if layout.textured is None:
        return np.zeros((0, binning.n_cells))
    on_axis = cloud_in_cell(np.zeros(1), layout.texture_bin_centres_mm())[0]
    count = len(harmonic_orders(layout.l_max, layout.m_max))
    nothing = np.zeros((1, 2, layout.n_radii))
    rows = []
    for k in range(count):
        unit = np.zeros((layout.n_texture_bins, count), np.float32)
        unit[:, k] = on_axis
        surface = compiled_texture_map(unit, patterns.harmonics, patterns.textured, layout)
        rows.append(sums.expected(nothing, np.asarray(surface).ravel(), 0.0)[0])
    return np.stack(rows)


def _normalised(
    info: ScanInfo, binning: Binning, counts: NDArray[np.float64], solid_angle: bool
) -> NDArray[np.float64]:
    """Counts per incident photon and mm to cross-sections, by the recovery's integration."""
    count = len(counts)
    if not count:
        return np.zeros((0, binning.n_q))
    place = np.zeros((count, 3), np.intp)
    place[:, 1] = np.arange(count)
    pretended = replace(
        info,
        heights_mm=np.zeros(1),
        translations_mm=np.arange(float(count)),
        rotations_rad=np.zeros(1),
        place=place,
        exposure_s=np.zeros(count),
        monitor_photons=np.ones(count),
        diode_photons=None,
    )
    found = integrate(pretended, binning, counts, solid_angle=solid_angle)
    return np.asarray(found.intensity[0, :, 0], float)


def voxel_patterns(
    reference: ReferencePatterns,
    truth: VoxelTruth,
    textured: str | None,
    rotations_rad: FloatArray,
) -> NDArray[np.float32]:
    r"""Exact pattern of every voxel of a slice, ``(y, x, n_q)``, 1/mm/sr.

    .. math:: S(Q) = \sum_m \varphi_m S_m(Q) + \varphi_t\sum_{lm} \bar c_{lm}\,S_{lm}(Q)
    """
    fractions = np.stack([truth.volume_fraction[name] for name in reference.materials], axis=-1)
    cube = fractions @ reference.plain
    if textured is not None and len(reference.texture):
        if truth.axis is None or truth.march_r is None or truth.ordered is None:
            raise ValueError(f"truth has no texture for {textured}")
        amount = truth.volume_fraction[textured]
        inside = amount > 0
        field = TextureField(
            axis=jnp.asarray(truth.axis[inside]),
            march_r=jnp.asarray(truth.march_r[inside]),
            ordered=jnp.asarray(truth.ordered[inside]),
        )
        coefficients = scan_mean_coefficients(
            field, rotations_rad, reference.l_max, reference.m_max
        )
        cube[inside] += amount[inside, None] * (coefficients @ reference.texture)
    return np.asarray(cube, np.float32)


def scan_mean_coefficients(
    texture: TextureField, rotations_rad: FloatArray, l_max: int, m_max: int
) -> NDArray[np.float64]:
    """Harmonic coefficients of voxels, averaged over a scan's rotations, ``(n, n_harmonics)``."""
    angles = jnp.asarray(rotations_rad)
    parts = [
        np.asarray(_mean_coefficients(part, angles, l_max, m_max), float)[:kept]
        for part, kept in texture_batches(texture)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(harmonic_orders(l_max, m_max))))


@partial(jax.jit, static_argnames=("l_max", "m_max"))
def _mean_coefficients(
    texture: TextureField, rotations_rad: jax.Array, l_max: int, m_max: int
) -> jax.Array:
    degrees = harmonic_orders(l_max, m_max)
    turned = mean_over_rotations(
        direction_harmonics(texture.axis, l_max, m_max), rotations_rad, l_max, m_max
    )
    fibre = zonal_coefficients(texture.march_r, l_max)[:, degrees // 2] * turned
    random = jnp.asarray(degrees == 0, fibre.dtype)
    share = jnp.asarray(texture.ordered)[:, None]
    return jnp.asarray(share * fibre + (1 - share) * random)
