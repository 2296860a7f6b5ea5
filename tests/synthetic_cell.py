"""A comparison like a coin cell's, drawn from formulas: discs, a tilted film, speckles, noise."""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter

from xrdct_sim.judge.compare import (
    Comparison,
    MapPair,
    RawFrame,
    SliceComparison,
    VoxelProfile,
)


def speckle(rng: np.random.Generator, n: int, smooth: float) -> np.ndarray:
    field = gaussian_filter(rng.normal(size=(n, n)), smooth)
    return field / field.std()


def cell(n: int = 60, n_slices: int = 5, seed: int = 1) -> Comparison:
    """Comparison of noisy with exact maps on n x n voxels over 8.6 mm."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(n) - (n - 1) / 2) * 8.6 / n
    slices = tuple(one_slice(axis, s, rng) for s in range(n_slices))
    return Comparison(
        name="coin_cell",
        slices=slices,
        frame=raw_frame(rng),
        settings={"beam.energy_keV": "69.95", "scan.step_um": "175", "film <tilt>": "0.8 & more"},
        provenance={"seed": "1", "pyFAI": "2026.9", "config sha256": "0123456789abcdef" * 4},
    )


def one_slice(axis: np.ndarray, index: int, rng: np.random.Generator) -> SliceComparison:
    n = len(axis)
    x, y = np.meshgrid(axis, axis)
    r = np.hypot(x, y)
    can = (np.abs(r - 3.825) < 0.15).astype(float)
    height = [0.5, 0.0, -0.5, -2, -4][index] + 0.25 * (x + 0.5 * y)
    share = np.clip(0.5 + 2 * (0.55 - np.abs(height)), 0, 1) * (r < 2.6)
    film = 0.42 * share * (1 + 0.05 * speckle(rng, n, 4))
    separator = (r < 3.6) * (1 - share) * (0.8 if index else 0.3)
    oring = ((r > 3.15) & (r < 3.65)) * (index == 0) * 0.9
    tube = (np.abs(r - 4.05) < 0.06).astype(float)
    sigma_texture = np.deg2rad(18 + 3 * speckle(rng, n, 1.3))
    lobe = np.deg2rad(18) / sigma_texture
    solid = share > 0.2

    def noisy(kind, title, unit, truth, sigma, bias=0.0, where=None):
        sigma = np.broadcast_to(sigma, truth.shape)
        seen = truth * (1 + bias) + sigma * rng.normal(size=truth.shape)
        if where is not None:
            lost = rng.random(truth.shape) < 0.01
            truth, seen = np.where(where, truth, np.nan), np.where(where & ~lost, seen, np.nan)
        return MapPair(
            kind=kind,
            title=title,
            unit=unit,
            recovered=seen.astype(np.float32),
            truth=truth.astype(np.float32),
            error_bar=(0.8 * sigma).astype(np.float32),
            where=where,
        )

    ratio = np.sqrt(np.clip(share, 0.2, 1))
    blur = gaussian_filter(film * lobe, 0.6)
    maps = {
        "steel": noisy("channel", "mean of 3.03 to 3.13 Å⁻¹", "1/mm/sr", 2.5 * can + 0.02, 0.06),
        "LiCoO2": noisy("channel", "mean of 1.30 to 1.36 Å⁻¹", "1/mm/sr", blur + 0.01, 0.015),
        "separator": noisy(
            "channel",
            "mean of 1.70 to 1.78 Å⁻¹",
            "1/mm/sr",
            0.02 * (separator + oring + tube * 1.4 + 0.3 * film + can * 0.3),
            0.0015,
        ),
        "density": noisy(
            "channel",
            "mean of 20 to 23 Å⁻¹",
            "1/mm/sr",
            0.004 * (film / 0.42 + 0.35 * separator + 2.5 * can + 0.4 * tube + 0.4 * oring),
            0.0001,
        ),
        "LiCoO2_003_area": noisy(
            "peak_area", "LiCoO2 003, Gaussian fit", "1/mm/sr/angstrom", blur, 0.01, -0.02, solid
        ),
        "LiCoO2_003_position": noisy(
            "peak_position",
            "LiCoO2 003, Gaussian fit",
            "1/angstrom",
            np.full((n, n), 1.3361),
            4e-4 / ratio,
            1e-4,
            solid,
        ),
        "LiCoO2_003_width": noisy(
            "peak_width",
            "LiCoO2 003, standard deviation",
            "1/angstrom",
            np.full((n, n), 0.012),
            4e-4 / ratio,
            0.03,
            solid,
        ),
        "LiCoO2_003_texture_width": noisy(
            "texture_width",
            "LiCoO2 003, standard deviation in azimuth",
            "rad",
            sigma_texture,
            np.deg2rad(1.2) / ratio,
            0.02,
            solid,
        ),
        "LiCoO2_003_texture_centre": noisy(
            "texture_centre",
            "LiCoO2 003, azimuth of the maximum",
            "rad",
            np.deg2rad(90 + 1.5 * speckle(rng, n, 2)),
            np.deg2rad(0.8) / ratio,
            0.0,
            solid,
        ),
        "LiCoO2_fraction": noisy("phase", "LiCoO2", "1", film, 0.02),
        "Fe_fraction": noisy("phase", "Fe", "1", 0.98 * can, 0.02),
    }
    return SliceComparison(
        label=f"slice {index + 1}",
        height_um=70.0 * (index - 1),
        x_mm=axis,
        y_mm=axis,
        maps=maps,
        profile=profile(axis, rng) if index == 1 else None,
    )


def profile(axis: np.ndarray, rng: np.random.Generator) -> VoxelProfile:
    chi = np.deg2rad(np.arange(1.5, 180, 3))
    truth = 0.05 + 0.6 * np.exp(-0.5 * ((chi - 1.6) / 0.3) ** 2)
    sigma = np.full(chi.shape, 0.04)
    place = float(axis[int(0.45 * len(axis))])
    return VoxelProfile(
        ring="LiCoO2 003",
        x_mm=place,
        y_mm=place,
        azimuth_rad=chi,
        profile=truth + sigma * rng.normal(size=chi.shape),
        sigma=sigma,
        fit=0.055 + 0.58 * np.exp(-0.5 * ((chi - 1.61) / 0.31) ** 2),
        truth=truth,
    )


def raw_frame(rng: np.random.Generator, n: int = 512) -> RawFrame:
    pixel = 409.6 / n
    place = (np.arange(n) + 0.5) * pixel - 204.8
    x, y = np.meshgrid(place, place)
    r, chi = np.hypot(x, y), np.arctan2(y, x)
    mean = 25 * np.exp(-(((r - 15) / 25) ** 2)) + 4
    rings: Mapping[float, float] = {22.0: 900.0, 51.0: 120.0, 44.0: 60.0, 39.0: 40.0}
    for radius, height in rings.items():
        lobes = np.exp(-0.5 * (np.cos(chi) / 0.3) ** 2) if radius == 22.0 else 1.0
        mean = mean + height * (0.1 + 0.9 * lobes) * np.exp(-0.5 * ((r - radius) / 0.5) ** 2)
    mask = r < 6
    return RawFrame(
        label="slice 2, translation 0 mm, rotation 0°",
        counts=rng.poisson(np.where(mask, 0, mean)).astype(np.int32),
        mask=mask,
        pixel_mm=(pixel, pixel),
        ring_radius_mm={"LiCoO2 003": 22.0},
    )
