"""A scan as recovery sees it: what was recorded, and how to get a frame; simulated or measured.

Left out: anything about the sample itself. Truth cannot pass through here.

Conventions (lab frame): x along the beam, y horizontal across it, z up = rotation axis.
Sample point ``s`` stands in the lab at ``R_z(rotation) s + (0, translation, height)``; the beam
stays at y = z = 0. A feature at sample (x0, y0) is therefore lit at rotation 0 when
translation = -y0, and the beam crosses the sample plane ``z = -height``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """Absorbing layer of the detector, as needed to correct its efficiency."""

    material: str  # chemical formula, e.g. "CsI", "CdTe", "Si"
    density_g_cm3: float
    thickness_mm: float


@dataclass(frozen=True, kw_only=True)
class ScanInfo:
    """Everything recorded beside the frames; arrays of length n_frames follow the frame order.

    ``place[i] = (slice, translation index, rotation index)`` folds the flat list of frames onto
    the grid ``heights_mm x translations_mm x rotations_rad``, for any order of acquisition.
    """

    name: str
    heights_mm: FloatArray  # (n_slices,) motor position z of the sample
    translations_mm: FloatArray  # (n_translations,) motor position y of the sample
    rotations_rad: FloatArray  # (n_rotations,)
    place: NDArray[np.intp]  # (n_frames, 3)
    exposure_s: FloatArray  # (n_frames,)
    monitor_photons: FloatArray  # (n_frames,) incident photons during the exposure
    diode_photons: (
        FloatArray | None
    )  # (n_frames,) photons through the sample onto the beamstop diode
    energy_keV: float
    bandwidth_keV: float  # FWHM
    beam_mm: tuple[float, float]  # horizontal (box), vertical (Gaussian FWHM)
    polarisation: float  # pyFAI's factor f = 2p - 1, p the horizontal fraction
    poni: str  # full text of a .poni file: geometry, detector, wavelength
    shape: tuple[int, int]  # (rows, columns) of a frame
    mask: NDArray[np.bool_]  # (rows, columns), True = do not use
    dark_counts: FloatArray  # (rows, columns), summed over dark_exposure_s
    dark_exposure_s: float  # total exposure of the dark frames; 0 = none taken
    sensor: Sensor | None  # None: efficiency unknown, taken as 1
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Number of frames in the scan."""
        return len(self.place)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(slices, translations, rotations)."""
        return len(self.heights_mm), len(self.translations_mm), len(self.rotations_rad)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A scan: its record and a way to get frame ``i`` (rows, columns), in counts.

    ``frame`` is called from several threads. Where frames are computed together, ``visit`` is the
    order in which they come quickest, ``(n_frames,)``; None = any.
    """

    info: ScanInfo
    frame: Callable[[int], NDArray[Any]]
    visit: NDArray[np.intp] | None = None

    def order(self) -> list[int]:
        """Frames in the order in which they are best asked for."""
        return list(range(self.info.n_frames)) if self.visit is None else self.visit.tolist()
