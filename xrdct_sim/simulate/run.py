"""A simulated scan: frames on demand, in any order, always with the same bits.

The only composer of the forward model. A frame belongs to a block (one height, one rotation, all
translations of the grid) whose rays are computed together in one fixed shape; the few blocks
used last are kept. Expected counts are deterministic; the noise of frame i is keyed by (seed, i).
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.instrument.noise import poisson
from xrdct_sim.sample.phantom import Phantom
from xrdct_sim.scanfile.scan import Scan, ScanInfo, Sensor
from xrdct_sim.simulate.layout import Layout
from xrdct_sim.simulate.model import Block, Prepared, frame_of_block, prepare, trace_block
from xrdct_sim.simulate.tables import MaterialTable

FloatArray = NDArray[np.floating]
FRAME_NOISE, DARK_NOISE, CELL_NOISE = 0, 1, 2
"""Purposes that key the random numbers."""

ORDERS = ("translation_fast", "rotation_fast", "zigzag")
KEPT_BLOCKS = 3


@dataclass(frozen=True, kw_only=True)
class ScanPlan:
    """Where the sample goes, in which order, and how long each frame is exposed."""

    heights_mm: FloatArray  # (n_slices,) motor position z
    translations_mm: FloatArray  # (n_translations,) motor position y, ascending
    rotations_rad: FloatArray  # (n_rotations,)
    exposure_s: float
    order: str = "translation_fast"
    n_dark: int = 10  # dark frames of the same exposure
    seed: int = 0

    def place(self) -> NDArray[np.intp]:
        """Grid place (slice, translation, rotation) of each frame in order, ``(n_frames, 3)``."""
        if self.order not in ORDERS:
            raise ValueError(f"scan.order = {self.order!r}: must be one of {', '.join(ORDERS)}")
        shape = len(self.heights_mm), len(self.translations_mm), len(self.rotations_rad)
        slices, translations, rotations = np.indices(shape)
        if self.order == "rotation_fast":
            order = (0, 1, 2)
        else:
            order = (0, 2, 1)
        grid = np.stack([a.transpose(order) for a in (slices, translations, rotations)], axis=-1)
        if self.order == "zigzag":
            grid[:, 1::2] = grid[:, 1::2, ::-1].copy()
        return grid.reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A phantom in a beam in front of a detector, with the plan of a scan."""

    name: str
    phantom: Phantom
    beam: Beam
    detector: Detector
    tables: tuple[MaterialTable, ...]
    layout: Layout
    plan: ScanPlan
    poni: str
    sensor: Sensor
    gaps: NDArray[np.bool_]  # (rows, columns) where the detector has no pixel
    noise: bool = True  # False: frames hold expected counts
    provenance: Mapping[str, str] = field(default_factory=dict)


class SimulatedScan:
    """Frames of an experiment, lazily; safe to use from several threads."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._prepared: Prepared = prepare(
            experiment.tables,
            experiment.phantom.materials,
            experiment.beam,
            experiment.detector,
            experiment.layout,
        )
        self._place = experiment.plan.place()
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def prepared(self) -> Prepared:
        """Patterns and pixels."""
        return self._prepared

    @property
    def experiment(self) -> Experiment:
        """What is simulated."""
        return self._experiment

    @property
    def dark_mean(self) -> float:
        """Dark counts of a pixel in one exposure."""
        e = self._experiment
        return float(e.layout.effects.dark * e.detector.dark_per_s * e.plan.exposure_s)

    def block(self, height_index: int, rotation_index: int) -> Block:
        """Profiles of all translations at one height and rotation."""
        key = (height_index, rotation_index)
        with self._lock:
            if key not in self._blocks:
                e, plan = self._experiment, self._experiment.plan
                self._blocks[key] = trace_block(
                    e.phantom,
                    e.beam,
                    self._prepared,
                    np.asarray(plan.translations_mm, np.float32),
                    np.float32(plan.rotations_rad[rotation_index]),
                    np.float32(plan.heights_mm[height_index]),
                    np.float32(plan.exposure_s),
                    e.layout,
                )
                if len(self._blocks) > KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(key)
            return self._blocks[key]

    def expected(self, frame: int) -> NDArray[np.float32]:
        """Expected counts of a frame, ``(rows, columns)``, detector gaps 0."""
        e = self._experiment
        height, translation, rotation = (int(k) for k in self._place[frame])
        counts = frame_of_block(
            self.block(height, rotation), translation, self._prepared, self.dark_mean, e.layout
        )
        image = np.asarray(counts, np.float32).reshape(e.detector.shape)
        return np.where(e.gaps, np.float32(0), image)

    def frame(self, frame: int) -> NDArray[Any]:
        """Counts of a frame, ``(rows, columns)``; expected counts (float) if noise is off."""
        mean = self.expected(frame)
        if not self._experiment.noise:
            return mean
        seed = self._experiment.plan.seed
        return poisson(mean, seed=seed, frame=frame, purpose=FRAME_NOISE)

    def transmission(self) -> NDArray[np.float64]:
        """Transmission of the ray of each frame, ``(n_frames,)``."""
        through = np.empty(len(self._place))
        for key in np.unique(self._place[:, [0, 2]], axis=0):
            here = np.all(self._place[:, [0, 2]] == key, axis=1)
            block = self.block(int(key[0]), int(key[1]))
            through[here] = np.asarray(block.transmission, float)[self._place[here, 1]]
        return through

    def dark(self) -> NDArray[np.float64]:
        """Dark frames added up, ``(rows, columns)``."""
        e = self._experiment
        mean = np.full(e.detector.shape, self.dark_mean * e.plan.n_dark, np.float32)
        mean = np.where(e.gaps, np.float32(0), mean)
        if not e.noise:
            return mean.astype(float)
        return poisson(mean, seed=e.plan.seed, frame=0, purpose=DARK_NOISE).astype(float)

    def visiting_order(self) -> NDArray[np.intp]:
        """Frames sorted by block, the quickest order to compute them in."""
        return np.lexsort((self._place[:, 1], self._place[:, 2], self._place[:, 0]))

    def info(self) -> ScanInfo:
        """The scan's record, as a beamline would have written it."""
        e, plan, effects = self._experiment, self._experiment.plan, self._experiment.layout.effects
        count = len(self._place)
        photons = np.full(count, float(e.beam.flux_per_s) * plan.exposure_s)
        return ScanInfo(
            name=e.name,
            heights_mm=np.asarray(plan.heights_mm, float),
            translations_mm=np.asarray(plan.translations_mm, float),
            rotations_rad=np.asarray(plan.rotations_rad, float),
            place=self._place,
            exposure_s=np.full(count, plan.exposure_s),
            monitor_photons=photons,
            diode_photons=photons * self.transmission(),
            energy_keV=e.beam.energy_keV,
            bandwidth_keV=float(e.beam.bandwidth_keV),
            beam_mm=(float(e.beam.width_mm), float(e.beam.height_fwhm_mm)),
            polarisation=float(e.beam.polarisation) * effects.polarisation,
            poni=e.poni,
            shape=e.detector.shape,
            mask=e.gaps | self._shadow(),
            dark_counts=self.dark(),
            dark_exposure_s=plan.n_dark * plan.exposure_s,
            sensor=e.sensor if effects.efficiency else None,
            provenance=e.provenance,
        )

    def _shadow(self) -> NDArray[np.bool_]:
        """Pixels behind the beamstop and those beside them that its blurred edge reaches."""
        e = self._experiment
        if not e.layout.effects.beamstop:
            return np.zeros(e.detector.shape, bool)
        dark = np.asarray(self._prepared.pixels.weight).reshape(e.detector.shape) == 0
        grown = dark.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                grown |= np.roll(dark, step, axis=axis)
        return np.asarray(grown, bool)

    def scan(self) -> Scan:
        """The scan as recovery sees it."""
        return Scan(info=self.info(), frame=self.frame, visit=self.visiting_order())
