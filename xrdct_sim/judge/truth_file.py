"""The exact truth of a run as a file, apart from the data so that these can be sent blind.

``truth.nxs`` holds an entry per slice with maps of volume fractions, mass, electron density and
texture, and the reference patterns from which any voxel's exact pattern follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.judge.truth_patterns import ReferencePatterns
from xrdct_sim.sample.truth import VoxelTruth
from xrdct_sim.scanfile.nexus import (
    Dataset,
    Group,
    Node,
    array,
    data_group,
    dataset,
    entry_group,
    member,
    naming,
    process_group,
    read,
    root_group,
    text,
    write,
)

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class SliceTruth:
    """Truth of one slice."""

    height_mm: float  # of the beam in the sample
    voxels: VoxelTruth
    ring_profiles: Mapping[str, FloatArray]  # (y, x, azimuth) m.r.d. times volume fraction


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Truth of a run."""

    textured: str | None
    rotations_rad: FloatArray
    q_per_A: FloatArray
    azimuth_rad: FloatArray
    reference: ReferencePatterns
    slices: tuple[SliceTruth, ...]


def write_truth(
    path: Path, truth: Truth, name: str, *, version: str, date: str, parameters: Mapping[str, str]
) -> None:
    """Write a truth."""
    process = process_group(version=version, date=date, parameters=parameters)
    count = len(truth.slices)
    entries: dict[str, Node] = {
        f"slice_{k + 1}": _entry(truth, k, name, process) for k in range(count)
    }
    reference = truth.reference
    entries["patterns"] = Group(
        nx_class="NXcollection",
        members={
            "materials": dataset("\n".join(reference.materials)),
            "textured": dataset(truth.textured or ""),
            "plain": dataset(reference.plain, "1/mm/sr"),
            "texture": dataset(reference.texture, "1/mm/sr"),
            "l_max": dataset(reference.l_max),
            "m_max": dataset(reference.m_max),
            "q": dataset(truth.q_per_A, "1/angstrom"),
            "azimuth": dataset(truth.azimuth_rad, "rad"),
            "rotations": dataset(truth.rotations_rad, "rad"),
        },
    )
    write(path, root_group(entries, default=f"slice_{count // 2 + 1}"))


def _entry(truth: Truth, index: int, name: str, process: Group) -> Group:
    held = truth.slices[index]
    voxels = held.voxels
    scales = {
        "y": dataset(voxels.y_mm, "mm", "y (mm)"),
        "x": dataset(voxels.x_mm, "mm", "x (mm)"),
    }

    def maps(values: Mapping[str, FloatArray], unit: str, what: str) -> Group:
        shown = {
            key: dataset(value.astype(np.float32), unit, f"{key} {what} ({unit})", "image")
            for key, value in values.items()
        }
        first = next(iter(shown))
        return data_group(
            {**shown, **scales},
            signal=first,
            axes=("y", "x"),
            auxiliary=[key for key in shown if key != first],
        )

    ordered = dict(voxels.volume_fraction)
    if truth.textured is not None:
        ordered = {truth.textured: ordered.pop(truth.textured), **ordered}
    groups: dict[str, Node] = {
        "maps": maps(ordered, "1", "volume fraction"),
        "mass": maps(voxels.mass_mg_per_mm3, "mg/mm^3", "mass"),
        "electrons": maps({"electrons": voxels.electrons_per_A3}, "1/angstrom^3", "density"),
    }
    if voxels.axis is not None and voxels.march_r is not None and voxels.ordered is not None:
        texture = {f"axis_{c}": voxels.axis[..., k] for k, c in enumerate("xyz")}
        texture = {"march_r": voxels.march_r, "ordered": voxels.ordered, **texture}
        groups["texture"] = maps(texture, "1", "of the fibre")
    for key, profile in held.ring_profiles.items():
        groups[f"ring_{key}"] = data_group(
            {
                "profile": dataset(profile.astype(np.float32), "1", "pole density", "spectrum"),
                **scales,
                "azimuth": dataset(np.rad2deg(truth.azimuth_rad), "deg", "chi (deg)"),
            },
            signal="profile",
            axes=("y", "x", "azimuth"),
        )
    height = dataset(held.height_mm, "mm", "height of the beam (mm)")
    groups["sample"] = Group(nx_class="NXsample", members={"name": dataset(name), "height": height})
    groups["truth"] = process
    return entry_group(groups, title=f"{name}, slice {index + 1}: truth", default="maps")


def read_truth(path: Path) -> Truth:
    """Read what `write_truth` wrote."""
    tree = read(path)
    names = [name for name in tree.members if name.startswith("slice_")]
    names.sort(key=lambda name: int(name.removeprefix("slice_")))
    with naming(path):
        reference = ReferencePatterns(
            materials=tuple(text(tree, "patterns/materials").split("\n")),
            plain=array(tree, "patterns/plain"),
            texture=array(tree, "patterns/texture"),
            l_max=int(array(tree, "patterns/l_max")),
            m_max=int(array(tree, "patterns/m_max")),
        )
        return Truth(
            textured=text(tree, "patterns/textured") or None,
            rotations_rad=array(tree, "patterns/rotations"),
            q_per_A=array(tree, "patterns/q"),
            azimuth_rad=array(tree, "patterns/azimuth"),
            reference=reference,
            slices=tuple(_read_slice(tree, name) for name in names),
        )


def _read_slice(tree: Group, name: str) -> SliceTruth:
    entry = member(tree, name)
    held = entry.members if isinstance(entry, Group) else {}
    texture = _maps(tree, f"{name}/texture") if "texture" in held else None
    electrons = array(tree, f"{name}/electrons/electrons")
    voxels = VoxelTruth(
        x_mm=array(tree, f"{name}/maps/x"),
        y_mm=array(tree, f"{name}/maps/y"),
        volume_fraction=_maps(tree, f"{name}/maps"),
        mass_mg_per_mm3=_maps(tree, f"{name}/mass"),
        electrons_per_A3=electrons,
        axis=np.stack([texture[f"axis_{c}"] for c in "xyz"], axis=-1) if texture else None,
        march_r=texture["march_r"] if texture else None,
        ordered=texture["ordered"] if texture else None,
    )
    return SliceTruth(
        height_mm=float(array(tree, f"{name}/sample/height")),
        voxels=voxels,
        ring_profiles={
            key.removeprefix("ring_"): array(tree, f"{name}/{key}/profile")
            for key in held
            if key.startswith("ring_")
        },
    )


def _maps(tree: Group, where: str) -> dict[str, FloatArray]:
    group = member(tree, where)
    members = group.members if isinstance(group, Group) else {}
    return {
        key: array(tree, f"{where}/{key}")
        for key, node in members.items()
        if isinstance(node, Dataset) and key not in ("x", "y")
    }
