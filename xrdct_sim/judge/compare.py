"""A recovery laid beside the truth: pairs of maps on one grid, on one scale.

What scoring and reporting need, and nothing of how it came about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
MapKind = Literal[
    "phase",  # volume fraction of a material
    "channel",  # mean cross-section in a range of Q
    "peak_area",
    "peak_position",
    "peak_width",
    "texture_width",
    "texture_centre",
]


@dataclass(frozen=True, kw_only=True)
class MapPair:
    """One quantity over one slice, recovered and true; maps have shape (y, x)."""

    kind: MapKind
    title: str  # for people, e.g. "LiCoO2 003, azimuthal width"
    unit: str  # ASCII, e.g. "1/mm/sr"; "1" for a fraction, "rad" for angles
    recovered: FloatArray  # NaN where the recovery gave no value
    truth: FloatArray  # NaN where the quantity is not defined
    error_bar: FloatArray | None = None  # one standard deviation, as the recovery states it
    where: NDArray[np.bool_] | None = None  # voxels to be scored; None = where truth is finite


@dataclass(frozen=True, kw_only=True)
class VoxelProfile:
    """Azimuthal profile of one voxel on one ring, with its fit and the truth."""

    ring: str
    x_mm: float
    y_mm: float
    azimuth_rad: FloatArray  # pyFAI's chi
    profile: FloatArray  # 1/mm/sr/angstrom
    sigma: FloatArray
    fit: FloatArray | None  # None where the fit failed
    truth: FloatArray | None


@dataclass(frozen=True, kw_only=True)
class SliceComparison:
    """One slice."""

    label: str  # e.g. "slice 2"
    height_um: float  # of the beam in the sample
    x_mm: FloatArray
    y_mm: FloatArray
    maps: Mapping[str, MapPair]  # by name, e.g. "LiCoO2_003_width"
    profile: VoxelProfile | None = None


@dataclass(frozen=True, kw_only=True)
class RawFrame:
    """One detector frame, for the eye."""

    label: str  # where it was taken
    counts: NDArray[np.number]  # (rows, columns), row 0 at the bottom
    mask: NDArray[np.bool_]
    pixel_mm: tuple[float, float]
    ring_radius_mm: Mapping[str, float]  # rings to mark
    # Beam centre (row, column) from the outer corner of pixel (0, 0); None: the middle of the panel
    beam_mm: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A whole recovery beside its truth."""

    name: str
    slices: tuple[SliceComparison, ...]
    frame: RawFrame | None = None
    settings: Mapping[str, str] = field(default_factory=dict)  # name -> value, for the report
    provenance: Mapping[str, str] = field(default_factory=dict)
