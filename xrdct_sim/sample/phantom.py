"""What a phantom is: a function from points to volume fractions and texture.

A phantom is known at every point, not on a grid: simulation and truth both ask it, each where
and with the footprint they need. Left out: anything that changes during a scan.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import jax
import numpy as np

from xrdct_sim.physics.arrays import Array
from xrdct_sim.sample.shapes import Footprint


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TextureField:
    """Fibre texture at points: the local axis, its sharpness and the ordered share of grains."""

    axis: jax.Array  # (..., 3) unit, sample frame
    march_r: jax.Array  # (...)
    ordered: jax.Array | float  # share of grains that follow the texture, the rest is random


@dataclass(frozen=True, kw_only=True)
class TextureLimits:
    """Bounds of the texture anywhere in a phantom, to size its series."""

    sharpest_march_r: float  # smallest
    flattest_march_r: float  # largest; above 1 poles gather at the equator
    largest_tilt_rad: float
    reach_mm: float  # largest distance of the textured body from the rotation axis


class Phantom(ABC):
    """A sample that can be put in the beam; concrete phantoms are frozen pytrees."""

    @property
    @abstractmethod
    def materials(self) -> tuple[str, ...]:
        """Names of the pure materials, in the order of :meth:`fractions`."""

    @property
    @abstractmethod
    def radius_mm(self) -> float:
        """Radius of a cylinder about the rotation axis that holds the sample, mm."""

    @abstractmethod
    def fractions(self, points_mm: Array, footprint: Footprint) -> jax.Array:
        """Volume fractions of the materials, shape ``(..., n_materials)``; the rest is void.

        ``points_mm`` has shape ``(..., 3)`` in the sample frame, mm.
        """

    @property
    def textured(self) -> str | None:
        """Name of the material with a texture; None if all are powders."""
        return None

    def texture(self, points_mm: Array) -> TextureField:
        """Texture of :attr:`textured` at points ``(..., 3)``."""
        raise ValueError(f"this phantom has no textured material (asked at {np.shape(points_mm)})")

    def texture_limits(self) -> TextureLimits:
        """Bounds of :meth:`texture`."""
        raise ValueError("this phantom has no textured material")
