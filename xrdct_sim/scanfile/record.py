"""What a scan's file says beside its frames: from a NeXus tree to a `ScanInfo`.

A file with our collection `scan` comes back to the last bit; a measured NXtomo file without it is
folded from its positions, and what it does not say is assumed and noted in the provenance.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.instrument.geometry import read_poni
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.scanfile.fold import check_places, fold
from xrdct_sim.scanfile.header import FRAMES, SCHEMA, exact
from xrdct_sim.scanfile.nexus import Dataset, Group, Node, array, member
from xrdct_sim.scanfile.nexus import text as text_at
from xrdct_sim.scanfile.scan import ScanInfo, Sensor

ASSUMED_POLARISATION = 0.96  # a typical undulator beam; used, and said so, if a file has none

_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "micrometer": 1e-3}
_RAD = {"degree": np.pi / 180, "degrees": np.pi / 180, "deg": np.pi / 180, "rad": 1.0}
_KEV = {"keV": 1.0, "kev": 1.0, "eV": 1e-3}
_S = {"s": 1.0, "second": 1.0, "ms": 1e-3}


class Recorded(NamedTuple):
    """A scan's record and where its frames and dark frames are in the file's stack."""

    info: ScanInfo
    frames: NDArray[np.intp]
    darks: NDArray[np.intp]
    dark_exposure_s: float  # of all dark frames together


def recorded(root: Group, stack_shape: tuple[int, ...], poni: str | None = None) -> Recorded:
    """Return what a tree says of a stack of frames; ``poni`` replaces the file's geometry."""
    if len(stack_shape) != 3 or stack_shape[0] == 0:
        raise ValueError(f"{FRAMES}: shape {stack_shape}; allowed (frames >= 1, rows, columns)")
    key = _optional(root, "entry/instrument/detector/image_key", np.zeros(stack_shape[0]))
    if len(key) != stack_shape[0]:
        raise ValueError(f"image_key: {len(key)} values for {stack_shape[0]} frames")
    frames, darks = np.flatnonzero(key == 0), np.flatnonzero(key == 2)
    if len(frames) == 0:
        raise ValueError("the scan is empty: no frame has image_key 0")
    entry = member(root, "entry")
    if isinstance(entry, Group) and "scan" in entry.members:
        info = _own(root, frames, stack_shape[1:], poni)
    else:
        info = _measured(root, frames, stack_shape[1:], poni)
    read_poni(info.poni, info.shape)
    dark_exposure_s = 0.0
    if len(darks):
        exposure = _quantity(root, "entry/instrument/detector/count_time", _S)
        dark_exposure_s = float(_each(exposure, stack_shape[0])[darks].sum())
    return Recorded(info, frames, darks, dark_exposure_s)


def _own(
    root: Group, frames: NDArray[np.intp], shape: tuple[int, ...], poni: str | None
) -> ScanInfo:
    """Return the record that `scan_header` wrote, to the last bit."""
    schema = int(array(root, "entry/scan/schema"))
    if schema != SCHEMA:
        raise ValueError(f"entry/scan/schema = {schema}; allowed {SCHEMA}")
    grid = {name: array(root, f"entry/scan/{name}") for name in _GRID}
    for name, points in grid.items():
        _check_monotonic(name, points)
    place = array(root, "entry/scan/place").astype(np.intp)
    if place.shape != (len(frames), 3):
        raise ValueError(f"entry/scan/place: shape {place.shape}; allowed ({len(frames)}, 3)")
    check_places(place, tuple(len(points) for points in grid.values()))
    scan = member(root, "entry/scan")
    members = scan.members if isinstance(scan, Group) else {}
    sensor = (
        Sensor(
            material=text_at(root, "entry/scan/sensor/material"),
            density_g_cm3=float(array(root, "entry/scan/sensor/density")),
            thickness_mm=float(array(root, "entry/scan/sensor/thickness")),
        )
        if "sensor" in members
        else None
    )
    notes = member(root, "entry/scan/provenance")
    beam = array(root, "entry/scan/beam")
    return ScanInfo(
        name=text_at(root, "entry/sample/name"),
        heights_mm=grid["heights"],
        translations_mm=grid["translations"],
        rotations_rad=grid["rotations"],
        place=place,
        exposure_s=array(root, "entry/instrument/detector/count_time"),
        monitor_photons=_monitor(root),
        diode_photons=array(root, "entry/scan/diode") if "diode" in members else None,
        energy_keV=float(array(root, "entry/scan/energy")),
        bandwidth_keV=float(array(root, "entry/scan/bandwidth")),
        beam_mm=(float(beam[0]), float(beam[1])),
        polarisation=float(array(root, "entry/scan/polarisation")),
        poni=_geometry(root, poni),
        shape=(int(shape[0]), int(shape[1])),
        mask=_mask(root, shape),
        dark_counts=array(root, "entry/scan/dark_counts"),
        dark_exposure_s=float(array(root, "entry/scan/dark_exposure")),
        sensor=sensor,
        provenance={
            name: text_at(root, f"entry/scan/provenance/{name}")
            for name in (notes.members if isinstance(notes, Group) else ())
        },
    )


def _measured(
    root: Group, frames: NDArray[np.intp], shape: tuple[int, ...], poni: str | None
) -> ScanInfo:
    """Return the record of a plain NXtomo file; what it lacks is assumed, and said so."""
    sample = "entry/sample"
    translation = _quantity(root, f"{sample}/x_translation", _MM)
    rotation = _quantity(root, f"{sample}/rotation_angle", _RAD)
    height = _quantity(root, f"{sample}/z_translation", _MM, missing=0.0)
    n_stack = len(
        _optional(root, "entry/instrument/detector/image_key", np.zeros(translation.size))
    )
    folded = fold(*(_each(values, n_stack)[frames] for values in (height, translation, rotation)))
    geometry = _geometry(root, poni)
    step_mm = float(np.diff(folded.translations_mm).min())
    extent = _quantity(root, "entry/instrument/beam/extent", _MM, missing=step_mm)
    exposure = _quantity(root, "entry/instrument/detector/count_time", _S)
    wavelength_A = 1e10 * float(read_poni(geometry).wavelength)
    return ScanInfo(
        name=_name(root),
        heights_mm=folded.heights_mm,
        translations_mm=folded.translations_mm,
        rotations_rad=folded.rotations_rad,
        place=folded.place,
        exposure_s=_each(exposure, n_stack)[frames],
        monitor_photons=_each(_monitor(root), n_stack)[frames],
        diode_photons=None,
        energy_keV=float(
            _quantity(root, "entry/instrument/beam/incident_energy", _KEV, HC_KEV_A / wavelength_A)
        ),
        bandwidth_keV=0.0,
        beam_mm=(float(extent.flat[0]), float(extent.flat[-1])),
        polarisation=ASSUMED_POLARISATION,
        poni=geometry,
        shape=(int(shape[0]), int(shape[1])),
        mask=_mask(root, shape),
        dark_counts=np.zeros(shape),
        dark_exposure_s=0.0,
        sensor=None,
        provenance={
            "assumed": f"polarisation {ASSUMED_POLARISATION}, bandwidth 0 keV, sensor efficiency 1"
        },
    )


_GRID = ("heights", "translations", "rotations")


def _check_monotonic(name: str, points: NDArray[Any]) -> None:
    if points.ndim != 1 or len(points) == 0:
        raise ValueError(f"{name}: shape {points.shape}; allowed is a list of one or more")
    steps = np.diff(points)
    if not ((steps > 0).all() or (steps < 0).all()):
        at = int(np.flatnonzero(np.sign(steps) != np.sign(steps[0]) if steps[0] else steps == 0)[0])
        raise ValueError(
            f"{name}: not monotonic, {points[at]:.6g} is followed by {points[at + 1]:.6g} at "
            f"index {at + 1}; allowed is strictly rising or strictly falling"
        )


def _has(root: Group, where: str) -> bool:
    node: Node | None = root
    for name in where.split("/"):
        node = node.members.get(name) if isinstance(node, Group) else None
    return node is not None


def _optional(root: Group, where: str, missing: Any) -> NDArray[Any]:
    return array(root, where) if _has(root, where) else np.asarray(missing)


def _quantity(
    root: Group, where: str, factors: dict[str, float], missing: float | None = None
) -> NDArray[np.float64]:
    """Return the values at ``where`` in the package's unit."""
    if missing is not None and not _has(root, where):
        return exact(missing)
    node = member(root, where)
    if not isinstance(node, Dataset) or node.units not in factors:
        held = node.units if isinstance(node, Dataset) else ""
        raise ValueError(f"{where}: units = {held!r}; allowed {', '.join(factors)}")
    return exact(node.values) * factors[node.units]


def _each(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """One value per frame of the stack."""
    if values.size not in (1, n):
        raise ValueError(f"{values.size} values for {n} frames")
    return np.broadcast_to(values.ravel(), (n,))


def _monitor(root: Group) -> NDArray[np.float64]:
    where = "entry/control/data"
    if not _has(root, where):
        raise ValueError(f"{where} is missing: the incident photons of each frame (monitor)")
    values = exact(array(root, where))
    if not (values > 0).all():
        raise ValueError(f"{where}: {np.sum(~(values > 0))} frames have no photons; allowed > 0")
    return values


def _geometry(root: Group, poni: str | None) -> str:
    where = "entry/instrument/detector/pyfai_geometry/data"
    if poni is None and not _has(root, where):
        raise ValueError(f"{where} is missing: the text of a .poni file; give one beside the scan")
    return text_at(root, where) if poni is None else poni


def _mask(root: Group, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    held = _optional(root, "entry/instrument/detector/pixel_mask", np.zeros(shape))
    mask = np.asarray(held != 0)
    if mask.shape != tuple(shape):
        raise ValueError(f"pixel_mask: shape {mask.shape}; allowed {tuple(shape)}")
    return mask


def _name(root: Group) -> str:
    where = "entry/sample/name"
    return text_at(root, where) if _has(root, where) else "unnamed"
