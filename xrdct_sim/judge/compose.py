"""Lays a recovery beside its truth: the same windows, the same fits, the same weights on both.

A true map of a fitted quantity is the recovery's own fit applied to the exact pattern or profile
of each voxel, with the recovery's variances as weights ("same functional").
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.judge.compare import (
    Comparison,
    MapKind,
    MapPair,
    RawFrame,
    SliceComparison,
    VoxelProfile,
)
from xrdct_sim.judge.truth_file import SliceTruth, Truth
from xrdct_sim.judge.truth_patterns import voxel_patterns
from xrdct_sim.recover.maps import Cube, channel_map
from xrdct_sim.recover.peaks import fit_peak
from xrdct_sim.recover.phases import reference_area
from xrdct_sim.recover.recon_file import RecoveredSlice
from xrdct_sim.recover.settings import RecoverySettings
from xrdct_sim.recover.texture import fit_lobes, two_lobes

FloatArray = NDArray[np.floating]
PRESENT = 0.1
"""A fitted quantity is scored where its material exceeds this share of its largest fraction."""

PEAK_MAPS: tuple[tuple[str, str, str, MapKind], ...] = (
    ("area", "area", "area", "peak_area"),
    ("centre", "position", "position", "peak_position"),
    ("sigma", "width", "radial width (sigma)", "peak_width"),
)
RING_MAPS: tuple[tuple[str, str, str, str, MapKind], ...] = (
    ("width", "width_rad", "texture_width", "azimuthal width (sigma)", "texture_width"),
    ("direction", "centre_rad", "texture_centre", "azimuth of the lobes", "texture_centre"),
)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Which material each peak and ring belongs to, by name; "" where it is not said."""

    peaks: Mapping[str, str]
    rings: Mapping[str, str]


def compare(
    name: str,
    recovered: tuple[RecoveredSlice, ...],
    truth: Truth,
    settings: RecoverySettings,
    lines: Lines,
    energy_keV: float,
    *,
    frame: RawFrame | None = None,
    shown_settings: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Comparison:
    """Pair every map of a recovery with its truth.

    Parameters
    ----------
    recovered, truth
        Slices in the same order, on the same grid.
    settings
        With which the recovery was made; the truth is put through the same windows and fits.
    lines
        Materials of the peaks and rings.
    """
    _check_grids(recovered, truth)
    largest = {
        material: max(float(np.max(one.voxels.volume_fraction[material])) for one in truth.slices)
        for material in truth.slices[0].voxels.volume_fraction
    }
    slices = tuple(
        _compare_slice(k, found, exact, truth, settings, lines, largest, energy_keV)
        for k, (found, exact) in enumerate(zip(recovered, truth.slices, strict=True))
    )
    return Comparison(
        name=name,
        slices=slices,
        frame=frame,
        settings=shown_settings or {},
        provenance=provenance or {},
    )


def _check_grids(recovered: tuple[RecoveredSlice, ...], truth: Truth) -> None:
    if len(recovered) != len(truth.slices):
        raise ValueError(f"recon: {len(recovered)} slices, truth: {len(truth.slices)}")
    for found, exact in zip(recovered, truth.slices, strict=True):
        same = found.x_mm.shape == exact.voxels.x_mm.shape
        if not (same and np.allclose(found.x_mm, exact.voxels.x_mm, atol=1e-6)):
            raise ValueError("recon and truth: different grids; recover and simulate again")
        bins = [("radial bins", found.q_per_A, truth.q_per_A)]
        if found.rings:
            bins.append(("sectors", found.azimuth_rad, truth.azimuth_rad))
        for what, own, exact_bins in bins:
            if own.shape != exact_bins.shape or not np.allclose(own, exact_bins, atol=1e-6):
                raise ValueError(
                    f"recon and truth: {len(own)} and {len(exact_bins)} {what}, not the same; "
                    "simulate with these settings of recover, or recover with those"
                )


def _compare_slice(
    index: int,
    found: RecoveredSlice,
    exact: SliceTruth,
    truth: Truth,
    settings: RecoverySettings,
    lines: Lines,
    largest: Mapping[str, float],
    energy_keV: float,
) -> SliceComparison:
    voxels = exact.voxels
    cube = voxel_patterns(truth.reference, voxels, truth.textured, truth.rotations_rad)
    field: NDArray[np.bool_] = np.asarray(np.isfinite(found.cube.value).any(axis=-1), bool)
    cube[~field] = np.nan
    patterns = Cube(value=cube, variance=found.cube.variance, unit=found.cube.unit)

    def present(material: str) -> NDArray[np.bool_]:
        if material not in voxels.volume_fraction:
            return field
        return np.asarray(
            field & (voxels.volume_fraction[material] > PRESENT * largest[material]), bool
        )

    maps: dict[str, MapPair] = {}
    for name, channel in settings.channels.items():
        held = found.maps[name]
        maps[name] = MapPair(
            kind="channel",
            title=f"{name}, {channel.q_per_A[0]:g} to {channel.q_per_A[1]:g} 1/angstrom",
            unit=held.unit,
            recovered=held.value,
            truth=channel_map(truth.q_per_A, patterns, channel).value,
            error_bar=held.error,
            where=field,
        )
    for name, peak in settings.peaks.items():
        fit = fit_peak(truth.q_per_A, cube, found.cube.variance, peak.window, settings.solver)
        here = present(lines.peaks.get(name, ""))
        for key, suffix, what, kind in PEAK_MAPS:
            held = found.maps[f"{name}_{key}"]
            maps[f"{name}_{suffix}"] = MapPair(
                kind=kind,
                title=f"{name.replace('_', ' ')}, {what}",
                unit=held.unit,
                recovered=held.value,
                truth=np.where(here, fit.value[key], np.nan),
                error_bar=held.error,
                where=here & np.isfinite(fit.value[key]),
            )
    profile = None
    for name in found.rings:
        here = present(lines.rings.get(name, ""))
        pairs, shown = _compare_ring(name, found, exact, settings, here, energy_keV)
        maps |= pairs
        profile = profile or shown
    maps |= _phases(found, exact, lines, field)
    return SliceComparison(
        label=f"slice {index + 1}",
        height_um=1e3 * found.height_mm,
        x_mm=found.x_mm,
        y_mm=found.y_mm,
        maps=maps,
        profile=profile,
    )


def _compare_ring(
    name: str,
    found: RecoveredSlice,
    exact: SliceTruth,
    settings: RecoverySettings,
    where: NDArray[np.bool_],
    energy_keV: float,
) -> tuple[dict[str, MapPair], VoxelProfile | None]:
    """Texture maps of one ring, and the profile of one of its voxels."""
    ring = found.rings[name]
    if name not in exact.ring_profiles:
        return {}, None
    line = settings.ring_reflections.get(name)
    scale = reference_area(line.structure, line.hkl, energy_keV) if line else 1.0
    profiles = exact.ring_profiles[name] * scale
    variance = ring.variance
    fit = fit_lobes(found.azimuth_rad, profiles, variance, settings.lobes, settings.solver)
    maps = {}
    for key, fitted, suffix, what, kind in RING_MAPS:
        held = found.maps[f"{name}_{key}"]
        maps[f"{name}_{suffix}"] = MapPair(
            kind=kind,
            title=f"{name.replace('_', ' ')}, {what}",
            unit=held.unit,
            recovered=held.value,
            truth=np.where(where, fit.value[fitted], np.nan),
            error_bar=held.error,
            where=where & np.isfinite(fit.value[fitted]),
        )
    return maps, _voxel_profile(name, found, profiles, where)


def _voxel_profile(
    name: str, found: RecoveredSlice, profiles: FloatArray, where: NDArray[np.bool_]
) -> VoxelProfile | None:
    """A voxel of the film, half a radius from its centre, as in the paper's Fig. 5b."""
    rows, columns = np.nonzero(where)
    if len(rows) == 0:
        return None
    x, y = found.x_mm[columns], found.y_mm[rows]
    reach = float(np.max(np.hypot(x, y)))
    chosen = int(np.argmin(np.hypot(x - 0.3 * reach, y - 0.3 * reach)))
    at = (int(rows[chosen]), int(columns[chosen]))
    keys = ("amplitude", "direction", "width", "background")
    parameters = np.array([found.maps[f"{name}_{key}"].value[at] for key in keys])
    fit: FloatArray | None = None
    if np.isfinite(parameters).all():
        azimuth = jnp.asarray(found.azimuth_rad)
        fit = np.asarray(two_lobes(jnp.asarray(parameters), azimuth), np.float64)
    ring = found.rings[name]
    return VoxelProfile(
        ring=name,
        x_mm=float(found.x_mm[at[1]]),
        y_mm=float(found.y_mm[at[0]]),
        azimuth_rad=found.azimuth_rad,
        profile=ring.value[at],
        sigma=np.sqrt(ring.variance[at]),
        fit=fit,
        truth=profiles[at],
    )


def _phases(
    found: RecoveredSlice, exact: SliceTruth, lines: Lines, field: NDArray[np.bool_]
) -> dict[str, MapPair]:
    """Volume fractions of the materials that the recovery was told to find."""
    maps = {}
    for name, material in [*lines.peaks.items(), *lines.rings.items()]:
        key = f"{name}_fraction"
        if key not in found.maps or material not in exact.voxels.volume_fraction:
            continue
        held = found.maps[key]
        maps[f"{material}_fraction"] = MapPair(
            kind="phase",
            title=f"{material}, volume fraction (from {name.replace('_', ' ')})",
            unit="1",
            recovered=held.value,
            truth=np.where(field, exact.voxels.volume_fraction[material], np.nan),
            error_bar=held.error,
            where=field,
        )
    return maps
