"""What a scan's file says beside its frames: from a `ScanInfo` to a NeXus tree.

The NXtomo fields (SI units, one position per frame) are what other programs read. The collection
`scan` repeats what a `ScanInfo` needs in the package's own units, so that it comes back to the last
bit (`record` reads it).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrdct_sim.instrument.geometry import read_poni
from xrdct_sim.physics.constants import HC_KEV_A
from xrdct_sim.scanfile.nexus import Group, Link, Node, data_group, dataset
from xrdct_sim.scanfile.scan import ScanInfo

FRAMES = "entry/instrument/detector/data"
SCHEMA = 1


def scan_header(info: ScanInfo, started: str) -> Group:
    """Return everything in a scan's file but the frames and the time they were done."""
    positions = {
        "rotation_angle": dataset(np.rad2deg(info.rotations_rad[info.place[:, 2]]), "degree"),
        "x_translation": dataset(1e-3 * info.translations_mm[info.place[:, 1]], "m"),
        "z_translation": dataset(1e-3 * info.heights_mm[info.place[:, 0]], "m"),
    }
    shown = {
        "data": Link(target=f"/{FRAMES}"),
        "image_key": Link(target="/entry/instrument/detector/image_key"),
        **{name: Link(target=f"/entry/sample/{name}") for name in positions},
    }
    entry: dict[str, Node] = {
        "definition": dataset("NXtomo"),
        "title": dataset(f"X-ray diffraction tomography of {info.name}"),
        "start_time": dataset(started),
        # Photons; nxtomo converts to ampere and nxvalidate wants a unit: "A" satisfies both.
        "control": Group(
            nx_class="NXmonitor", members={"data": dataset(exact(info.monitor_photons), "A")}
        ),
        "instrument": Group(nx_class="NXinstrument", members=_instrument(info)),
        "sample": Group(nx_class="NXsample", members={"name": dataset(info.name), **positions}),
        "data": data_group(
            shown,
            signal="data",
            axes=(".", ".", "."),
            attributes={f"{name}_indices": 0 for name in shown if name != "data"},
        ),
        "scan": Group(nx_class="NXcollection", members=_record(info)),
    }
    return Group(
        nx_class="NXroot",
        # fabio chooses its reader by the creator: it must not start with LIMA or pyFAI.
        attributes={"default": "entry", "creator": "xrdct_sim", "file_time": started},
        members={"entry": Group(nx_class="NXentry", attributes={"default": "data"}, members=entry)},
    )


def exact(values: ArrayLike) -> NDArray[np.float64]:
    """Return values in double precision, as all of a record is stored."""
    return np.asarray(values, dtype=np.float64)


def _instrument(info: ScanInfo) -> dict[str, Node]:
    geometry = read_poni(info.poni, info.shape)
    energy = dataset(exact(info.energy_keV), "keV")
    wavelength = dataset(exact(HC_KEV_A / info.energy_keV), "angstrom")
    note = {
        "type": dataset("text/plain"),
        "file_name": dataset("geometry.poni"),
        "data": dataset(info.poni),
    }
    detector: dict[str, Node] = {
        "image_key": dataset(np.zeros(info.n_frames, dtype=np.int32)),
        "count_time": dataset(exact(info.exposure_s), "s"),
        "x_pixel_size": dataset(exact(geometry.detector.pixel2), "m"),
        "y_pixel_size": dataset(exact(geometry.detector.pixel1), "m"),
        "distance": dataset(exact(geometry.dist), "m"),
        "pixel_mask": dataset(np.asarray(info.mask, dtype=np.uint8)),
        "pyfai_geometry": Group(nx_class="NXnote", members=note),
    }
    return {
        "name": dataset("XRD-CT"),
        "source": Group(
            nx_class="NXsource",
            members={
                "name": dataset(info.provenance.get("source", "unknown")),
                "type": dataset("Synchrotron X-ray Source"),
                "probe": dataset("x-ray"),
            },
        ),
        "beam": Group(
            nx_class="NXbeam",
            members={
                "incident_energy": energy,
                "incident_wavelength": wavelength,
                "extent": dataset(1e-3 * exact(info.beam_mm), "m"),
            },
        ),
        "monochromator": Group(
            nx_class="NXmonochromator", members={"energy": energy, "wavelength": wavelength}
        ),
        "detector": Group(nx_class="NXdetector", members=detector),
    }


def _record(info: ScanInfo) -> dict[str, Node]:
    """Whatever of a `ScanInfo` the standard fields do not hold to the last bit."""
    fast_is_translation = info.n_frames < 2 or info.place[0, 1] != info.place[1, 1]
    slow, fast = "rotation_angle", "x_translation"
    record: dict[str, Node] = {
        "schema": dataset(np.asarray(SCHEMA)),
        "shape": dataset(np.asarray(info.grid_shape)),
        "slow": dataset(slow if fast_is_translation else fast),
        "fast": dataset(fast if fast_is_translation else slow),
        "place": dataset(np.asarray(info.place, dtype=np.int64)),
        "heights": dataset(exact(info.heights_mm), "mm"),
        "translations": dataset(exact(info.translations_mm), "mm"),
        "rotations": dataset(exact(info.rotations_rad), "rad"),
        "energy": dataset(exact(info.energy_keV), "keV"),
        "bandwidth": dataset(exact(info.bandwidth_keV), "keV"),
        "beam": dataset(exact(info.beam_mm), "mm"),
        "polarisation": dataset(exact(info.polarisation)),
        "dark_counts": dataset(exact(info.dark_counts), "counts"),
        "dark_exposure": dataset(exact(info.dark_exposure_s), "s"),
        "provenance": Group(
            nx_class="NXcollection",
            members={key: dataset(value) for key, value in info.provenance.items()},
        ),
    }
    if info.diode_photons is not None:
        record["diode"] = dataset(exact(info.diode_photons), "counts")
    if info.sensor is not None:
        sensor = {
            "material": dataset(info.sensor.material),
            "density": dataset(exact(info.sensor.density_g_cm3), "g/cm^3"),
            "thickness": dataset(exact(info.sensor.thickness_mm), "mm"),
        }
        record["sensor"] = Group(nx_class="NXcollection", members=sensor)
    return record
