"""Small experiments that tests share: the default coin cell and simple discs, built quickly."""

from dataclasses import dataclass, field, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.config.phantoms import load_phantom_spec
from xrdct_sim.instrument.accuracy import Accuracy
from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.instrument.effects import Effects, effect_names
from xrdct_sim.instrument.geometry import pixel_geometry, read_poni, write_poni
from xrdct_sim.physics.material_files import load_material, material_names
from xrdct_sim.physics.materials import Material, attenuation_per_mm, pure_parts
from xrdct_sim.sample.coin_cell import CoinCell, coin_cell
from xrdct_sim.sample.phantom import Phantom, TextureField, TextureLimits
from xrdct_sim.sample.shapes import Footprint, distance_from_axis
from xrdct_sim.scanfile.scan import Sensor
from xrdct_sim.simulate.model import plan
from xrdct_sim.simulate.run import Experiment, ScanPlan

ENERGY_KEV = 69.95
NOTHING = replace(Effects(), **{name: False for name in effect_names()})
COARSE = Accuracy(
    depth_step_mm=0.1,
    depth_bin_fwhm=0.4,
    profile_per_pixel=6,
    texture_depth_bins=6,
    texture_tolerance=1e-2,
    texture_azimuths=120,
)


@cache
def materials() -> dict[str, Material]:
    """All pure materials."""
    loaded = [load_material(name) for name in material_names()]
    return {m.name: m for m in loaded if isinstance(m, Material)}


@cache
def sensor_material() -> Material:
    return replace(
        materials()["CeO2"],
        name="CsI",
        density_g_cm3=3.608,
        mass_fractions={"Cs": 0.51155, "I": 0.48845},
        crystal=None,
    )


def default_cell(**changes: float) -> CoinCell:
    """The coin cell with parameters changed by dotted name, dots written as double underscores."""
    values: dict[str, dict[str, float | str]] = {}
    for key, parameter in load_phantom_spec("coin_cell").parameters.items():
        group, name = key.split(".")
        values.setdefault(group, {})[name] = changes.get(key.replace(".", "__"), parameter.value)
    mixtures = {n: {m.name: f for m, f in pure_parts(load_material(n))} for n in material_names()}
    densities = {name: m.density_g_cm3 for name, m in materials().items()}
    return coin_cell(values, mixtures, densities)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Discs(Phantom):
    """Upright cylinders of one material, optionally textured: the phantom of closed forms."""

    centres_mm: jax.Array  # (n, 2)
    radii_mm: jax.Array  # (n,)
    fractions_of: jax.Array  # (n,)
    axis: jax.Array = field(default_factory=lambda: jnp.array([0.0, 0.0, 1.0]))
    march_r: float | jax.Array = 1.0
    material: str = field(default="LiCoO2", metadata={"static": True})
    with_texture: bool = field(default=False, metadata={"static": True})
    reach_mm: float = field(default=5.0, metadata={"static": True})

    @property
    def materials(self) -> tuple[str, ...]:
        return (self.material,)

    @property
    def radius_mm(self) -> float:
        return self.reach_mm

    @property
    def textured(self) -> str | None:
        return self.material if self.with_texture else None

    def fractions(self, points_mm, footprint: Footprint) -> jax.Array:
        total = jnp.zeros(points_mm.shape[:-1])
        up = np.array([0.0, 0.0, 1.0])
        for k in range(len(self.centres_mm)):
            centre = jnp.array([self.centres_mm[k, 0], self.centres_mm[k, 1], 0.0])
            outside = distance_from_axis(points_mm, centre, up).beyond(self.radii_mm[k], footprint)
            total = total + self.fractions_of[k] * (1 - outside)
        return total[..., None]

    def texture(self, points_mm) -> TextureField:
        shape = points_mm.shape[:-1]
        return TextureField(
            axis=jnp.broadcast_to(self.axis, (*shape, 3)),
            march_r=jnp.broadcast_to(jnp.asarray(self.march_r), shape),
            ordered=1.0,
        )

    def texture_limits(self) -> TextureLimits:
        tilt = float(np.arccos(np.clip(float(self.axis[2]), -1, 1)))
        return TextureLimits(
            sharpest_march_r=min(float(self.march_r), 1.0),
            flattest_march_r=max(float(self.march_r), 1.0),
            largest_tilt_rad=tilt + 0.05,
            reach_mm=self.reach_mm,
        )


def discs(*triples: tuple[float, float, float], **keywords) -> Discs:
    """Cylinders from (x, y, radius) in mm, fully dense."""
    table = np.array(triples, np.float32)
    return Discs(
        centres_mm=jnp.asarray(table[:, :2]),
        radii_mm=jnp.asarray(table[:, 2]),
        fractions_of=jnp.ones(len(table)),
        **keywords,
    )


def beam(**changes: float) -> Beam:
    values = {
        "energy_keV": ENERGY_KEV,
        "bandwidth_keV": 0.3,
        "width_mm": 0.175,
        "height_fwhm_mm": 0.05,
        "flux_per_s": 5e11,
        "polarisation": 0.96,
    }
    return Beam(**(values | changes))


def detector(name: str = "Perkin", binning: int = 8, distance_mm: float = 260.0, **keywords):
    """A detector and its PONI text."""
    poni = write_poni(
        detector=name, distance_mm=distance_mm, energy_keV=ENERGY_KEV, binning=binning, **keywords
    )
    geometry, record = pixel_geometry(poni), read_poni(poni)
    panel = Detector(
        distance_mm=geometry.distance_mm,
        poni_mm=np.array([record.poni1, record.poni2]) * 1e3,
        rotations_rad=np.array([record.rot1, record.rot2, record.rot3]),
        plane_mm=geometry.plane_mm.astype(np.float32),
        pixel_mm=geometry.pixel_mm,
        shape=geometry.shape,
        sensor_mu_per_mm=attenuation_per_mm(sensor_material(), ENERGY_KEV),
        sensor_thickness_mm=0.5,
        psf_fwhm_mm=0.3,
        dark_per_s=0.01,
        beamstop_radius_mm=1.0,
        beamstop_distance_mm=40.0,
    )
    return panel, poni


def scan_plan(n_translations=9, step_mm=0.9, n_rotations=4, range_rad=np.pi, **changes) -> ScanPlan:
    centre = (n_translations - 1) / 2
    values = {
        "heights_mm": np.zeros(1),
        "translations_mm": (np.arange(n_translations) - centre) * step_mm,
        "rotations_rad": np.arange(n_rotations) * range_rad / n_rotations,
        "exposure_s": 0.05,
        "seed": 7,
    }
    return ScanPlan(**(values | changes))


def experiment(
    phantom: Phantom,
    scan: ScanPlan,
    effects: Effects | None = None,
    accuracy: Accuracy = COARSE,
    source: Beam | None = None,
    panel: tuple[Detector, str] | None = None,
) -> Experiment:
    """Everything put together."""
    source, effects = source or beam(), effects or Effects()
    camera, poni = panel or detector()
    layout, tables = plan(
        phantom, materials(), sensor_material(), source, camera, effects, accuracy
    )
    return Experiment(
        name="test",
        phantom=phantom,
        beam=source,
        detector=camera,
        tables=tables,
        layout=layout,
        plan=scan,
        poni=poni,
        sensor=Sensor(material="CsI", density_g_cm3=3.608, thickness_mm=0.5),
        gaps=np.zeros(camera.shape, bool),
        noise=effects.noise,
    )
