r"""Texture tomography after Jensen et al. (2015): a ring's azimuthal profile in every voxel.

Each azimuthal sector is reconstructed on its own; each voxel's profile is then fitted by

.. math:: b + A [G(\chi - c) + G(\chi - c - \pi)], \quad G(d) = e^{-d^2/2\sigma^2}

with d wrapped to (-pi, pi]: two opposite lobes of one width, as a fibre axis near the vertical
gives them at chi = 90 and 270 degrees. Left out: the swing of a tilted axis with the rotation of
the sample, which shifts c by up to (2/pi) of the tilt in a scan over 180 degrees and widens sigma.

References
----------
Jensen et al. (2015), J. Electrochem. Soc. 162, A1310.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.recover.least_squares import FitMaps, Solver, fit_maps, least_squares

FloatArray = NDArray[np.floating]
PARAMETERS = ("amplitude", "centre_rad", "width_rad", "background")
START_WIDTH_RAD = np.deg2rad(20.0)
EXACT = 1e-3  # relative error ascribed to a profile that comes without a variance


@dataclass(frozen=True, kw_only=True)
class LobeSettings:
    """Bounds of the lobes' fit."""

    width_rad: tuple[float, float] = (np.deg2rad(1.0), np.deg2rad(60.0))
    least_signal: float = 3.0  # amplitude over its error below which a voxel counts as untextured


def two_lobes(parameters: jax.Array, azimuth_rad: jax.Array) -> jax.Array:
    """Constant plus two opposite Gaussian lobes; parameters as in PARAMETERS."""
    amplitude, centre, width, background = parameters
    turn = jnp.remainder(azimuth_rad - centre + jnp.pi / 2, jnp.pi) - jnp.pi / 2
    far = jnp.pi - jnp.abs(turn)  # distance to the other lobe
    near = jnp.exp(-(turn**2) / (2 * width**2))
    return jnp.asarray(background + amplitude * (near + jnp.exp(-(far**2) / (2 * width**2))))


def fit_lobes(
    azimuth_rad: FloatArray,
    profile: FloatArray,
    variance: FloatArray | None = None,
    settings: LobeSettings | None = None,
    solver: Solver | None = None,
) -> FitMaps:
    """Fit every azimuthal profile, measured or exact, by the same functional.

    Parameters
    ----------
    azimuth_rad
        Centres of the sectors (pyFAI's chi), ``(n_azimuth,)``.
    profile
        ``(..., n_azimuth)``; NaN (a masked sector) is left out.
    variance
        Same shape; without it all sectors weigh the same and error bars mean nothing.
    settings
        Bounds.
    solver
        Accuracy of the minimisation.

    Returns
    -------
        Maps "amplitude" and "background" in the profile's unit, "centre_rad" in (0, pi] and
        "width_rad" (the Gaussian's standard deviation).

    Notes
    -----
    The lobe is taken at the middle of each sector: of data averaged over sectors of width w the
    fitted width squared is larger by w²/12 (0.1 degrees at 10 degrees and sectors of 5).
    """
    limits = settings or LobeSettings()
    shape = profile.shape[:-1]
    rows = profile.reshape(-1, profile.shape[-1])
    scale = np.max(np.abs(rows), axis=1, where=np.isfinite(rows), initial=0.0)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float64)
    scaled = rows / scale[:, None]
    if variance is None:
        noise = np.full_like(scaled, EXACT**2)
    else:
        noise = variance.reshape(rows.shape) / scale[:, None] ** 2
    narrow, wide = limits.width_rad
    infinite = np.inf
    fit = least_squares(
        two_lobes,
        azimuth_rad,
        scaled,
        noise,
        _start(azimuth_rad, scaled, limits),
        np.array([-infinite, -infinite, narrow, -infinite]),
        np.array([infinite, infinite, wide, infinite]),
        solver,
    )
    one = np.ones_like(scale)
    unit = np.stack([scale, one, one, scale], axis=1)
    maps = fit_maps(fit, PARAMETERS, unit, shape, limits.least_signal)
    centre = np.pi - np.remainder(np.pi - maps.value["centre_rad"], np.pi)
    return replace(maps, value={**maps.value, "centre_rad": centre})


def _start(azimuth_rad: FloatArray, rows: FloatArray, limits: LobeSettings) -> FloatArray:
    """Direction from the second harmonic, level from the lower half, height from the maximum."""
    known = np.isfinite(rows)
    filled = np.where(known, rows, 0.0)
    count = np.maximum(known.sum(axis=1), 1)
    mean = filled.sum(axis=1) / count
    turn = np.where(known, filled - mean[:, None], 0.0) @ np.exp(2j * azimuth_rad)
    centre = np.where(np.abs(turn) > 0, 0.5 * np.angle(turn), np.pi / 2)
    distance = np.remainder(azimuth_rad - centre[:, None] + np.pi / 2, np.pi) - np.pi / 2
    near = known & (np.abs(distance) < np.pi / 12)
    far = known & (np.abs(distance) > np.pi / 4)
    top = np.sum(filled, axis=1, where=near) / np.maximum(near.sum(axis=1), 1)
    low = np.sum(filled, axis=1, where=far) / np.maximum(far.sum(axis=1), 1)
    # a lobe on a flat level of width s holds sqrt(2 pi) s A of the circle's excess, each of two
    height = np.maximum(top - low, 1e-3)
    share = (mean - low) * np.pi / (height * np.sqrt(2 * np.pi))
    width = np.where(share > 0, share, START_WIDTH_RAD)
    narrow, wide = limits.width_rad
    width = np.clip(width, 1.05 * narrow, 0.95 * wide)
    return np.stack([height, centre, width, low], axis=1)
