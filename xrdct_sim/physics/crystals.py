"""Crystal structures: read from CIF, expanded to the whole unit cell.

The only module that talks to gemmi. Left out: anisotropic and anharmonic displacement (an
anisotropic site enters with its mean), magnetic order, stacking faults.
"""

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SAME_PLACE_A = 0.05
"""Images of a site nearer than this are one atom on a special position."""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """All atoms of one unit cell, and the symmetry of its diffraction pattern."""

    name: str
    basis_A: FloatArray  # (3, 3), rows a, b, c
    laue_rotations: IntArray  # (n, 3, 3), with inversion; hkl row vectors multiply from the left
    elements: tuple[str, ...]  # (atoms,)
    positions: FloatArray  # (atoms, 3), fractional, in [0, 1)
    occupancy: FloatArray  # (atoms,)
    b_iso_A2: FloatArray  # (atoms,), 8 pi^2 <u^2>
    place: IntArray  # (atoms,), equal for atoms that share one position
    cell_mass_u: float

    @property
    def cell_volume_A3(self) -> float:
        """Volume of the unit cell, Å³."""
        return float(abs(np.linalg.det(self.basis_A)))

    @property
    def reciprocal_per_A(self) -> FloatArray:
        """Rows a*, b*, c* with a . a* = 2 pi, 1/Å."""
        return np.asarray(2 * np.pi * np.linalg.inv(self.basis_A).T, dtype=np.float64)


def read_structure(path: Path) -> Structure:
    """Read the first structure of a CIF file and expand it to the unit cell.

    Parameters
    ----------
    path
        CIF with cell, symmetry (operations or a space group's name) and atom sites.

    Returns
    -------
        The expanded structure.

    Raises
    ------
    ValueError
        One line naming the file, if it cannot be read or makes no sense.
    """
    try:
        small = gemmi.read_small_structure(str(path))
        operations = _operations(small)
        sites = _checked_sites(small)
        return _expand(small, operations, sites)
    except (OSError, ValueError, RuntimeError, IndexError) as problem:
        reason = str(problem).splitlines()[0].removeprefix(f"{path}:")
        raise ValueError(f"{path}: not a usable crystal structure: {reason}") from None


def _operations(small: gemmi.SmallStructure) -> gemmi.GroupOps:
    """Symmetry operations as listed, or those of the named space group."""
    if small.symops:
        return gemmi.GroupOps([gemmi.Op(text) for text in small.symops])
    if small.spacegroup is None:
        raise ValueError(f"no symmetry operations and no known space group {small.spacegroup_hm!r}")
    operations: gemmi.GroupOps = small.spacegroup.operations()
    return operations


def _checked_sites(small: gemmi.SmallStructure) -> list[gemmi.SmallStructure.Site]:
    """Return sites whose element, occupancy and displacement make sense, and a cell that does."""
    if not small.cell.is_crystal() or not small.cell.volume > 1.0:
        raise ValueError("no unit cell of finite volume (_cell_length_a ...)")
    if not len(small.sites):
        raise ValueError("no atom sites (_atom_site_fract_x ...)")
    for site in small.sites:
        if site.element.atomic_number == 0:
            raise ValueError(f"site {site.label}: unknown element {site.type_symbol!r}")
        if not 0 < site.occ <= 1:
            raise ValueError(f"site {site.label}: occupancy {site.occ:g} is out of range 0 to 1")
        if not 0 <= _b_iso(site) <= 100:
            raise ValueError(f"site {site.label}: B {_b_iso(site):g} Å² is out of range 0 to 100")
    return list(small.sites)


def _b_iso(site: gemmi.SmallStructure.Site) -> float:
    """Isotropic displacement parameter B = 8 pi² <u²>, Å²."""
    u_iso = site.aniso.trace() / 3 if site.aniso.nonzero() and site.u_iso == 0 else site.u_iso
    return float(8 * np.pi**2 * u_iso)


def _expand(
    small: gemmi.SmallStructure,
    operations: gemmi.GroupOps,
    sites: list[gemmi.SmallStructure.Site],
) -> Structure:
    ops = list(operations)
    rotations = np.array([op.rot for op in ops]) / gemmi.Op.DEN
    shifts = np.array([op.tran for op in ops]) / gemmi.Op.DEN
    basis = np.array(small.cell.orth.mat.tolist()).T
    orbits = [_orbit(np.array(s.fract.tolist()), rotations, shifts, basis) for s in sites]
    counts = [len(orbit) for orbit in orbits]
    positions = np.concatenate(orbits)
    occupancy = np.repeat([site.occ for site in sites], counts)
    place = _shared_places(positions, basis)
    crowded = np.bincount(place, weights=occupancy).max()
    if crowded > 1.001:
        raise ValueError(f"occupancies at one position add to {crowded:g}, more than 1")
    mass = sum(n * s.occ * s.element.weight for n, s in zip(counts, sites, strict=True))
    point_group = np.unique(rotations.round().astype(np.int64), axis=0)
    return Structure(
        name=small.name,
        basis_A=basis,
        laue_rotations=np.unique(np.concatenate([point_group, -point_group]), axis=0),
        elements=tuple(
            s.element.name for n, s in zip(counts, sites, strict=True) for _ in range(n)
        ),
        positions=positions,
        occupancy=occupancy,
        b_iso_A2=np.repeat([_b_iso(site) for site in sites], counts),
        place=place,
        cell_mass_u=mass,
    )


def _orbit(
    position: FloatArray, rotations: FloatArray, shifts: FloatArray, basis: FloatArray
) -> FloatArray:
    """Distinct images of a site, after moving it onto the special position it is meant for."""
    images = rotations @ position + shifts
    offsets = images - position - np.round(images - position)
    near = np.linalg.norm(offsets @ basis, axis=1) < SAME_PLACE_A
    settled = position + offsets[near].mean(axis=0)
    images = rotations @ settled + shifts
    places = _shared_places(images, basis)
    _, first = np.unique(places, return_index=True)
    return np.asarray((images[np.sort(first)] + 1e-9) % 1.0 - 1e-9)


def _shared_places(positions: FloatArray, basis: FloatArray) -> IntArray:
    """Give positions that coincide, up to lattice vectors, the same number."""
    offsets = positions[:, None] - positions[None]
    distances = np.linalg.norm((offsets - np.round(offsets)) @ basis, axis=-1)
    _, numbers = np.unique((distances < SAME_PLACE_A).argmax(axis=1), return_inverse=True)
    return numbers.astype(np.int64)
