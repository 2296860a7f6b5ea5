"""The forward model of one experiment, ready to give rays and expected counts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.instrument.accuracy import Accuracy
from xrdct_sim.instrument.beam import Beam
from xrdct_sim.instrument.detector import Detector
from xrdct_sim.instrument.effects import Effects
from xrdct_sim.instrument.geometry import panel_arrays
from xrdct_sim.physics.arrays import Array
from xrdct_sim.physics.materials import Material
from xrdct_sim.physics.texture import degree_for
from xrdct_sim.sample.phantom import Phantom
from xrdct_sim.simulate.frames import Pixels, expected_counts, look_at_pixels, radial_profiles
from xrdct_sim.simulate.layout import Layout, plan_layout
from xrdct_sim.simulate.patterns import Patterns, build_patterns
from xrdct_sim.simulate.rays import trace_rays
from xrdct_sim.simulate.tables import MaterialTable, material_table

NEGLIGIBLE_MM = 1e-5
"""Path through textured material that is only rounding: 1e-6 of a film's diameter, mm."""


class Prepared(NamedTuple):
    """All that does not depend on where the sample stands."""

    patterns: Patterns
    pixels: Pixels
    mu_per_mm: jax.Array  # (n_materials,)


class Block(NamedTuple):
    """Frames of one height and one rotation before they meet the pixels."""

    profiles: jax.Array  # (n_translations, 2, n_radii) photons per sr
    texture: jax.Array  # (n_translations, n_texture_bins, n_harmonics) photons x mm
    textured_mm: jax.Array  # (n_translations,) path through textured material
    transmission: jax.Array  # (n_translations,)


def reference_corner(detector: Detector) -> tuple[float, float]:
    """Largest radius of a pixel on the reference plane (mm) and its scattering angle (rad)."""
    panel = panel_arrays(
        detector.distance_mm, detector.poni_mm, detector.rotations_rad, detector.plane_mm, 1.0
    )
    x, y, z = np.asarray(panel.position_mm, float).T
    if np.min(x) <= 0:
        raise ValueError("detector.rot1_deg, rot2_deg: a pixel would stand behind the sample")
    slope = float(np.max(np.hypot(y, z) / x))
    return float(detector.beam_distance_mm) * slope, float(np.arctan(slope))


def plan(
    phantom: Phantom,
    materials: dict[str, Material],
    sensor: Material,
    beam: Beam,
    detector: Detector,
    effects: Effects,
    accuracy: Accuracy,
) -> tuple[Layout, tuple[MaterialTable, ...]]:
    """Tables of all materials of a phantom and the static sizes of the simulation."""
    corner, angle = reference_corner(detector)
    stop, panel = float(detector.beamstop_distance_mm), float(detector.beam_distance_mm)
    if effects.beamstop and not phantom.radius_mm < stop < panel:
        raise ValueError(
            f"detector.beamstop_distance_mm = {stop:g} is out of range: allowed is between the "
            f"sample ({phantom.radius_mm:g} mm) and the panel ({panel:g} mm)"
        )
    near = float(detector.beam_distance_mm) - phantom.radius_mm
    if near <= 0:
        raise ValueError(
            f"detector.distance_mm = {float(detector.distance_mm):g} is out of range: "
            f"the sample reaches {phantom.radius_mm:g} mm"
        )
    widest_angle = max(angle, float(np.arctan(corner / near)))
    q_max = 4 * np.pi / beam.wavelength_A * np.sin(0.5 * widest_angle) * 1.02
    textured = phantom.textured if effects.texture and effects.bragg else None
    l_max = 0
    if textured is not None:
        if materials[textured].crystal is None:
            raise ValueError(f"material {textured}: a texture needs a crystal structure")
        limits = phantom.texture_limits()
        l_max = degree_for(
            limits.sharpest_march_r, limits.flattest_march_r, accuracy.texture_tolerance
        )
    tables = tuple(
        material_table(
            materials[name], sensor, beam.energy_keV, q_max, l_max if name == textured else 0
        )
        for name in phantom.materials
    )
    widest = max((float(np.max(t.rings.width_rad)) for t in tables if t.rings), default=0.0)
    return plan_layout(phantom, beam, detector, corner, widest, effects, accuracy), tables


def prepare(
    tables: tuple[MaterialTable, ...],
    names: tuple[str, ...],
    beam: Beam,
    detector: Detector,
    layout: Layout,
) -> Prepared:
    """Patterns and pixels of an experiment; differentiable in beam and detector."""
    return Prepared(
        patterns=build_patterns(tables, names, beam, detector, layout),
        pixels=look_at_pixels(detector, beam, layout),
        mu_per_mm=jnp.stack([jnp.asarray(table.mu_per_mm) for table in tables]),
    )


@partial(jax.jit, static_argnames=("layout",))
def trace_block(
    phantom: Phantom,
    beam: Beam,
    prepared: Prepared,
    translations_mm: Array,
    rotation_rad: float | jax.Array,
    height_mm: Array,
    exposure_s: Array,
    layout: Layout,
) -> Block:
    """Everything about the frames of one rotation but the pixels; one fixed shape."""
    rays = trace_rays(
        phantom, beam, prepared.mu_per_mm, translations_mm, rotation_rad, height_mm, layout
    )
    photons = beam.flux_per_s * exposure_s * rays.transmission
    return Block(
        profiles=radial_profiles(rays, prepared.patterns, beam, exposure_s),
        texture=rays.texture_mm * photons[:, None, None],
        textured_mm=jnp.sum(rays.textured_mm, axis=-1),
        transmission=rays.transmission,
    )


@partial(jax.jit, static_argnames=("layout",))
def frame_with_texture(
    profiles: jax.Array,
    texture: jax.Array,
    prepared: Prepared,
    dark_counts: Array,
    layout: Layout,
) -> jax.Array:
    """Expected counts of one frame, textured material included, ``(n_pixels,)``."""
    pixels, patterns = prepared.pixels, prepared.patterns
    return expected_counts(profiles, texture, pixels, patterns, dark_counts, layout)


@partial(jax.jit, static_argnames=("layout",))
def frame_without_texture(
    profiles: jax.Array, prepared: Prepared, dark_counts: Array, layout: Layout
) -> jax.Array:
    """Expected counts of one frame that meets no textured material, ``(n_pixels,)``."""
    pixels, patterns = prepared.pixels, prepared.patterns
    return expected_counts(profiles, None, pixels, patterns, dark_counts, layout)


def expected_frame(
    phantom: Phantom,
    beam: Beam,
    detector: Detector,
    tables: tuple[MaterialTable, ...],
    layout: Layout,
    *,
    translation_mm: Array,
    rotation_rad: Array,
    height_mm: Array,
    exposure_s: Array,
) -> jax.Array:
    """Expected counts of one frame as a pure function of everything, ``(rows, columns)``.

    Differentiable in every float of phantom, beam and detector, in the sample's position and in
    the exposure; the energy, which chooses tables, is fixed. Scans reuse :func:`prepare` instead.
    """
    prepared = prepare(tables, phantom.materials, beam, detector, layout)
    translations = jnp.atleast_1d(jnp.asarray(translation_mm))
    block = trace_block(
        phantom, beam, prepared, translations, rotation_rad, height_mm, exposure_s, layout
    )
    dark = layout.effects.dark * detector.dark_per_s * exposure_s
    if layout.textured is None:
        counts = frame_without_texture(block.profiles[0], prepared, dark, layout)
    else:
        counts = frame_with_texture(block.profiles[0], block.texture[0], prepared, dark, layout)
    return jnp.reshape(counts, detector.shape)


def meets_texture(block: Block, index: int) -> bool:
    """Whether a ray meets textured material at all: more than the rounding of its fractions."""
    return float(block.textured_mm[index]) > NEGLIGIBLE_MM


def frame_of_block(
    block: Block, index: int, prepared: Prepared, dark_counts: float, layout: Layout
) -> jax.Array:
    """Expected counts of the frame at translation ``index`` of a block, ``(n_pixels,)``."""
    profiles = block.profiles[index]
    if layout.textured is None or not meets_texture(block, index):
        counts = frame_without_texture(profiles, prepared, dark_counts, layout)
    else:
        counts = frame_with_texture(profiles, block.texture[index], prepared, dark_counts, layout)
    return jnp.asarray(counts)
