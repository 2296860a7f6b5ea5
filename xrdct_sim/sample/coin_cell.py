"""The coin-cell family: a tilted film on foil under a pressed separator, in a steel can.

Geometry: every body is a set of layers of three coordinates: the distance from the cell's axis
(O-ring, can, tube), the height (floor, O-ring, lithium, cap) and the height along the film's own
normal (foil, film, separator). Shares multiply, so that all fractions add up to 1 everywhere.

Left out: the crimp of the can, the spacer and spring above the lithium (electrolyte there), the
bending of the separator at the film's rim (it steps down there).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.texture import rotate_about_z
from xrdct_sim.sample.fields import RandomField, bounded, draw_field
from xrdct_sim.sample.phantom import Phantom, TextureField, TextureLimits
from xrdct_sim.sample.shapes import (
    Coordinate,
    Footprint,
    distance_from_axis,
    height_above,
)

REGIONS = ("can", "oring", "tube", "film", "foil", "separator", "electrolyte", "lithium")
Scalar = float | jax.Array
UP = np.array([0.0, 0.0, 1.0])
N_MEAN = 200  # points across the film for the mean of its density: 1e-3 of a deviation


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class CoinCell(Phantom):
    """A coin cell; lengths in mm, angles in rad, heights from the centre of the film."""

    can_radius: Scalar
    can_wall: Scalar
    can_height: Scalar
    can_floor: Scalar
    oring_width: Scalar
    oring_top: Scalar
    tube_gap: Scalar
    tube_wall: Scalar
    film_radius: Scalar
    film_thickness: Scalar
    foil_thickness: Scalar
    film_tilt: Scalar
    film_tilt_azimuth: Scalar
    film_x: Scalar
    film_y: Scalar
    separator_thickness: Scalar
    separator_reach: Scalar
    lithium_thickness: Scalar
    film_solids: jax.Array  # (n_materials,) mean volume fractions of the film's solids
    composition: jax.Array  # (n_regions, n_materials), the film's row: the liquid in its pores
    density_spread: Scalar
    density_mean: Scalar  # of the density's field over the film, taken off to keep the mass
    march_r: Scalar
    march_r_spread: Scalar
    random_fraction: Scalar
    axis_spread: Scalar
    density_field: RandomField
    march_field: RandomField
    axis_fields: tuple[RandomField, RandomField]
    material_names: tuple[str, ...] = field(metadata={"static": True})
    textured_name: str | None = field(metadata={"static": True})

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of the pure materials."""
        return self.material_names

    @property
    def textured(self) -> str | None:
        """The film's active material."""
        return self.textured_name

    @property
    def radius_mm(self) -> float:
        """Outer radius of the tube, mm."""
        return float(self.can_radius + self.tube_gap + self.tube_wall)

    def film_frame(self) -> jax.Array:
        """Rows: the film's two in-plane directions and its normal, unit vectors, (3, 3)."""
        c, s = jnp.cos(self.film_tilt), jnp.sin(self.film_tilt)
        rows = jnp.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
        return rotate_about_z(rows, self.film_tilt_azimuth)

    def regions(self, points_mm: Array, footprint: Footprint) -> dict[str, jax.Array]:
        """Share of the footprint in each region, each of shape ``(...)``; the rest is air."""
        points = jnp.asarray(points_mm)
        origin = jnp.zeros(3)
        radial = distance_from_axis(points, origin, UP)
        height = height_above(points, origin, UP)
        inner = self.can_radius - self.can_wall
        tube_inner = self.can_radius + self.tube_gap
        core, annulus, wall, _, tube, _ = radial.layers(
            [
                inner - self.oring_width,
                inner,
                self.can_radius,
                tube_inner,
                tube_inner + self.tube_wall,
            ],
            footprint,
        )
        floor_outside = self.can_floor - self.can_wall
        cap_outside = floor_outside + self.can_height
        faces = [floor_outside, self.can_floor, cap_outside - self.can_wall, cap_outside]
        _, floor, inside, cap, _ = height.layers(faces, footprint)
        above_ring = height.beyond(self.oring_top, footprint)
        ring = annulus * jnp.clip(inside - above_ring + cap, 0.0, 1.0)
        content = core * inside + annulus * inside - ring
        return {
            "can": (core + annulus) * (floor + cap) + wall * (floor + inside + cap),
            "oring": ring,
            "tube": tube,
            **{k: content * v for k, v in self._stack(points, height, footprint).items()},
        }

    def _stack(
        self, points: jax.Array, height: Coordinate, footprint: Footprint
    ) -> dict[str, jax.Array]:
        """Shares of the can's content: film on foil, separator, lithium, electrolyte."""
        frame = self.film_frame()
        centre = jnp.array([self.film_x, self.film_y, 0.0])
        over_film = 1 - distance_from_axis(points, centre, frame[2]).beyond(
            self.film_radius, footprint
        )
        along = height_above(points, centre, frame[2])
        half = 0.5 * self.film_thickness
        under, foil, film, separator = along.layers(
            [-half - self.foil_thickness, -half, half], footprint
        )
        beside = along.beyond(self.separator_reach, footprint)
        lithium_face = half + self.separator_thickness
        low, lithium, top = height.layers(
            [lithium_face, lithium_face + self.lithium_thickness], footprint
        )
        return {
            "film": low * over_film * film,
            "foil": low * over_film * foil,
            "separator": low * (over_film * separator + (1 - over_film) * beside),
            "electrolyte": low * (over_film * under + (1 - over_film) * (1 - beside)) + top,
            "lithium": lithium,
        }

    def fractions(self, points_mm: Array, footprint: Footprint) -> jax.Array:
        """Volume fractions of the materials, shape ``(..., n_materials)``."""
        shares = self.regions(points_mm, footprint)
        stacked = jnp.stack([shares[name] for name in REGIONS], axis=-1)
        liquid = self.composition[REGIONS.index("film")]
        field = bounded(self.density_field(points_mm)) - self.density_mean
        variation = 1 + self.density_spread * field
        solids = shares["film"] * variation
        displaced = solids[..., None] * (self.film_solids - jnp.sum(self.film_solids) * liquid)
        return stacked @ self.composition + displaced

    def texture(self, points_mm: Array) -> TextureField:
        """Fibre axis about the film's normal, March parameter and ordered share."""
        frame = self.film_frame()
        first, second = (
            self.axis_spread * bounded(component(points_mm)) for component in self.axis_fields
        )
        axis = frame[2] + first[..., None] * frame[0] + second[..., None] * frame[1]
        axis = axis / jnp.linalg.norm(axis, axis=-1, keepdims=True)
        march_r = self.march_r + self.march_r_spread * bounded(self.march_field(points_mm))
        return TextureField(axis=axis, march_r=march_r, ordered=1 - self.random_fraction)

    def texture_limits(self) -> TextureLimits:
        """Bounds of the texture: fields stay within two standard deviations."""
        sharpest = float(self.march_r) - 2 * float(self.march_r_spread)
        if sharpest < 0.3:
            raise ValueError(
                f"texture.march_r - 2 texture.march_r_spread = {sharpest:.3g} is out of range: "
                "0.3 at least (sharper textures need more harmonics than are kept)"
            )
        offset = float(np.hypot(self.film_x, self.film_y))
        return TextureLimits(
            sharpest_march_r=sharpest,
            flattest_march_r=float(self.march_r) + 2 * float(self.march_r_spread),
            largest_tilt_rad=float(self.film_tilt) + 2 * np.sqrt(2) * float(self.axis_spread),
            reach_mm=float(self.film_radius) + offset,
        )


def coin_cell(
    parameters: Mapping[str, Mapping[str, float | str]],
    composition: Mapping[str, Mapping[str, float]],
    density_mg_per_mm3: Mapping[str, float],
) -> CoinCell:
    """Build a coin cell.

    Parameters
    ----------
    parameters
        Groups of values as in ``phantoms/coin_cell.toml``, units as in their names.
    composition
        Volume fractions of pure materials for each material named in ``parameters``.
    density_mg_per_mm3
        Densities of the pure materials, mg/mm³ (the number is that in g/cm³).
    """
    p = parameters
    _check_room(p)
    film, um, degree = p["film"], 1e-3, np.pi / 180
    names = {
        region: str(p[region]["material"]) for region in REGIONS if region in p and region != "film"
    }
    names |= {"foil": str(film["foil_material"]), "film": str(p["electrolyte"]["material"])}
    solids = _film_solids(film, density_mg_per_mm3, float(p["density"]["spread"]))
    pure = sorted({m for name in names.values() for m in composition[name]} | set(solids))
    table = np.array([[composition[names[region]].get(m, 0.0) for m in pure] for region in REGIONS])
    texture, density = p["texture"], p["density"]
    seed = int(p["fields"]["seed"])
    density_field = draw_field(seed, 1, float(density["correlation_mm"]))
    fields = [draw_field(seed, purpose, float(texture["correlation_mm"])) for purpose in (2, 3, 4)]
    return CoinCell(
        can_radius=float(p["can"]["diameter_mm"]) / 2,
        can_wall=float(p["can"]["wall_mm"]),
        can_height=float(p["can"]["height_mm"]),
        can_floor=float(p["can"]["floor_um"]) * um,
        oring_width=float(p["oring"]["width_mm"]),
        oring_top=float(p["oring"]["top_um"]) * um,
        tube_gap=float(p["tube"]["inner_gap_mm"]),
        tube_wall=float(p["tube"]["wall_mm"]),
        film_radius=float(film["diameter_mm"]) / 2,
        film_thickness=float(film["thickness_um"]) * um,
        foil_thickness=float(film["foil_um"]) * um,
        film_tilt=float(film["tilt_deg"]) * degree,
        film_tilt_azimuth=float(film["tilt_azimuth_deg"]) * degree,
        film_x=float(film["x_mm"]),
        film_y=float(film["y_mm"]),
        separator_thickness=float(p["separator"]["thickness_um"]) * um,
        separator_reach=float(p["separator"]["reach_um"]) * um,
        lithium_thickness=float(p["lithium"]["thickness_mm"]),
        film_solids=jnp.array([solids.get(m, 0.0) for m in pure]),
        composition=jnp.asarray(table, float),
        density_spread=float(density["spread"]),
        density_mean=_mean_over_film(film, density_field),
        march_r=float(texture["march_r"]),
        march_r_spread=float(texture["march_r_spread"]),
        random_fraction=float(texture["random_fraction"]),
        axis_spread=float(texture["axis_spread_deg"]) * degree,
        density_field=density_field,
        march_field=fields[0],
        axis_fields=(fields[1], fields[2]),
        material_names=tuple(pure),
        textured_name="LiCoO2",
    )


def _film_solids(
    film: Mapping[str, float | str], density_mg_per_mm3: Mapping[str, float], spread: float
) -> dict[str, float]:
    """Volume fractions of the film's solids from its mass and size."""
    radius, thickness = float(film["diameter_mm"]) / 2, float(film["thickness_um"]) * 1e-3
    volume = np.pi * radius**2 * thickness
    mass = float(film["LiCoO2_mg"])
    weight = {
        "LiCoO2": float(film["LiCoO2_weight"]),
        "C": float(film["carbon_weight"]),
        "PVDF": float(film["binder_weight"]),
    }
    solids = {
        name: mass * share / weight["LiCoO2"] / density_mg_per_mm3[name] / volume
        for name, share in weight.items()
    }
    total = sum(solids.values()) * (1 + 2 * spread)  # the field stays within 2 deviations
    if total > 0.9:
        raise ValueError(
            f"film.LiCoO2_mg = {mass:g} is out of range: with film.diameter_mm and "
            f"film.thickness_um the solids would fill {total:.2f} of the film where "
            f"density.spread = {spread:g} makes it densest (0.9 at most)"
        )
    return solids


def _mean_over_film(film: Mapping[str, float | str], field: RandomField) -> float:
    """Mean of a bounded field over the film's disc."""
    radius = float(film["diameter_mm"]) / 2
    grid = (np.arange(N_MEAN) + 0.5) * (2 * radius / N_MEAN) - radius
    x, y = np.meshgrid(grid, grid)
    inside = np.hypot(x, y) < radius
    points = np.stack([x[inside] + float(film["x_mm"]), y[inside] + float(film["y_mm"])], axis=-1)
    return float(np.mean(np.asarray(bounded(field(points)), float)))


def _check_room(p: Mapping[str, Mapping[str, float | str]]) -> None:
    """Refuse a film that does not fit into the can."""
    film, can = p["film"], p["can"]
    room = float(can["diameter_mm"]) / 2 - float(can["wall_mm"]) - float(p["oring"]["width_mm"])
    radius = float(film["diameter_mm"]) / 2 + float(np.hypot(film["x_mm"], film["y_mm"]))
    if radius > room:
        raise ValueError(
            f"film.diameter_mm = {film['diameter_mm']} is out of range: film and offset reach "
            f"{radius:.3g} mm from the axis, the O-ring leaves {room:.3g} mm"
        )
    below = -float(can["floor_um"]) - float(film["thickness_um"]) / 2 - float(film["foil_um"])
    drop = 1e3 * radius * float(np.sin(np.deg2rad(float(film["tilt_deg"]))))
    if drop > below:
        raise ValueError(
            f"film.tilt_deg = {film['tilt_deg']} is out of range: the foil's rim sinks "
            f"{drop:.0f} um, can.floor_um leaves {below:.0f} um"
        )
    if drop > float(p["separator"]["thickness_um"]):
        raise ValueError(
            f"separator.thickness_um = {p['separator']['thickness_um']} is out of range: the "
            f"film's rim rises {drop:.0f} um into it"
        )
    inside = float(can["floor_um"]) + 1e3 * (float(can["height_mm"]) - 2 * float(can["wall_mm"]))
    stack = (
        float(film["thickness_um"]) / 2
        + float(p["separator"]["thickness_um"])
        + 1e3 * float(p["lithium"]["thickness_mm"])
    )
    if stack > inside:
        raise ValueError(
            f"can.height_mm = {can['height_mm']} is out of range: the lithium reaches {stack:.0f} "
            f"um above the film's centre, the cap begins at {inside:.0f} um"
        )
