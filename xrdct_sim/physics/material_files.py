"""Read materials from TOML files: ``load_material("LiCoO2")``.

A file holds a pure material (density, composition, and a structure or a halo) or a mixture of
pure materials by volume; every number has its source beside it.
"""

import math
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable

from xrdct_sim.physics.amorphous import CrystallineLines, Halo, HaloPeak
from xrdct_sim.physics.atoms import atomic_number, mass_fractions
from xrdct_sim.physics.crystals import Structure, read_structure
from xrdct_sim.physics.materials import Crystal, Material, Mixture
from xrdct_sim.physics.toml_record import Record, nearest_name, read_record

PURE_KEYS = ("description", "density_g_cm3", "composition", "structure", "halo")
MIXTURE_KEYS = ("description", "volume_fractions", "source")


def material_names(folder: Traversable | None = None) -> tuple[str, ...]:
    """Names of all materials in a folder (default: those that come with the package)."""
    entries = [entry.name for entry in _materials(folder).iterdir()]
    return tuple(sorted(name[:-5] for name in entries if name.endswith(".toml")))


def load_material(name: str, folder: Traversable | None = None) -> Material | Mixture:
    """Read one material or mixture by name.

    Parameters
    ----------
    name
        File name without ``.toml``.
    folder
        Where the files are; structures are looked for in its neighbour ``structures``.
        The default is the package's own phantoms.

    Returns
    -------
        A pure material, or a mixture with its parts read.

    Raises
    ------
    ValueError
        One line with file, key, value and range; an unknown name suggests the nearest.
    """
    record = _record(name, folder)
    if "volume_fractions" not in record.table:
        return _pure(name, record, folder)
    record.check_keys(MIXTURE_KEYS)
    record.text("source")
    fractions = record.numbers("volume_fractions", 0.0, 1.0)
    total = math.fsum(fractions.values())
    if total > 1 + 1e-9:
        problem = f"fractions add to {total:g}, out of range 0 to 1"
        raise record.error("volume_fractions", problem)
    parts = tuple((_part(record, key, folder), value) for key, value in fractions.items())
    return Mixture(name=name, description=record.text("description"), parts=parts)


def load_structure(name: str, folder: Traversable | None = None) -> Structure:
    """Read a crystal structure by its CIF's name, from the neighbour of the materials' folder."""
    source = (
        files("xrdct_sim.phantoms").joinpath("structures")
        if folder is None
        else folder.joinpath("..", "structures")
    )
    with as_file(source.joinpath(name)) as path:
        return read_structure(path)


def _materials(folder: Traversable | None) -> Traversable:
    return files("xrdct_sim.phantoms").joinpath("materials") if folder is None else folder


def _record(name: str, folder: Traversable | None) -> Record:
    known = material_names(folder)
    if name not in known:
        place = _materials(folder)
        raise ValueError(f"{place}: no material {name!r}{nearest_name(name, known)}")
    return read_record(_materials(folder).joinpath(f"{name}.toml"))


def _part(record: Record, name: str, folder: Traversable | None) -> Material:
    """One pure material of a mixture; a wrong name is told with the mixture's file."""
    known = material_names(folder)
    key = f"volume_fractions.{name}"
    if name not in known:
        raise record.error(key, f"no such material{nearest_name(name, known)}")
    part = _record(name, folder)
    if "volume_fractions" in part.table:
        raise record.error(key, "is itself a mixture; name pure materials only")
    return _pure(name, part, folder)


def _pure(name: str, record: Record, folder: Traversable | None) -> Material:
    record.check_keys(PURE_KEYS)
    if "structure" in record.table and "halo" in record.table:
        raise record.error("halo", "a material has a structure or a halo, not both")
    return Material(
        name=name,
        description=record.text("description"),
        density_g_cm3=record.sourced_number("density_g_cm3", 1e-5, 25.0),
        mass_fractions=_composition(record.record("composition")),
        crystal=_crystal(record, folder) if "structure" in record.table else None,
        halo=_halo(record.record("halo")) if "halo" in record.table else None,
    )


def _composition(record: Record) -> dict[str, float]:
    """Mass fractions from a formula or as listed, checked to add to 1 within 1 %."""
    record.check_keys(("formula", "mass_fractions", "source"))
    record.text("source")
    if "formula" in record.table:
        try:
            return mass_fractions(record.text("formula"))
        except ValueError as problem:
            raise record.error("formula", f"{record.text('formula')!r}: {problem}") from None
    listed = record.numbers("mass_fractions", 0.0, 1.0)
    for symbol in listed:
        try:
            atomic_number(symbol)
        except ValueError:
            raise record.error(f"mass_fractions.{symbol}", "is not an element") from None
    total = math.fsum(listed.values())
    if not 0.99 <= total <= 1.01:
        raise record.error("mass_fractions", f"add to {total:g}, out of range 0.99 to 1.01")
    return {symbol: fraction / total for symbol, fraction in listed.items()}


def _crystal(record: Record, folder: Traversable | None) -> Crystal:
    entry = record.record("structure")
    entry.check_keys(("cif", "crystallite_size_A", "microstrain"))
    try:
        structure = load_structure(entry.text("cif"), folder)
    except ValueError as problem:
        raise entry.error("cif", str(problem)) from None
    return Crystal(
        structure=structure,
        crystallite_size_A=entry.sourced_number("crystallite_size_A", 5.0, 1e7),
        microstrain=entry.sourced_number("microstrain", 0.0, 0.1),
    )


def _halo(record: Record) -> Halo:
    record.check_keys(("s0", "cut_off_per_A", "exponent", "peaks", "crystalline", "source"))
    record.text("source")
    return Halo(
        s0=record.number("s0", 0.0, 10.0),
        cut_off_per_A=record.number("cut_off_per_A", 0.01, 20.0),
        exponent=record.number("exponent", 0.5, 20.0),
        peaks=tuple(_peak(entry, "height") for entry in record.records("peaks")),
        crystalline=(
            _lines(record.record("crystalline")) if "crystalline" in record.table else None
        ),
    )


def _lines(record: Record) -> CrystallineLines:
    record.check_keys(("fraction", "lines", "source"))
    record.text("source")
    lines = tuple(_peak(entry, "relative_height") for entry in record.records("lines"))
    if not lines:
        raise record.error("lines", "is empty")
    return CrystallineLines(fraction=record.number("fraction", 0.0, 1.0), lines=lines)


def _peak(record: Record, height: str) -> HaloPeak:
    record.check_keys(("q_per_A", height, "fwhm_per_A", "hkl"))
    return HaloPeak(
        q_per_A=record.number("q_per_A", 0.01, 50.0),
        height=record.number(height, 0.0, 100.0),
        fwhm_per_A=record.number("fwhm_per_A", 0.001, 20.0),
    )
