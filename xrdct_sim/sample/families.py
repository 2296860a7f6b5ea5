"""The cell families by the name that a phantom's file gives: a new family is one line here."""

from collections.abc import Callable, Mapping

from xrdct_sim.sample.coin_cell import coin_cell
from xrdct_sim.sample.phantom import Phantom

Parameters = Mapping[str, Mapping[str, float | str]]
Builder = Callable[[Parameters, Mapping[str, Mapping[str, float]], Mapping[str, float]], Phantom]

FAMILIES: Mapping[str, Builder] = {"coin_cell": coin_cell}


def build_phantom(
    family: str,
    parameters: Parameters,
    composition: Mapping[str, Mapping[str, float]],
    density_mg_per_mm3: Mapping[str, float],
) -> Phantom:
    """Build a phantom of a family.

    Parameters
    ----------
    family
        A key of `FAMILIES`.
    parameters
        Groups of values as in the phantom's file.
    composition
        Volume fractions of pure materials for every material that may be named.
    density_mg_per_mm3
        Densities of the pure materials.
    """
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"family = {family!r}: no such cell family (known: {known})")
    return FAMILIES[family](parameters, composition, density_mg_per_mm3)
