"""The integrated scan as a file: sums over cells, and once recovered I(Q) and ring profiles.

``integrated.nxs`` holds an entry per slice (NXxrdct: translation, rotation, radial), opening on a
sinogram, and beside them the scan's record and its sums over cells, from which a recovery can
start again with other fits. Left out: frames.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.binning import Binning
from xrdct_sim.recover.normalise import Integrated
from xrdct_sim.scanfile.header import scan_header
from xrdct_sim.scanfile.nexus import (
    Group,
    Node,
    array,
    data_group,
    dataset,
    entry_group,
    naming,
    process_group,
    read,
    root_group,
    text,
    write,
)
from xrdct_sim.scanfile.record import recorded
from xrdct_sim.scanfile.scan import ScanInfo

UNIT = "1/sr"


@dataclass(frozen=True, kw_only=True)
class Example:
    """One detector frame kept beside the integrated data, for the eye."""

    index: int
    counts: NDArray[np.number]  # (rows, columns)


def write_counts(
    path: Path,
    info: ScanInfo,
    binning: Binning,
    counts: NDArray[np.number],
    date: str,
    example: Example | None = None,
) -> None:
    """Write a scan's record and its sums over cells, ``(n_frames, n_cells)``."""
    total = np.full(info.grid_shape, np.nan)
    total[tuple(info.place.T)] = counts.sum(axis=1)
    entries: dict[str, Node] = {
        slice_name(k): entry_group(
            {"sinogram": _sinogram(info, total[k], "all counts", "counts")},
            title=f"{info.name}, slice {k + 1}: counts",
            default="sinogram",
        )
        for k in range(len(info.heights_mm))
    }
    held = {**_held(info, binning, counts, date), **_example(example)}
    write(path, root_group({**entries, **held}, default=slice_name(0)))


def write_integrated(
    path: Path,
    info: ScanInfo,
    binning: Binning,
    counts: NDArray[np.number] | None,
    integrated: Integrated,
    *,
    version: str,
    date: str,
    parameters: Mapping[str, str],
    example: Example | None = None,
) -> None:
    """Write the integrated scan, with the sums it came from if there are any."""
    process = process_group(
        version=version,
        date=date,
        parameters={
            **parameters,
            "engine": integrated.engine,
            "normalisation": integrated.normalisation,
        },
    )
    entries: dict[str, Node] = {
        slice_name(k): _entry(info, integrated, k, process) for k in range(len(info.heights_mm))
    }
    held = {} if counts is None else _held(info, binning, counts, date)
    held |= _example(example)
    write(path, root_group({**entries, **held}, default=slice_name(0)))


def read_counts(path: Path, poni: str | None = None) -> tuple[ScanInfo, NDArray[np.number], str]:
    """The scan's record, its sums over cells, and the fingerprint of their partition."""
    tree = read(path, only=("scan", "counts"))
    if "scan" not in tree.members or "counts" not in tree.members:
        raise ValueError(f"{path}: holds no sums over cells; give the scan's frames instead")
    record = Group(nx_class="NXroot", members={"entry": tree.members["scan"]})
    with naming(path):
        counts = array(tree, "counts/counts")
        rows, columns = array(tree, "counts/frame_shape")
        info = recorded(record, (len(counts), int(rows), int(columns)), poni).info
        return info, counts, text(tree, "counts/partition")


def read_example(path: Path) -> tuple[ScanInfo, Example] | None:
    """The frame kept in a file, with the scan's record; None if there is none."""
    tree = read(path, only=("example", "scan"))
    if "example" not in tree.members or "scan" not in tree.members:
        return None
    image = array(tree, "example/frame/counts")
    index = int(array(tree, "example/frame/index"))
    record = Group(nx_class="NXroot", members={"entry": tree.members["scan"]})
    count = len(array(tree, "scan/scan/place"))
    info = recorded(record, (count, *image.shape)).info
    return info, Example(index=index, counts=image)


def fingerprint(binning: Binning) -> str:
    """Identity of a partition of the detector."""
    found = hashlib.sha256()
    for values in (binning.cell_of_pixel, binning.q_edges_per_A, binning.first_cell):
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def slice_name(index: int) -> str:
    """Name of a slice's entry."""
    return f"slice_{index + 1}"


def _held(
    info: ScanInfo, binning: Binning, counts: NDArray[np.number], date: str
) -> dict[str, Node]:
    """The record, without links to frames, and the sums."""
    header = scan_header(info, date).members["entry"]
    if not isinstance(header, Group):
        raise ValueError("a scan's header has no entry")
    kept = {name: node for name, node in header.members.items() if name != "data"}
    whole = counts.dtype.kind in "iu" and counts.size and int(counts.max()) < 2**32
    return {
        "scan": replace(header, nx_class="NXcollection", members=kept, attributes={}),
        "counts": Group(
            nx_class="NXcollection",
            members={
                "counts": dataset(counts.astype(np.uint32) if whole else counts, "counts"),
                "partition": dataset(fingerprint(binning)),
                "frame_shape": dataset(np.asarray(info.shape)),
            },
        ),
    }


def _example(example: Example | None) -> dict[str, Node]:
    if example is None:
        return {}
    frame = data_group(
        {
            "counts": dataset(example.counts, "counts", "counts", "image"),
            "index": dataset(example.index),
        },
        signal="counts",
        axes=(".", "."),
    )
    return {"example": entry_group({"frame": frame}, title="a frame", default="frame")}


def _sinogram(info: ScanInfo, values: NDArray[np.floating], title: str, unit: str) -> Group:
    return data_group(
        {
            "total": dataset(values.astype(np.float32), unit, title, "image"),
            "translation": dataset(info.translations_mm, "mm", "translation (mm)"),
            "rotation": dataset(np.rad2deg(info.rotations_rad), "deg", "rotation (deg)"),
        },
        signal="total",
        axes=("translation", "rotation"),
    )


def _entry(info: ScanInfo, integrated: Integrated, index: int, process: Group) -> Group:
    """One slice: sinogram of the total, spectra, ring profiles."""
    scales = {
        "translation_values": dataset(info.translations_mm, "mm", "translation (mm)"),
        "rotation_angles": dataset(np.rad2deg(info.rotations_rad), "deg", "rotation (deg)"),
    }
    intensity = integrated.intensity[index]
    detector = {
        "data": dataset(intensity, UNIT, f"intensity ({UNIT})", "spectrum"),
        "data_errors": dataset(np.sqrt(integrated.variance[index]), UNIT),
        "radial_axis": dataset(integrated.q_per_A, "1/angstrom", "q (1/angstrom)"),
    }
    spectra = data_group(
        {"intensity": detector["data"], **scales, "radial_axis": detector["radial_axis"]},
        signal="intensity",
        axes=("translation_values", "rotation_angles", "radial_axis"),
        errors={"intensity": np.sqrt(integrated.variance[index])},
    )
    rings = {
        f"ring_{name}": data_group(
            {
                "intensity": dataset(
                    ring.intensity[index], "1/sr/angstrom", "ring (1/sr/angstrom)", "spectrum"
                ),
                **scales,
                "azimuthal_axis": dataset(np.rad2deg(integrated.azimuth_rad), "deg", "chi (deg)"),
            },
            signal="intensity",
            axes=("translation_values", "rotation_angles", "azimuthal_axis"),
            errors={"intensity": np.sqrt(ring.variance[index])},
        )
        for name, ring in integrated.rings.items()
    }
    width = float(integrated.q_per_A[1] - integrated.q_per_A[0])
    total = np.where(
        np.isfinite(intensity).any(axis=-1), np.nansum(intensity, axis=-1) * width, np.nan
    )
    members: dict[str, Node] = {
        "sinogram": _sinogram(info, total, "intensity summed over q", "1/sr/angstrom"),
        "data": spectra,
        **rings,
        "beam": Group(
            nx_class="NXbeam", members={"incident_energy": dataset(info.energy_keV, "keV")}
        ),
        "sample": Group(
            nx_class="NXsample",
            members={
                "name": dataset(info.name),
                "height": dataset(0.0 - info.heights_mm[index], "mm", "height of the beam (mm)"),
                **scales,
            },
        ),
        "instrument": Group(
            nx_class="NXinstrument",
            members={
                "name": dataset("beamline"),
                "detector": Group(nx_class="NXdetector", members=detector),
            },
        ),
        "reduction": process,
    }
    return entry_group(
        members,
        title=f"{info.name}, slice {index + 1}: integrated",
        default="sinogram",
        definition="NXxrdct",
        attributes={"definition": "NXxrdct", "version": "1.0"},
    )
