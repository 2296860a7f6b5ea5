"""What a recovery is asked to do: one frozen value, with units; nothing in it knows the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xrdct_sim.physics.crystals import Structure
from xrdct_sim.recover.binning import BinningSettings, Window
from xrdct_sim.recover.least_squares import Solver
from xrdct_sim.recover.peaks import PeakWindow
from xrdct_sim.recover.texture import LobeSettings


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A range of Q averaged to one map; windows in 1/Å."""

    q_per_A: Window
    background_per_A: tuple[Window, ...] = ()  # their mean is taken off


@dataclass(frozen=True, kw_only=True)
class Reflection:
    """The reflection that a ring resolved in azimuth is, for a volume fraction."""

    structure: Structure
    hkl: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Peak:
    """A peak to fit, and the reflection it is, if a volume fraction is wanted."""

    window: PeakWindow
    structure: Structure | None = None
    hkl: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class RecoverySettings:
    """All choices of a recovery."""

    binning: BinningSettings = field(default_factory=BinningSettings)
    normalisation: str = "i0"  # or "transmission"
    solid_angle: bool = True  # divide by the pixels' relative solid angle
    engine: str | tuple[str, str, str] = "histogram"  # or a method of pyFAI, with frames only
    filter_name: str = "ramlak"
    rotation_axis_mm: float | None = None  # motor position; None = find it
    channels: Mapping[str, Channel] = field(default_factory=dict)
    peaks: Mapping[str, Peak] = field(default_factory=dict)
    ring_reflections: Mapping[str, Reflection] = field(default_factory=dict)  # by ring's name
    lobes: LobeSettings = field(default_factory=LobeSettings)
    solver: Solver = field(default_factory=Solver)
    n_threads: int = 2  # frames in work at a time
    channel_batch: int = 256  # channels reconstructed at a time: memory against speed
