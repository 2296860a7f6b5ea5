"""From checked settings to an experiment that can be simulated: the units' one crossing.

Degrees, um and eV of the settings become rad, mm and keV here and nowhere else.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from xrdct_sim import __version__
from xrdct_sim.config.experiment import RunSettings
from xrdct_sim.config.layers import nested
from xrdct_sim.config.phantoms import load_phantom_spec
from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.instrument.geometry import (
    detector_mask,
    detector_size,
    pixel_geometry,
    read_poni,
    write_poni,
)
from xrdct_sim.physics.atoms import mass_fractions
from xrdct_sim.physics.material_files import load_material, material_names
from xrdct_sim.physics.materials import Material, attenuation_per_mm, pure_parts
from xrdct_sim.sample.families import build_phantom
from xrdct_sim.sample.phantom import Phantom
from xrdct_sim.scanfile.nexus import naming
from xrdct_sim.scanfile.scan import Sensor
from xrdct_sim.simulate.model import plan
from xrdct_sim.simulate.run import Experiment, ScanPlan

UM = 1e-3
DEGREE = np.pi / 180
MM_PER_M = 1e3


def pure_materials() -> dict[str, Material]:
    """All pure materials that ship with the package."""
    loaded = [load_material(name) for name in material_names()]
    return {one.name: one for one in loaded if isinstance(one, Material)}


def sensor_of(settings: RunSettings) -> Sensor:
    """The detector's sensor."""
    detector = settings.detector
    return Sensor(
        material=detector.sensor_material,
        density_g_cm3=detector.sensor_density_g_cm3,
        thickness_mm=detector.sensor_thickness_um * UM,
    )


def phantom_of(settings: RunSettings, pure: Mapping[str, Material]) -> Phantom:
    """The phantom with its parameters."""
    spec = load_phantom_spec(settings.phantom.name)
    composition = {
        name: {part.name: share for part, share in pure_parts(load_material(name))}
        for name in material_names()
    }
    parameters = nested(settings.phantom.parameters)
    _check_materials(spec.name, settings.phantom.parameters, composition)
    densities = {name: material.density_g_cm3 for name, material in pure.items()}
    with naming(f"phantom {spec.name}"):
        try:
            return build_phantom(spec.family, parameters, composition, densities)
        except KeyError as missing:
            raise ValueError(f"{missing} is missing; family {spec.family} needs it") from None


def _check_materials(
    phantom: str, parameters: Mapping[str, object], known: Mapping[str, object]
) -> None:
    """Every parameter that names a material names one that exists."""
    for key, value in parameters.items():
        if key.endswith("material"):
            try:
                load_material(str(value))
            except ValueError as error:
                problem = str(error).split(": ", 1)[-1]
                raise ValueError(f"phantom {phantom}: {key} = {value!r}: {problem}") from None
            if value not in known:
                raise ValueError(f"phantom {phantom}: {key} = {value!r}: no such material")


def poni_of(settings: RunSettings) -> str:
    """PONI text: the file that is named, or one made from the settings."""
    wanted, energy = settings.detector, settings.beam.energy_keV
    if wanted.poni:
        shape, _ = detector_size(wanted.name, binning=wanted.binning)
        with naming(wanted.poni):
            text = Path(wanted.poni).read_text(encoding="utf-8")
            record = read_poni(text, shape)
        found = float(record.energy)
        if abs(found / energy - 1) > 1e-4:
            raise ValueError(
                f"{wanted.poni}: Wavelength: is that of {found:.6g} keV, "
                f"beam.energy_keV = {energy:g} (they may differ by 1e-4)"
            )
        return text
    _, pixel = detector_size(wanted.name, binning=wanted.binning)
    centre = None
    if wanted.poni1_mm is not None and wanted.poni2_mm is not None:
        centre = (wanted.poni1_mm / pixel[0], wanted.poni2_mm / pixel[1])
    return write_poni(
        detector=wanted.name,
        distance_mm=wanted.distance_mm,
        energy_keV=energy,
        binning=wanted.binning,
        beam_centre_pixel=centre,
        rotations_rad=(
            wanted.rot1_deg * DEGREE,
            wanted.rot2_deg * DEGREE,
            wanted.rot3_deg * DEGREE,
        ),
    )


def detector_of(settings: RunSettings, poni: str, sensor: Material) -> Detector:
    """The panel of a PONI text with the sensor's properties."""
    wanted = settings.detector
    geometry = pixel_geometry(poni)
    record = read_poni(poni)
    return Detector(
        distance_mm=geometry.distance_mm,
        poni_mm=np.array([record.poni1, record.poni2]) * MM_PER_M,
        rotations_rad=np.array([record.rot1, record.rot2, record.rot3]),
        plane_mm=geometry.plane_mm.astype(np.float32),
        pixel_mm=geometry.pixel_mm,
        shape=geometry.shape,
        sensor_mu_per_mm=attenuation_per_mm(sensor, settings.beam.energy_keV),
        sensor_thickness_mm=wanted.sensor_thickness_um * UM,
        psf_fwhm_mm=wanted.psf_fwhm_mm,
        dark_per_s=wanted.dark_per_s * wanted.binning**2,
        beamstop_radius_mm=wanted.beamstop_diameter_mm / 2,
        beamstop_distance_mm=wanted.beamstop_distance_mm,
    )


def scan_plan_of(settings: RunSettings) -> ScanPlan:
    """Motor positions: a beam at height z in the sample needs the motor at -z."""
    scan = settings.scan
    span = scan.range_deg * DEGREE
    steps = scan.n_rotations - 1 if scan.endpoint else scan.n_rotations
    centre = (scan.n_translations - 1) / 2
    return ScanPlan(
        heights_mm=-np.asarray(scan.slice_heights_um) * UM,
        translations_mm=(np.arange(scan.n_translations) - centre) * scan.step_um * UM,
        rotations_rad=np.arange(scan.n_rotations) * (span / steps),
        exposure_s=scan.exposure_s,
        order=scan.order,
        n_dark=scan.n_dark,
        seed=settings.seed,
    )


def build_experiment(settings: RunSettings, provenance: Mapping[str, str]) -> Experiment:
    """Everything that a simulation needs."""
    pure = pure_materials()
    phantom = phantom_of(settings, pure)
    record = sensor_of(settings)
    sensor = sensor_material(record)
    poni = poni_of(settings)
    detector = detector_of(settings, poni, sensor)
    beam = Beam(
        energy_keV=settings.beam.energy_keV,
        bandwidth_keV=settings.beam.bandwidth_eV_fwhm * 1e-3,
        width_mm=settings.beam.width_um * UM,
        height_fwhm_mm=settings.beam.height_um_fwhm * UM,
        flux_per_s=settings.beam.flux_per_s,
        polarisation=settings.beam.polarisation,
    )
    layout, tables = plan(
        phantom, pure, sensor, beam, detector, settings.effects, settings.accuracy
    )
    return Experiment(
        name=settings.phantom.name,
        phantom=phantom,
        beam=beam,
        detector=detector,
        tables=tables,
        layout=layout,
        plan=scan_plan_of(settings),
        poni=poni,
        sensor=record,
        noise=settings.effects.noise,
        gaps=detector_mask(settings.detector.name, binning=settings.detector.binning),
        provenance={"program": "xrdct_sim", "version": __version__, **provenance},
    )


def sensor_material(sensor: Sensor) -> Material:
    """The sensor's layer as an absorber."""
    try:
        fractions = mass_fractions(sensor.material)
    except ValueError as error:
        raise ValueError(f"detector.sensor_material = {sensor.material!r}: {error}") from None
    return Material(
        name=sensor.material,
        description="sensor",
        density_g_cm3=sensor.density_g_cm3,
        mass_fractions=fractions,
        crystal=None,
        halo=None,
    )
