"""The reconstruction as a file: maps, spectra and ring profiles of each voxel, with errors.

``recon.nxs`` holds an entry per slice (NXtomoproc), opening on a map. Readable by any HDF5 reader.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.integrated_file import slice_name
from xrdct_sim.recover.least_squares import EXPLANATION
from xrdct_sim.recover.maps import Cube, Map
from xrdct_sim.recover.run import Recovery
from xrdct_sim.scanfile.nexus import (
    Dataset,
    Group,
    Link,
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
class RecoveredSlice:
    """What a recovery says of one slice; maps (y, x), cubes (y, x, channel)."""

    height_mm: float  # of the beam in the sample
    x_mm: FloatArray
    y_mm: FloatArray
    q_per_A: FloatArray
    azimuth_rad: FloatArray
    cube: Cube
    rings: Mapping[str, Cube]
    maps: Mapping[str, Map]
    status: Mapping[str, NDArray[np.int8]]
    axis_mm: float  # motor position of the rotation axis
    axis_error_mm: float


def write_recovery(
    path: Path,
    recovery: Recovery,
    name: str,
    *,
    raw_file: str,
    version: str,
    date: str,
    parameters: Mapping[str, str],
) -> None:
    """Write all slices of a recovery."""
    process = process_group(
        version=version,
        date=date,
        parameters={
            "raw_file": raw_file,
            "algorithm": "filtered back-projection",
            "filter": recovery.settings.filter_name,
            "rotation_axis_mm": recovery.axis.position_mm,
            "rotation_axis_error_mm": recovery.axis.error_mm,
            "pixel_convention": "voxel i of n is centred at (i - (n - 1)/2) step from the axis",
            "status": "; ".join(f"{int(k)}: {why}" for k, why in EXPLANATION.items()),
            **parameters,
        },
    )
    count = len(recovery.heights_mm)
    entries: dict[str, Node] = {
        slice_name(k): _entry(recovery, k, name, process) for k in range(count)
    }
    shown = slice_name(count // 2)
    links = {"data": Link(target=f"/{shown}/data/data"), "q": Link(target=f"/{shown}/data/q")}
    write(path, root_group({**entries, **links}, default=shown))


def _entry(recovery: Recovery, index: int, name: str, process: Group) -> Group:
    scales = {
        "y": dataset(recovery.y_mm, "mm", "y (mm)"),
        "x": dataset(recovery.x_mm, "mm", "x (mm)"),
    }
    maps = recovery.maps
    shown = {
        key: dataset(held.value[index], held.unit, f"{key} ({held.unit})", "image")
        for key, held in maps.items()
    }
    groups: dict[str, Node] = {}
    if shown:
        first = next(iter(shown))
        groups["maps"] = data_group(
            {**shown, **scales},
            signal=first,
            axes=("y", "x"),
            errors={key: held.error[index] for key, held in maps.items()},
            auxiliary=[key for key in shown if key != first],
        )
    else:
        mean = np.nanmean(recovery.cube.value[index], axis=-1)
        groups["maps"] = data_group(
            {"mean": dataset(mean, recovery.cube.unit, "mean (1/mm/sr)", "image"), **scales},
            signal="mean",
            axes=("y", "x"),
        )
    q = dataset(recovery.q_per_A, "1/angstrom", "q (1/angstrom)")
    groups["data"] = _spectra(recovery.cube, index, {**scales, "q": q, "z": q}, "q")
    for key, ring in recovery.rings.items():
        chi = dataset(np.rad2deg(recovery.azimuth_rad), "deg", "chi (deg)")
        groups[f"ring_{key}"] = _spectra(ring, index, {**scales, "azimuth": chi}, "azimuth")
    groups["status"] = Group(
        nx_class="NXcollection",
        members={key: dataset(codes[index]) for key, codes in recovery.status.items()},
    )
    groups["instrument"] = Group(
        nx_class="NXinstrument",
        members={
            "source": Group(
                nx_class="NXsource",
                members={
                    "type": dataset("Synchrotron X-ray Source"),
                    "name": dataset("not stated"),
                    "probe": dataset("x-ray"),
                },
            )
        },
    )
    height = dataset(0.0 - recovery.heights_mm[index], "mm", "height of the beam (mm)")
    groups["sample"] = Group(nx_class="NXsample", members={"name": dataset(name), "height": height})
    groups["reconstruction"] = process
    return entry_group(
        groups,
        title=f"{name}, slice {index + 1}: reconstruction",
        default="maps",
        definition="NXtomoproc",
    )


def _spectra(cube: Cube, index: int, scales: Mapping[str, Dataset | Link], last: str) -> Group:
    values = dataset(cube.value[index], cube.unit, f"cross-section ({cube.unit})", "spectrum")
    return data_group(
        {"data": values, **scales},
        signal="data",
        axes=("y", "x", last),
        errors={"data": np.sqrt(cube.variance[index])},
    )


def read_recovery(path: Path) -> tuple[RecoveredSlice, ...]:
    """Read what `write_recovery` wrote."""
    tree = read(path)
    names = sorted(
        (name for name in tree.members if name.startswith("slice_")),
        key=lambda name: int(name.removeprefix("slice_")),
    )
    if not names:
        raise ValueError(f"{path}: no slice in this file")
    with naming(path):
        return tuple(_read_slice(tree, name) for name in names)


def recovery_parameter(path: Path, name: str) -> str:
    """One of the texts that `write_recovery` was given as parameters."""
    first = slice_name(0)
    with naming(path):
        tree = read(path, leave_out=(f"{first}/data", f"{first}/maps"), only=(first,))
        return text(tree, f"{first}/reconstruction/parameters/{name}")


def _read_slice(tree: Group, name: str) -> RecoveredSlice:
    groups = member(tree, name)
    if not isinstance(groups, Group):
        raise ValueError(f"{name} is not a group")
    rings = {
        key.removeprefix("ring_"): _read_cube(tree, f"{name}/{key}")
        for key in groups.members
        if key.startswith("ring_")
    }
    azimuth = np.zeros(0)
    for key in rings:
        azimuth = np.deg2rad(array(tree, f"{name}/ring_{key}/azimuth"))
    status = member(tree, f"{name}/status")
    held = status.members if isinstance(status, Group) else {}
    parameters = f"{name}/reconstruction/parameters"
    return RecoveredSlice(
        height_mm=float(array(tree, f"{name}/sample/height")),
        x_mm=array(tree, f"{name}/maps/x"),
        y_mm=array(tree, f"{name}/maps/y"),
        q_per_A=array(tree, f"{name}/data/q"),
        azimuth_rad=azimuth,
        cube=_read_cube(tree, f"{name}/data"),
        rings=rings,
        maps=_read_maps(tree, f"{name}/maps"),
        status={key: array(tree, f"{name}/status/{key}") for key in held},
        axis_mm=float(array(tree, f"{parameters}/rotation_axis_mm")),
        axis_error_mm=float(array(tree, f"{parameters}/rotation_axis_error_mm")),
    )


def _read_cube(tree: Group, where: str) -> Cube:
    node = member(tree, f"{where}/data")
    unit = node.units if isinstance(node, Dataset) else ""
    errors = array(tree, f"{where}/data_errors")
    return Cube(value=array(tree, f"{where}/data"), variance=errors**2, unit=unit)


def _read_maps(tree: Group, where: str) -> dict[str, Map]:
    group = member(tree, where)
    maps = {}
    for key, node in group.members.items() if isinstance(group, Group) else ():
        errors = f"{key}_errors"
        if isinstance(group, Group) and errors in group.members and isinstance(node, Dataset):
            maps[key] = Map(
                value=array(tree, f"{where}/{key}"),
                error=array(tree, f"{where}/{errors}"),
                unit=node.units,
            )
    return maps
