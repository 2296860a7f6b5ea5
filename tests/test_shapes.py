"""Shapes: footprints keep areas, layers fill space, gradients are finite differences."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import default_cell, materials
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdct_sim.physics.material_files import load_material
from xrdct_sim.physics.materials import pure_parts
from xrdct_sim.sample.coin_cell import REGIONS
from xrdct_sim.sample.shapes import (
    Footprint,
    cumulative_footprint,
    distance_from_axis,
    height_above,
)

UP = np.array([0.0, 0.0, 1.0])
width = st.floats(0.001, 0.3)
SIGMA = 0.05 / 2.3548


regions_of = jax.jit(lambda cell, points, size: cell.regions(points, size))
fractions_of = jax.jit(lambda cell, points, size: cell.fractions(points, size))
shares_of = jax.jit(cumulative_footprint)


def footprint(rotation_rad=0.0, length_mm=0.05, width_mm=0.05, height_sigma_mm=SIGMA) -> Footprint:
    return Footprint(
        rotation_rad=rotation_rad,
        length_mm=length_mm,
        width_mm=width_mm,
        height_sigma_mm=height_sigma_mm,
    )


@given(a=width, b=width, sigma=width, shift=st.floats(-0.5, 0.5))
def test_the_cumulative_footprint_is_a_distribution_of_the_right_mean_and_variance(
    a, b, sigma, shift
):
    """Share beyond a face against random draws of the two boxes and the normal variable."""
    rng = np.random.default_rng(5)
    draws = 40000
    total = (
        a * rng.uniform(-0.5, 0.5, draws)
        + b * rng.uniform(-0.5, 0.5, draws)
        + sigma * rng.normal(size=draws)
    )
    found = float(shares_of(shift, a, b, sigma))
    # 5 standard deviations of a binomial share, and the stand-in for boxes below 0.8 sigma
    assert found == pytest.approx(np.mean(total < shift), abs=5 * 0.5 / np.sqrt(draws) + 2e-3)


@given(a=width, b=width, sigma=width)
def test_a_face_stands_where_it_is(a, b, sigma):
    """Integrating the share over all positions gives the face's place: areas are kept."""
    u = np.linspace(-3, 3, 6001)
    area = np.trapezoid(np.asarray(shares_of(u, a, b, sigma), float), u)
    assert area == pytest.approx(3, abs=2e-4)  # 6001 single-precision values of 1e-3 mm


@given(
    radius=st.floats(0.3, 1.0),
    x=st.floats(-0.3, 0.3),
    y=st.floats(-0.3, 0.3),
)
def test_a_disc_keeps_its_area_on_any_grid(radius, x, y):
    grid = (np.arange(40) - 19.5) * 0.075
    yy, xx = np.meshgrid(grid, grid, indexing="ij")
    points = np.stack([xx, yy, np.zeros_like(xx)], axis=-1)
    centre = np.array([x, y, 0.0])
    voxel = footprint(0.0, 0.075, 0.075)
    share = 1 - distance_from_axis(points, centre, UP).beyond(radius, voxel)
    area = float(np.sum(np.asarray(share, float))) * 0.075**2
    curvature = 0.075**2 / (24 * radius**2) * 2  # stated in the module, both directions
    assert area == pytest.approx(np.pi * radius**2, rel=curvature + 2e-3)  # edges along the grid


def test_layers_of_a_stack_fill_space_and_keep_their_thickness():
    z = np.linspace(-0.5, 0.5, 20001)
    points = np.stack([0 * z, 0 * z, z], axis=-1)
    tilted = np.array([np.sin(0.02), 0, np.cos(0.02)])
    below, thin, thick, above = height_above(points, np.zeros(3), tilted).layers(
        [-0.0075, 0.0075, 0.1], footprint()
    )
    np.testing.assert_allclose(below + thin + thick + above, 1, atol=3e-6)  # single precision
    foil = np.trapezoid(np.asarray(thin, float), z) * np.cos(0.02)
    assert foil == pytest.approx(0.015, rel=1e-3)  # 15 um foil in a 50 um beam


points_in_cell = st.tuples(st.floats(-4.2, 4.2), st.floats(-4.2, 4.2), st.floats(-0.25, 1.2))


@given(
    point=points_in_cell,
    rotation_rad=st.floats(0, 6),
    tilt=st.floats(0, 1.2),
    spread=st.floats(0, 0.45),
    mass=st.floats(0, 2.8),
)
def test_fractions_of_the_coin_cell_leave_neither_hole_nor_overlap(
    point, rotation_rad, tilt, spread, mass
):
    cell = default_cell(film__tilt_deg=tilt, density__spread=spread, film__LiCoO2_mg=mass)
    shares = regions_of(cell, np.array(point), footprint(rotation_rad))
    values = np.array([float(shares[name]) for name in REGIONS])
    assert values.min() > -1e-5  # differences of single-precision shares
    assert values.sum() < 1 + 1e-5
    fractions = np.asarray(fractions_of(cell, np.array(point), footprint(rotation_rad)))
    assert fractions.min() > -2e-5
    if np.hypot(*point[:2]) < 3.85:  # inside the can there is no void
        assert values.sum() == pytest.approx(1, abs=1e-5)
        assert fractions.sum() == pytest.approx(1, abs=2e-5)


def test_the_film_covers_the_slices_as_in_figure_3c():
    """Film in a tenth of the beam or more: half of slices 1 and 3, all of 2, none of 4 and 5."""
    cell = default_cell()
    grid = (np.arange(81) - 40) * 0.075
    yy, xx = np.meshgrid(grid, grid, indexing="ij")
    inside = np.hypot(xx, yy) < 2.95
    covered = []
    for z in (-0.07, 0.0, 0.07, 0.14, 0.21):
        points = np.stack([xx, yy, np.full_like(xx, z)], axis=-1)[inside]
        covered.append(np.mean(np.asarray(regions_of(cell, points, footprint())["film"]) > 0.1))
    assert covered[0] == pytest.approx(0.5, abs=0.1)  # "half" of the paper, by eye
    assert covered[2] == pytest.approx(0.5, abs=0.1)
    assert covered[1] == 1
    assert covered[3:] == [0, 0]


def test_volumes_of_the_cell_agree_with_monte_carlo():
    """Film volume and tube volume by random points against their closed forms."""
    rng = np.random.default_rng(1)
    draws = 200_000
    cell = default_cell()
    points = rng.uniform([-4.2, -4.2, -0.2], [4.2, 4.2, 0.2], (draws, 3)).astype(np.float32)
    fine = footprint(0.0, 0.01, 0.01, 0.005)
    shares = regions_of(cell, points, fine)
    box = 8.4 * 8.4 * 0.4
    expected = {
        "film": np.pi * 9 * 0.088,
        "foil": np.pi * 9 * 0.015,
        "tube": np.pi * (4.1**2 - 4.0**2) * 0.4,
    }
    for name, volume in expected.items():
        values = np.asarray(shares[name], float)
        noise = 5 * box * values.std() / np.sqrt(draws)  # five standard errors of the mean
        assert values.mean() * box == pytest.approx(volume, abs=noise)


def test_the_film_holds_its_mass_of_licoo2_however_it_is_spread():
    """2.55 mg: the integral over the film of a strongly varying density."""
    cell = default_cell(density__spread=0.4, film__tilt_deg=0.0)
    grid = (np.arange(160) + 0.5) * 0.04 - 3.2
    y, x = np.meshgrid(grid, grid, indexing="ij")
    points = np.stack([x, y, np.zeros_like(x)], axis=-1)
    voxel = footprint(0.0, 0.04, 0.04)
    fractions = np.asarray(fractions_of(cell, points, voxel), float)
    share = float(regions_of(cell, np.zeros(3), footprint())["film"])
    material = cell.materials.index("LiCoO2")
    volume = fractions[..., material].sum() * 0.04**2 * 0.088 / share
    mass = volume * materials()["LiCoO2"].density_g_cm3
    assert mass == pytest.approx(2.55, rel=2e-3)  # 1e-3 of the field's mean, edge voxels


def test_the_films_composition_is_that_of_the_mixture():
    cell = default_cell(density__spread=0.0)
    found = np.asarray(fractions_of(cell, np.zeros(3), footprint()))
    share = float(regions_of(cell, np.zeros(3), footprint())["film"])
    mixture = {m.name: f for m, f in pure_parts(load_material("LCOfilm"))}
    for name in ("LiCoO2", "C", "PVDF"):
        value = found[cell.materials.index(name)] / share
        assert value == pytest.approx(mixture[name], rel=0.005)  # 4 digits there


@jax.jit
def squared_fractions(cell, tilt_rad, thickness_mm):
    points = np.array([[0.5, 0.3, 0.03], [-1.0, 2.0, -0.05], [2.9, 0.4, 0.0]])
    changed = replace(cell, film_tilt=tilt_rad, film_thickness=thickness_mm)
    return jnp.sum(changed.fractions(points, footprint()) ** 2)


@settings(max_examples=5)
@given(tilt=st.floats(0.002, 0.02), thickness=st.floats(0.06, 0.12))
def test_gradients_of_fractions_are_finite_differences(tilt, thickness):
    with jax.enable_x64(True):
        cell = default_cell()
        # central differences of 1e-5 mm and rad against a focus of 2e-2 mm: (1e-5/2e-2)² = 2.5e-7
        found = jax.grad(squared_fractions, (1, 2))(cell, tilt, thickness)
        for k, step in enumerate(np.eye(2) * 1e-5):
            ahead = squared_fractions(cell, tilt + step[0], thickness + step[1])
            behind = squared_fractions(cell, tilt - step[0], thickness - step[1])
            slope = float(ahead - behind) / 2e-5
            assert float(found[k]) == pytest.approx(slope, rel=1e-5, abs=1e-7)
