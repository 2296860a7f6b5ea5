"""Phantom files: which parameters a phantom has, their units, bounds and sources.

A parameter is a table with a ``value``: ``[film.tilt_deg] value = 0.8, min = 0.0, max = 5.0,
unit = "deg", doc = "...", source = "..."``. The value's type is the parameter's: a whole number
stays one. The table ``[experiment]`` holds settings that suit the phantom, such as its rings.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from xrdct_sim.physics.toml_record import nearest_name

Value = bool | int | float | str | tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a phantom."""

    name: str  # dotted
    value: Value
    low: float | None
    high: float | None
    choices: tuple[Value, ...]
    unit: str
    doc: str
    source: str

    @property
    def allowed(self) -> str:
        """Allowed values in words."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        kind = {bool: "true or false", int: "a whole number", str: "a text"}
        words = kind.get(type(self.value), "a number")
        if isinstance(self.value, tuple):
            words = f"{len(self.value)} numbers"
        unit = f" {self.unit}" if self.unit not in ("", "1") else ""
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low:g} to {self.high:g}{unit}"
        if self.low is not None or self.high is not None:
            bound = f"from {self.low:g}" if self.low is not None else f"up to {self.high:g}"
            return f"{words} {bound}{unit}"
        return words

    def check(self, value: object) -> Value:
        """Return the value in the parameter's type, or raise `ValueError` with what is allowed."""
        if isinstance(self.value, tuple):
            parts = tuple(value) if isinstance(value, list | tuple) else ()
            if len(parts) != len(self.value):
                raise ValueError(f"{value!r}: allowed is {self.allowed}")
            return tuple(
                self._single(part, own) for part, own in zip(parts, self.value, strict=True)
            )
        return self._single(value, self.value)

    def _single(self, value: object, own: Value) -> Value:
        result: Value
        if (
            isinstance(own, float)
            and isinstance(value, int | float)
            and not isinstance(value, bool)
        ):
            result = float(value)
        elif type(value) is type(own) and isinstance(value, bool | int | str):
            result = value
        else:
            raise ValueError(f"{value!r}: allowed is {self.allowed}")
        if self.choices and result not in self.choices:
            raise ValueError(f"{value!r}: allowed is {self.allowed}")
        if isinstance(result, int | float):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            if not (low <= result <= high and math.isfinite(result)):
                raise ValueError(f"{value!r}: allowed is {self.allowed}")
        return result


@dataclass(frozen=True, kw_only=True)
class PhantomSpec:
    """What a phantom's file says."""

    name: str
    family: str
    doc: str
    parameters: Mapping[str, Parameter]
    experiment: Mapping[str, Any]

    def resolve(self, overrides: Mapping[str, tuple[object, str]]) -> dict[str, Value]:
        """Return all parameters; ``overrides[name]`` is a value and where it was given."""
        values = {name: parameter.value for name, parameter in self.parameters.items()}
        for name, (value, origin) in overrides.items():
            if name not in self.parameters:
                groups = any(known.startswith(f"{name}.") for known in self.parameters)
                hint = " (a group, not a parameter)" if groups else nearest_name(name, values)
                raise ValueError(f"{origin}: {name}: phantom {self.name} has no such key{hint}")
            try:
                values[name] = self.parameters[name].check(value)
            except ValueError as error:
                raise ValueError(f"{origin}: {name} = {error}") from None
        return values


def phantom_names() -> tuple[str, ...]:
    """Names of the phantoms that ship with the package."""
    folder = files("xrdct_sim.phantoms")
    return tuple(
        sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if _is_toml(item))
    )


def _is_toml(item: Traversable) -> bool:
    return item.is_file() and item.name.endswith(".toml")


def load_phantom_spec(name: str) -> PhantomSpec:
    """Read a phantom's file: one of `phantom_names`, or the path of a TOML file."""
    if name.endswith(".toml"):
        source: Traversable = Path(name)
    elif name in phantom_names():
        source = files("xrdct_sim.phantoms") / f"{name}.toml"
    else:
        raise ValueError(
            f"phantom = {name!r}: no such phantom{nearest_name(name, phantom_names())} "
            f"(known: {', '.join(phantom_names())})"
        )
    table = read_toml(source)
    family = table.get("family")
    if not isinstance(family, str):
        raise ValueError(f"{source}: family = {family!r}: allowed is the name of a cell family")
    experiment = table.pop("experiment", {})
    found = {p.name: p for p in _parameters(table, "", str(source))}
    doc = str(table.get("doc", ""))
    return PhantomSpec(name=name, family=family, doc=doc, parameters=found, experiment=experiment)


def read_toml(source: Traversable) -> dict[str, Any]:
    """Read a TOML file; what is none is a `ValueError` naming it."""
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{source}: no such file") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{source}: not a TOML file: {error}") from None


_KNOWN = ("value", "min", "max", "choices", "unit", "doc", "source")


def _parameters(table: Mapping[str, Any], prefix: str, file: str) -> Iterator[Parameter]:
    for key, entry in table.items():
        if not isinstance(entry, Mapping):
            continue
        name = f"{prefix}{key}"
        if "value" not in entry:
            yield from _parameters(entry, f"{name}.", file)
            continue
        wrong = [word for word in entry if word not in _KNOWN]
        if wrong:
            raise ValueError(f"{file}: {name}.{wrong[0]}: unknown{nearest_name(wrong[0], _KNOWN)}")
        value = entry["value"]
        parameter = Parameter(
            name=name,
            value=tuple(value) if isinstance(value, list) else value,
            low=entry.get("min"),
            high=entry.get("max"),
            choices=tuple(entry.get("choices", ())),
            unit=str(entry.get("unit", "")),
            doc=str(entry.get("doc", "")),
            source=str(entry.get("source", "")),
        )
        try:
            parameter.check(value)
        except ValueError as error:
            raise ValueError(f"{file}: {name} = {error}") from None
        yield parameter
