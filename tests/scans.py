"""A small scan for tests, with numbers that are no round binary fractions."""

import dataclasses

import numpy as np

from xrdct_sim.instrument.geometry import write_poni
from xrdct_sim.scanfile.scan import Scan, ScanInfo, Sensor

SHAPE = (195, 487)  # of a Pilatus 100k
HEIGHTS_MM = np.array([0.07, 0.0])
TRANSLATIONS_MM = (np.arange(4) - 1.5) * 0.05
ROTATIONS_RAD = np.arange(3) * np.pi / 3
ORDERS = ("translation_fast", "rotation_fast", "zigzag")


def places(order: str, shape: tuple[int, int, int]) -> np.ndarray:
    """List (slice, translation, rotation) in order of acquisition."""
    n_heights, n_translations, n_rotations = shape
    rows = []
    for s in range(n_heights):
        slow, fast = (n_translations, n_rotations)[:: 1 if order == "rotation_fast" else -1]
        for i in range(slow):
            line = range(fast)[:: -1 if order == "zigzag" and i % 2 else 1]
            rows += [(s, i, j) if order == "rotation_fast" else (s, j, i) for j in line]
    return np.array(rows, dtype=np.intp)


def make_scan(order: str = "translation_fast", **changes: object) -> Scan:
    """Return a small scan whose numbers are no round binary fractions."""
    place = places(order, (2, 4, 3))
    n = len(place)
    draw = np.random.default_rng(3)
    info = ScanInfo(
        name="cell",
        heights_mm=HEIGHTS_MM,
        translations_mm=TRANSLATIONS_MM,
        rotations_rad=ROTATIONS_RAD,
        place=place,
        exposure_s=np.full(n, 0.1),
        monitor_photons=5e10 * draw.uniform(0.9, 1.1, n),
        diode_photons=1e10 * draw.uniform(size=n),
        energy_keV=69.95,
        bandwidth_keV=0.3,
        beam_mm=(0.05, 0.05),
        polarisation=0.96,
        poni=write_poni(detector="Pilatus100k", distance_mm=260.0, energy_keV=69.95),
        shape=SHAPE,
        mask=draw.uniform(size=SHAPE) > 0.9,
        dark_counts=draw.poisson(1.0, SHAPE).astype(float),
        dark_exposure_s=0.7,
        sensor=Sensor(material="CsI", density_g_cm3=4.51 * 0.8, thickness_mm=0.5),
        provenance={"source": "simulated", "config": 'name = "µ"\n'},
    )
    info = dataclasses.replace(info, **changes)

    def frame(index: int) -> np.ndarray:
        return np.random.default_rng(index).poisson(3.0, SHAPE).astype(np.uint32)

    return Scan(info=info, frame=frame)


def assert_same_info(one: ScanInfo, two: ScanInfo) -> None:
    """Every field equal, to the last bit."""
    for field in dataclasses.fields(ScanInfo):
        first, second = getattr(one, field.name), getattr(two, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype, field.name
            assert first.tobytes() == second.tobytes(), field.name
        else:
            assert first == second, field.name
