"""Settings of a run, each with its unit, bounds and meaning; checked when they are read.

Degrees, um and eV are the user's units and stand in the names; the rest of the package converts.
"""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from xrdct_sim.instrument.accuracy import Accuracy
from xrdct_sim.instrument.effects import Effects

Number = Annotated[float, Strict()]
Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Range = tuple[Number, Number]
PYFAI_METHODS = (
    ("no", "bbox", "pseudo", "full"),
    ("histogram", "lut", "csr", "csc"),
    ("python", "cython", "opencl"),
)
"""How pyFAI splits pixels, by which algorithm, in which implementation."""
LEAST_PEAK_BINS = 6
"""Radial bins in a peak's window: one more than its fit has parameters."""


def _setting(default: Any, doc: str, low: float | None = None, high: float | None = None) -> Any:
    """Return a field with bounds, both included, and its meaning."""
    return Field(default, ge=low, le=high, description=doc)


class Settings(BaseModel):
    """Frozen; a key that is not known is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class BeamSettings(Settings):
    """The incident beam."""

    energy_keV: Number = _setting(69.95, "photon energy", 10, 200)
    bandwidth_eV_fwhm: Number = _setting(300.0, "spectral width (Gaussian, FWHM)", 0, 5000)
    width_um: Number = _setting(50.0, "horizontal width (box, slits)", 0.1, 2000)
    height_um_fwhm: Number = _setting(50.0, "vertical height (Gaussian, FWHM)", 0.1, 2000)
    flux_per_s: Number = _setting(5e11, "photons per second in the beam", 1, 1e16)
    polarisation: Number = _setting(0.96, "pyFAI's factor 2p - 1, p the horizontal share", -1, 1)


class DetectorSettings(Settings):
    """The detector, its place and its sensor."""

    name: str = _setting("Perkin", "any of pyFAI's detector names")
    kind: Literal["counting"] = _setting("counting", "how it detects")
    binning: Count = _setting(1, "pixels added up along each side", 1, 16)
    poni: str = _setting("", "PONI file with the geometry; none = from the values below")
    distance_mm: Number = _setting(260.0, "rotation axis to point of normal incidence", 10, 10000)
    poni1_mm: Number | None = Field(
        default=None,
        ge=-5000,
        le=5000,
        description="that point, slow axis; none = the panel's middle",
    )
    poni2_mm: Number | None = Field(
        default=None,
        ge=-5000,
        le=5000,
        description="that point, fast axis; none = the panel's middle",
    )
    rot1_deg: Number = _setting(0.0, "pyFAI's rot1", -60, 60)
    rot2_deg: Number = _setting(0.0, "pyFAI's rot2", -60, 60)
    rot3_deg: Number = _setting(0.0, "pyFAI's rot3", -180, 180)
    sensor_material: str = _setting("CsI", "chemical formula of the sensor")
    sensor_density_g_cm3: Number = _setting(3.608, "density, packing included (CsI: 0.8)", 0.1, 25)
    sensor_thickness_um: Number = _setting(500.0, "thickness of the sensor", 1, 10000)
    psf_fwhm_mm: Number = _setting(0.3, "point spread (Gaussian, FWHM)", 0, 5)
    dark_per_s: Number = _setting(0.01, "dark counts per second and unbinned pixel", 0, 1e6)
    beamstop_diameter_mm: Number = _setting(2.0, "diameter of the beamstop", 0, 50)
    beamstop_distance_mm: Number = _setting(40.0, "beamstop behind the rotation axis", 1, 5000)

    @model_validator(mode="after")
    def _both_or_none(self) -> "DetectorSettings":
        if (self.poni1_mm is None) != (self.poni2_mm is None):
            raise ValueError(
                f"poni1_mm = {self.poni1_mm}, poni2_mm = {self.poni2_mm}: allowed is both or none"
            )
        return self


class ScanSettings(Settings):
    """Where the sample is moved and how long it is exposed."""

    n_translations: Count = _setting(200, "translations across the beam", 2, 5000)
    step_um: Number = _setting(50.0, "distance of two translations", 0.1, 2000)
    n_rotations: Count = _setting(120, "rotations", 2, 10000)
    range_deg: Number = _setting(180.0, "angle over which they are spread", 1, 720)
    endpoint: Switch = _setting(False, "whether the last rotation is at the end of the range")
    slice_heights_um: tuple[Number, ...] = Field(
        default=(-70.0, 0.0, 70.0, 140.0, 210.0),
        description="heights in the sample that the beam crosses, rising",
    )
    order: Literal["translation_fast", "rotation_fast", "zigzag"] = _setting(
        "translation_fast", "order of the frames; zigzag: translations fast, to and fro"
    )
    exposure_s: Number = _setting(0.1, "exposure of a frame", 1e-6, 1e4)
    n_dark: Count = _setting(100, "dark frames of the same exposure", 0, 100000)

    @field_validator("slice_heights_um")
    @classmethod
    def _rising(cls, heights: tuple[float, ...]) -> tuple[float, ...]:
        if not heights or any(b <= a for a, b in pairwise(heights)):
            raise ValueError("allowed is a strictly rising list of one or more")
        return heights


def _rising_range(q_per_A: Range) -> Range:
    if not 0 < q_per_A[0] < q_per_A[1] < 60:
        raise ValueError("allowed is [low, high] with 0 < low < high < 60 1/angstrom")
    return q_per_A


class RangeSettings(Settings):
    """A range of Q."""

    q_per_A: Range = Field(description="from, to in 1/angstrom")

    @field_validator("q_per_A")
    @classmethod
    def _range(cls, q_per_A: Range) -> Range:
        return _rising_range(q_per_A)


class WindowSettings(RangeSettings):
    """A range of Q around a ring, and the ranges beside it that hold only background."""

    background_per_A: tuple[Range, ...] = _setting((), "ranges of background, 1/angstrom")

    @field_validator("background_per_A")
    @classmethod
    def _ranges(cls, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        return tuple(_rising_range(q_per_A) for q_per_A in ranges)


class PeakSettings(RangeSettings):
    """The range in which a peak is fitted, over a line; which reflection and phase it is."""

    cif: str = _setting("", "structure, a CIF shipped with the package or a file")
    hkl: tuple[Count, Count, Count] | None = Field(default=None, description="Miller indices")
    material: str = _setting("", "name of the phase in the report")


class RingSettings(WindowSettings, PeakSettings):
    """A ring resolved in azimuth: its window, the background beside it, which reflection it is."""


class RecoverSettings(Settings):
    """Integration, reconstruction and fits."""

    q_min_per_A: Number = _setting(0.3, "lower end of the radial bins", 0.001, 60)
    q_max_per_A: Number = _setting(23.5, "upper end of the radial bins", 0.01, 60)
    n_q: Count = _setting(2000, "radial bins of equal width", 10, 20000)
    n_azimuth: Count = _setting(72, "sectors of the whole circle", 4, 720)
    normalisation: Literal["i0", "transmission"] = _setting(
        "i0", "by the incident photons, or by those through the sample onto the beamstop diode"
    )
    filter: Literal["ramlak", "hann", "shepp-logan", "cosine", "hamming"] = _setting(
        "ramlak", "filter of the back-projection"
    )
    engine: str = _setting(
        "histogram", "own sums without pixel splitting, or pyFAI's method: split,algorithm,code"
    )
    solid_angle: Switch = _setting(True, "whether to divide by the pixels' relative solid angle")
    rotation_axis_mm: Number | None = Field(
        default=None, ge=-1000, le=1000, description="motor position of the axis; none = find it"
    )
    rings: dict[str, RingSettings] = _setting({}, "rings resolved in azimuth")
    channels: dict[str, WindowSettings] = _setting({}, "ranges of Q summed into one map each")
    peaks: dict[str, PeakSettings] = _setting({}, "peaks fitted with a Gaussian in each voxel")

    @field_validator("engine")
    @classmethod
    def _method(cls, engine: str) -> str:
        parts = engine.split(",")
        known = len(parts) == len(PYFAI_METHODS)
        if engine != "histogram" and not (
            known and all(p in names for p, names in zip(parts, PYFAI_METHODS, strict=True))
        ):
            choices = ", then ".join("/".join(names) for names in PYFAI_METHODS)
            raise ValueError(
                f"allowed is histogram, or a method such as bbox,csr,cython: {choices}"
            )
        return engine

    @model_validator(mode="after")
    def _ordered(self) -> "RecoverSettings":
        if not self.q_min_per_A < self.q_max_per_A:
            raise ValueError(
                f"q_max_per_A = {self.q_max_per_A}: allowed is above q_min_per_A "
                f"= {self.q_min_per_A}"
            )
        return self

    @model_validator(mode="after")
    def _windows(self) -> "RecoverSettings":
        for table, least in (("rings", 1), ("channels", 1), ("peaks", LEAST_PEAK_BINS)):
            for name, window in getattr(self, table).items():
                self._check_window(f"{table}.{name}.q_per_A", window.q_per_A, least)
                for beside in getattr(window, "background_per_A", ()):
                    self._check_window(f"{table}.{name}.background_per_A", beside, 1)
        return self

    def _check_window(self, key: str, window: Range, least: int) -> None:
        """Within the radial bins, and so wide that enough of their centres are inside."""
        low, high = self.q_min_per_A, self.q_max_per_A
        if not low <= window[0] < window[1] <= high:
            raise ValueError(
                f"{key} = {list(window)}: allowed is within q_min_per_A to q_max_per_A, "
                f"{low:g} to {high:g} 1/angstrom"
            )
        step = (high - low) / self.n_q
        first, last = ((end - low) / step - 0.5 for end in window)
        held = math.floor(last) - math.ceil(first) + 1
        if held < least:
            raise ValueError(
                f"{key} = {list(window)}: holds {held} of the radial bins, {step:.3g} 1/angstrom "
                f"wide (n_q = {self.n_q}); allowed is {least} or more"
            )


class PhantomSettings(Settings):
    """Which phantom, and all its parameters by dotted name."""

    name: str = Field(description="a phantom shipped with the package, or a TOML file")
    parameters: dict[str, Any] = _setting({}, "values by name, as the phantom's file defines them")


class RunSettings(Settings):
    """Everything that determines a run."""

    schema_version: Literal[1] = Field(
        default=1, alias="schema", description="version of this layout"
    )
    preset: str = _setting("", "experiment these settings started from")
    seed: Count = _setting(1, "of all counting noise", 0, 2**63 - 1)
    phantom: PhantomSettings
    beam: BeamSettings = BeamSettings()
    detector: DetectorSettings = DetectorSettings()
    scan: ScanSettings = ScanSettings()
    effects: Effects = Effects()
    accuracy: Accuracy = Accuracy()
    recover: RecoverSettings = RecoverSettings()

    @field_validator("effects", "accuracy", mode="before")
    @classmethod
    def _typed(cls, given: Any, info: ValidationInfo) -> Any:
        """Values of the defaults' own types: no text for a number, no number for a switch."""
        defaults = vars(Effects() if info.field_name == "effects" else Accuracy())
        for key, value in given.items() if isinstance(given, dict) else ():
            own = type(defaults.get(key, value))
            fits = type(value) is own or (own is float and type(value) is int)
            if not fits:
                words = {bool: "true or false", int: "a whole number"}.get(own, "a number")
                raise ValueError(f"{key} = {value!r}: allowed is {words}")
        return given

    @field_validator("accuracy")
    @classmethod
    def _positive(cls, accuracy: Accuracy) -> Accuracy:
        for key, value in vars(accuracy).items():
            if not value > 0:
                raise ValueError(f"{key} = {value}: allowed is above 0")
        return accuracy


EXPERIMENT_KEYS = frozenset(RunSettings.model_fields) - {"schema_version", "phantom", "preset"}
"""First keys that set the experiment; any other first key sets the phantom."""
