"""From checked settings to a recovery's own: the only place that reads CIF names."""

from pathlib import Path

from xrdct_sim.config.experiment import PeakSettings, RecoverSettings
from xrdct_sim.physics.crystals import Structure, read_structure
from xrdct_sim.physics.material_files import load_structure
from xrdct_sim.recover.binning import BinningSettings, RingWindow, radial_bins
from xrdct_sim.recover.peaks import PeakWindow
from xrdct_sim.recover.phases import reference_area
from xrdct_sim.recover.settings import Channel, Peak, RecoverySettings, Reflection
from xrdct_sim.scanfile.nexus import naming


def recovery_settings(settings: RecoverSettings) -> RecoverySettings:
    """Settings of a recovery with structures read."""
    rings = {
        name: RingWindow(q_per_A=ring.q_per_A, background_per_A=ring.background_per_A)
        for name, ring in settings.rings.items()
    }
    binning = BinningSettings(
        q_min_per_A=settings.q_min_per_A,
        q_max_per_A=settings.q_max_per_A,
        n_q=settings.n_q,
        n_azimuth=settings.n_azimuth,
        rings=rings,
    )
    with naming("recover"):
        radial_bins(binning)
    reflections = {}
    for name, ring in settings.rings.items():
        structure = _structure(f"recover.rings.{name}", ring)
        if structure is not None and ring.hkl is not None:
            reflections[name] = Reflection(structure=structure, hkl=ring.hkl)
    return RecoverySettings(
        binning=binning,
        normalisation=settings.normalisation,
        engine=_engine(settings.engine),
        filter_name=settings.filter,
        rotation_axis_mm=settings.rotation_axis_mm,
        channels={
            name: Channel(q_per_A=one.q_per_A, background_per_A=one.background_per_A)
            for name, one in settings.channels.items()
        },
        peaks={
            name: Peak(
                window=PeakWindow(q_per_A=peak.q_per_A),
                structure=_structure(f"recover.peaks.{name}", peak),
                hkl=peak.hkl,
            )
            for name, peak in settings.peaks.items()
        },
        ring_reflections=reflections,
        solid_angle=settings.solid_angle,
    )


def check_reflections(settings: RecoverySettings, energy_keV: float) -> None:
    """Raise unless every reflection that a fraction is wanted from can be seen."""
    lines = {f"rings.{name}": line for name, line in settings.ring_reflections.items()}
    for name, peak in settings.peaks.items():
        if peak.structure is not None and peak.hkl is not None:
            lines[f"peaks.{name}"] = Reflection(structure=peak.structure, hkl=peak.hkl)
    for key, line in lines.items():
        with naming(f"recover.{key}"):
            reference_area(line.structure, line.hkl, energy_keV)


def _engine(name: str) -> str | tuple[str, str, str]:
    """Own histogram, or pyFAI's method written ``split,algorithm,implementation``."""
    parts = name.split(",")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else name


def _structure(key: str, line: PeakSettings) -> Structure | None:
    if bool(line.cif) != (line.hkl is not None):
        raise ValueError(f"{key}: cif and hkl: give both, for a volume fraction, or none")
    if not line.cif:
        return None
    try:
        if Path(line.cif).is_file():
            return read_structure(Path(line.cif))
        return load_structure(line.cif)
    except (ValueError, OSError) as error:
        raise ValueError(f"{key}.cif = {line.cif!r}: {error}") from None
