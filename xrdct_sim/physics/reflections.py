"""Reflections of a crystal: families of planes, structure factors, angles to a fibre axis.

Left out: extinction (kinematic scattering holds below a few µm at 70 keV), preferred orientation
(see texture).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.physics.atoms import scattering_factor
from xrdct_sim.physics.crystals import Structure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]
ScatteringFactor = Callable[[str, FloatArray], ComplexArray]

WEAKEST = 1e-9
"""Reflections weaker than this fraction of |F(000)|² count as absent."""


@dataclass(frozen=True, kw_only=True)
class Reflections:
    """Families of equivalent planes in order of rising q."""

    hkl: IntArray  # (n, 3), one representative each
    q_per_A: FloatArray  # (n,)
    multiplicity: IntArray  # (n,), Friedel mates included
    f_squared: FloatArray  # (n,), electrons² per unit cell, mean of Friedel mates
    cell_volume_A3: float

    @property
    def d_A(self) -> FloatArray:
        """Spacing of the planes, Å."""
        return 2 * np.pi / self.q_per_A


def reflections(
    structure: Structure,
    energy_keV: float,
    q_max_per_A: float,
    factor: ScatteringFactor | None = None,
) -> Reflections:
    r"""List the reflections with 0 < q <= q_max and their squared structure factors.

    .. math:: F = \sum_j o_j [f_0(s) + f' + i f'']_j\, e^{-B_j s^2} e^{2\pi i\, h\cdot x_j},
              \quad s = q/4\pi

    Parameters
    ----------
    structure
        Unit cell.
    energy_keV
        Photon energy, for f' and f'', keV.
    q_max_per_A
        Largest momentum transfer, 1/Å.
    factor
        Complex scattering factor of an element at s (1/Å); the default takes xraylib's tables.

    Returns
    -------
        Families present, without the systematically absent ones.
    """
    hkl, multiplicity = families(structure, q_max_per_A)
    q = np.linalg.norm(hkl @ structure.reciprocal_per_A, axis=1)

    def tabulated(symbol: str, s_per_A: FloatArray) -> ComplexArray:
        return scattering_factor(symbol, s_per_A, energy_keV)

    f_squared = structure_factor_squared(structure, hkl, factor or tabulated)
    forward = structure_factor_squared(structure, np.zeros((1, 3), np.int64), factor or tabulated)
    present = np.flatnonzero(f_squared > WEAKEST * forward[0])
    order = present[np.argsort(q[present], kind="stable")]
    return Reflections(
        hkl=hkl[order],
        q_per_A=q[order],
        multiplicity=multiplicity[order],
        f_squared=f_squared[order],
        cell_volume_A3=structure.cell_volume_A3,
    )


def families(structure: Structure, q_max_per_A: float) -> tuple[IntArray, IntArray]:
    """Sort the reciprocal lattice points of a sphere into families of the Laue group.

    Parameters
    ----------
    structure
        Basis and Laue group.
    q_max_per_A
        Radius of the sphere, 1/Å.

    Returns
    -------
        Representatives (n, 3) and family sizes (n,); the sizes add to the number of lattice
        points with 0 < q <= q_max, absent reflections included.
    """
    lengths = np.linalg.norm(structure.basis_A, axis=1)
    limits = np.floor(q_max_per_A * lengths / (2 * np.pi) + 1e-9).astype(int)
    axes = [np.arange(-limit, limit + 1, dtype=np.int64) for limit in limits]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    q = np.linalg.norm(points @ structure.reciprocal_per_A, axis=1)
    points = points[(q > 0) & (q <= q_max_per_A * (1 + 1e-12))]
    width = 4 * int(limits.max()) + 3
    codes = np.full(len(points), -1, dtype=np.int64)
    for rotation in structure.laue_rotations:
        np.maximum(codes, _code(points @ rotation, width), out=codes)
    names, multiplicity = np.unique(codes, return_counts=True)
    return _decode(names, width), multiplicity.astype(np.int64)


def structure_factor_squared(
    structure: Structure, hkl: IntArray, factor: ScatteringFactor
) -> FloatArray:
    r"""Mean of :math:`|F(hkl)|^2` and :math:`|F(\overline{hkl})|^2`, electrons² per unit cell.

    Parameters
    ----------
    structure
        Unit cell.
    hkl
        Miller indices, shape ``(n, 3)``.
    factor
        Complex scattering factor of an element at s (1/Å).

    Returns
    -------
        Shape ``(n,)``.
    """
    s = np.linalg.norm(hkl @ structure.reciprocal_per_A, axis=1) / (4 * np.pi)
    distinct, inverse = np.unique(s.round(12), return_inverse=True)
    direct = np.zeros(len(hkl), dtype=complex)
    mate = np.zeros(len(hkl), dtype=complex)
    for symbol in sorted(set(structure.elements)):
        atoms = np.array([element == symbol for element in structure.elements])
        phase = np.exp(2j * np.pi * (hkl @ structure.positions[atoms].T))
        damping = np.exp(-np.outer(s**2, structure.b_iso_A2[atoms]))
        weight = structure.occupancy[atoms] * damping
        f = factor(symbol, distinct)[inverse]
        direct += f * (weight * phase).sum(axis=1)
        mate += f * (weight * phase.conj()).sum(axis=1)
    return np.asarray(0.5 * (np.abs(direct) ** 2 + np.abs(mate) ** 2))


def family_legendre(
    structure: Structure, hkl: IntArray, l_max: int, axis_hkl: tuple[int, int, int] = (0, 0, 1)
) -> FloatArray:
    r"""Mean of Legendre polynomials over each family's angles to a fibre axis.

    .. math:: \frac1m \sum_j P_l(\cos\rho_j), \quad l = 0, 2, 4, \ldots, l_{max}

    where :math:`\rho_j` is the angle between the normals of the planes hkl_j and of ``axis_hkl``.

    Parameters
    ----------
    structure
        Unit cell and Laue group.
    hkl
        One representative of each family, shape ``(n, 3)``.
    l_max
        Highest order, even.
    axis_hkl
        Planes whose normal is the fibre axis.

    Returns
    -------
        Shape ``(n, l_max // 2 + 1)``; times a texture's zonal coefficients a_l it gives the pole
        density's (Bunge's addition theorem).
    """
    reciprocal = structure.reciprocal_per_A
    axis = np.asarray(axis_hkl) @ reciprocal
    normals = np.einsum("ni,gij,jk->gnk", hkl, structure.laue_rotations, reciprocal)
    cosine = normals @ axis / (np.linalg.norm(normals, axis=-1) * np.linalg.norm(axis))
    orders = [np.ones(cosine.shape[1])]
    before, current = np.ones_like(cosine), cosine
    for order in range(2, l_max + 1):
        following = ((2 * order - 1) * cosine * current - (order - 1) * before) / order
        before, current = current, following
        if order % 2 == 0:
            orders.append(current.mean(axis=0))
    return np.stack(orders, axis=-1)


def _code(hkl: IntArray, width: int) -> IntArray:
    """One integer per hkl; indices without a minus sign rank above all others."""
    shifted = hkl + width // 2
    code = (shifted[:, 0] * width + shifted[:, 1]) * width + shifted[:, 2]
    return np.asarray(code + np.where((hkl >= 0).all(axis=1), width**3, 0))


def _decode(code: IntArray, width: int) -> IntArray:
    plain = code % width**3
    return np.stack([plain // width**2, plain // width % width, plain % width], 1) - width // 2
