"""From what the user gave to settings: defaults, preset, file and single values, in that order.

The phantom's own file may suggest an experiment, below the preset. Later layers win. Each value
remembers where it was given, so that a complaint can say so.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from xrdct_sim.config.experiment import EXPERIMENT_KEYS, RecoverSettings, RunSettings
from xrdct_sim.config.phantoms import load_phantom_spec, read_toml
from xrdct_sim.physics.toml_record import nearest_name

Table = dict[str, Any]

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")


class Layer(NamedTuple):
    """Settings from one place."""

    origin: str
    table: Table


def preset_names() -> tuple[str, ...]:
    """Names of the experiments that ship with the package."""
    folder = files("xrdct_sim.phantoms") / "experiments"
    found = (item.name for item in folder.iterdir() if item.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in found))


def load_settings(
    target: str, preset: str | None = None, overrides: Sequence[str] = ()
) -> RunSettings:
    """Return the settings of a run.

    Parameters
    ----------
    target
        A phantom's name, or a TOML file with settings (such as a run's ``config.toml``).
    preset
        One of `preset_names`; replaces the file's own.
    overrides
        ``key=value``: a phantom's parameter, or an experiment's setting if the first key is one of
        `EXPERIMENT_KEYS`.
    """
    layer = _target_layer(target)
    chosen = layer.table.get("preset", "") if preset is None else preset
    layers = [*_phantom_layers(layer)]
    layers += _preset_layers(chosen, layer.origin if preset is None else "--preset")
    layers += [layer, *(_override_layer(text) for text in overrides)]
    values, origins = _merged(layers)
    values["preset"] = chosen
    given = {
        name.removeprefix("phantom.parameters."): (values.pop(name), origins[name])
        for name in [key for key in values if key.startswith("phantom.parameters.")]
    }
    settings = _validated(values, origins)
    spec = load_phantom_spec(settings.phantom.name)
    phantom = settings.phantom.model_copy(update={"parameters": spec.resolve(given)})
    return settings.model_copy(update={"phantom": phantom})


def load_recover_settings(file: str | None, overrides: Sequence[str] = ()) -> RecoverSettings:
    """Return the settings of a recovery: ``[recover]`` of a TOML file, then ``recover.key=value``.

    Whatever else the file says, of a phantom for instance, is not looked at.
    """
    layers = [] if file is None else [Layer(file, read_toml(Path(file)))]
    layers = [Layer(one.origin, {"recover": one.table.get("recover", {})}) for one in layers]
    for text in overrides:
        if not text.strip().startswith("recover."):
            raise ValueError(f"--set {text}: a recovery has settings of recover.* only")
        layers.append(_override_layer(text))
    values, origins = _merged(layers)
    return _validated({**values, "phantom.name": ""}, origins).recover


def nested(parameters: Mapping[str, Any]) -> Table:
    """Turn ``{"film.tilt_deg": 1}`` into ``{"film": {"tilt_deg": 1}}``."""
    tree: Table = {}
    for name, value in parameters.items():
        *groups, last = name.split(".")
        table = tree
        for group in groups:
            table = table.setdefault(group, {})
        table[last] = value
    return tree


def settings_toml(settings: RunSettings) -> str:
    """Return the text of a resolved ``config.toml``; loading it gives the same settings."""
    table = settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    table["phantom"]["parameters"] = nested(settings.phantom.parameters)
    return tomli_w.dumps(table)


def _target_layer(target: str) -> Layer:
    if not target.endswith(".toml"):
        load_phantom_spec(target)
        return Layer("command line", {"phantom": {"name": target}})
    table = read_toml(Path(target))
    for section, key in (("detector", "poni"), ("phantom", "name")):
        held = table.get(section)
        value = held.get(key) if isinstance(held, dict) else None
        is_file = isinstance(value, str) and value.endswith((".poni", ".toml"))
        if isinstance(held, dict) and isinstance(value, str) and is_file:
            held[key] = str((Path(target).parent / value).resolve())
    return Layer(target, table)


def _phantom_layers(target: Layer) -> Iterator[Layer]:
    """Return the experiment that the phantom's own file suggests."""
    section = target.table.get("phantom")
    name = section.get("name") if isinstance(section, dict) else None
    if isinstance(name, str):
        yield Layer(f"phantom {name}", dict(load_phantom_spec(name).experiment))


def _preset_layers(preset: object, origin: str) -> Iterator[Layer]:
    if preset == "":
        return
    if preset not in preset_names():
        hint = nearest_name(str(preset), preset_names())
        raise ValueError(
            f"{origin}: preset = {preset!r}: no such preset{hint} "
            f"(known: {', '.join(preset_names())})"
        )
    source = files("xrdct_sim.phantoms") / "experiments" / f"{preset}.toml"
    yield Layer(f"preset {preset}", read_toml(source))


def _override_layer(text: str) -> Layer:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(part.strip() for part in key.split(".")):
        raise ValueError(f"--set {text}: allowed is key=value, such as scan.exposure_s=0.5")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a text
    first = key.split(".")[0]
    name = key if first in EXPERIMENT_KEYS else f"phantom.parameters.{key}"
    return Layer("--set", nested({name: parsed}))


def _merged(layers: Sequence[Layer]) -> tuple[Table, dict[str, str]]:
    """Return values and origins by dotted name, later layers winning."""
    values: Table = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for name, value in _leaves(layer.table, ""):
            values[name] = value
            origins[name] = layer.origin
    for name in values:
        groups = name.split(".")[:-1]
        for depth in range(len(groups)):
            group = ".".join(groups[: depth + 1])
            if group in values:
                raise ValueError(
                    f"{origins[group]}: {group} = {values[group]!r}: allowed is a table of settings"
                )
    return values, origins


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        elif not isinstance(value, dict):
            yield f"{prefix}{key}", value


def _validated(values: Table, origins: Mapping[str, str]) -> RunSettings:
    try:
        return RunSettings.model_validate(nested(values))
    except ValidationError as error:
        # A misspelt key often makes another one missing: it is the one to name.
        found = sorted(error.errors(), key=lambda one: one["type"] not in _UNKNOWN_KEY)
        raise ValueError(_complaint(found[0], origins)) from None


def _complaint(error: Any, origins: Mapping[str, str]) -> str:
    """One line: where it was given, key, value, what is allowed, the nearest name."""
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    dotted = {f"{name}.": origin for name, origin in origins.items()}
    owner = ".".join(location[:-1] if error["type"] == "missing" else location)
    inside = [held for name, held in dotted.items() if name.startswith(f"{owner}.")]
    around = [held for name, held in dotted.items() if f"{key}.".startswith(name)]
    origin = next(iter([*inside, *around, *origins.values()]), "settings")
    if error["type"] in _UNKNOWN_KEY:
        return f"{origin}: {key}: no such key{_nearest_key(location)}"
    if error["type"] == "missing":
        return f"{origin}: {key}: missing"
    if error["type"] == "value_error":
        reason = str(error["ctx"]["error"])
        text = reason if " = " in reason else f"{error['input']!r}: {reason}"
        origin = origins.get(f"{key}.{reason.split(' = ')[0]}", origin)
        return f"{origin}: {key}{'.' if ' = ' in reason else ' = '}{text}"
    return f"{origin}: {key} = {error['input']!r}: allowed is {_allowed(location, error['msg'])}"


def _nearest_key(location: Sequence[str]) -> str:
    owner: Any = RunSettings
    for part in location[:-1]:
        field = owner.model_fields.get(part) if _is_model(owner) else None
        if field is not None:
            owner = field.annotation
        elif get_args(owner):  # a table of models under names of the user's choice
            owner = get_args(owner)[-1]
    if _is_model(owner):
        return nearest_name(location[-1], owner.model_fields)
    known = [field.name for field in fields(owner)] if is_dataclass(owner) else []
    return nearest_name(location[-1], known)


def _is_model(owner: Any) -> bool:
    return isinstance(owner, type) and issubclass(owner, BaseModel)


def _allowed(location: Sequence[str], message: str) -> str:
    """Bounds of the setting, or what pydantic says of its type."""
    owner: Any = RunSettings
    field = None
    for part in location:
        field = owner.model_fields.get(part) if _is_model(owner) else None
        owner = field.annotation if field is not None else owner
    bounds = {} if field is None else {type(m).__name__: m for m in field.metadata}
    words = message.removeprefix("Input should be ")
    if "Ge" in bounds and "Le" in bounds:
        range_text = f"{bounds['Ge'].ge:g} to {bounds['Le'].le:g}"
        return range_text if "than" in words else f"{words}, {range_text}"
    return words
