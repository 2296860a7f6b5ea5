"""NeXus files as values: a tree of groups and data sets, written whole or not at all.

Arrays are gzip-compressed with shuffle, which any HDF5 reader knows. Left out: streamed frames
(`nxtomo`).
"""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

PROGRAM = "xrdct_sim"
_COMPRESS_ABOVE_BYTES = 4096
_STRING = h5py.string_dtype("utf-8")

Attribute = str | int | float | Sequence[str] | NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An array, a number or a text, with its attributes."""

    values: NDArray[Any] | str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def units(self) -> str:
        """Unit in ASCII, empty for none."""
        return str(self.attributes.get("units", ""))


@dataclass(frozen=True, kw_only=True)
class Link:
    """Another name for what is at ``target``, a path from the root of the same file."""

    target: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """A NeXus group: its class, its attributes and what is in it."""

    nx_class: str
    members: Mapping[str, "Group | Dataset | Link"] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


Node = Group | Dataset | Link


def dataset(
    values: ArrayLike, units: str = "", long_name: str = "", interpretation: str = ""
) -> Dataset:
    """Array or text with the attributes that viewers read; units are ASCII ("1/angstrom")."""
    given = {"units": units, "long_name": long_name, "interpretation": interpretation}
    if not units.isascii():
        raise ValueError(f"units = {units!r}: allowed are ASCII units such as 1/angstrom")
    attributes: dict[str, Attribute] = {key: text for key, text in given.items() if text}
    held = values if isinstance(values, str) else np.asarray(values)
    return Dataset(values=held, attributes=attributes)


def data_group(
    members: Mapping[str, Dataset | Link],
    *,
    signal: str,
    axes: Sequence[str],
    errors: Mapping[str, ArrayLike] | None = None,
    auxiliary: Sequence[str] = (),
    attributes: Mapping[str, Attribute] | None = None,
) -> Group:
    """NXdata: ``signal`` is shown first, over ``axes``; ``errors[name]`` belongs to ``name``.

    An axis "." has no scale. Errors are standard deviations, stored as ``<name>_errors``.
    """
    held: dict[str, Dataset | Link] = dict(members)
    for name, sigma in (errors or {}).items():
        owner = held.get(name)
        if not isinstance(owner, Dataset) or np.shape(sigma) != np.shape(owner.values):
            raise ValueError(f"{name}_errors: needs data {name!r} of shape {np.shape(sigma)}")
        held[f"{name}_errors"] = dataset(sigma, owner.units)
    missing = [name for name in (signal, *auxiliary, *axes) if name != "." and name not in held]
    if missing:
        raise ValueError(f"NXdata lacks its member {missing[0]!r}; it has {', '.join(held)}")
    shown: dict[str, Attribute] = {"signal": signal, "axes": list(axes)}
    if auxiliary:
        shown["auxiliary_signals"] = list(auxiliary)
    return Group(nx_class="NXdata", members=held, attributes={**shown, **(attributes or {})})


def process_group(
    *, version: str, date: str, parameters: Mapping[str, str | int | float], program: str = PROGRAM
) -> Group:
    """NXprocess: what made the data beside it, with which settings (config, sha256, ...)."""
    settings = Group(
        nx_class="NXparameters",
        members={
            key: dataset(value if isinstance(value, str) else np.asarray(value))
            for key, value in parameters.items()
        },
    )
    return Group(
        nx_class="NXprocess",
        members={
            "program": dataset(program),
            "version": dataset(version),
            "date": dataset(date),
            "parameters": settings,
        },
    )


def entry_group(
    members: Mapping[str, Node],
    *,
    title: str,
    default: str,
    definition: str = "",
    attributes: Mapping[str, Attribute] | None = None,
) -> Group:
    """NXentry whose member ``default`` is what a viewer opens."""
    if default not in members:
        raise ValueError(f"default = {default!r}: the entry has {', '.join(members)}")
    named = {"definition": dataset(definition)} if definition else {}
    return Group(
        nx_class="NXentry",
        members={"title": dataset(title), **named, **members},
        attributes={"default": default, **(attributes or {})},
    )


def root_group(entries: Mapping[str, Node], default: str = "entry") -> Group:
    """NXroot whose member ``default`` is what a viewer opens."""
    if default not in entries:
        raise ValueError(f"default = {default!r}: the file has {', '.join(entries)}")
    return Group(
        nx_class="NXroot", members=entries, attributes={"default": default, "creator": PROGRAM}
    )


@contextmanager
def created(path: Path | str) -> Iterator[h5py.File]:
    """Open a new file that appears at ``path`` only when all went well.

    It is written under a hidden name in the same folder, flushed to the disk, then renamed.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: no folder {target.parent}")
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with h5py.File(part, "x") as file:
            file.attrs["file_name"] = target.name
            file.attrs["HDF5_Version"] = h5py.version.hdf5_version
            yield file
        with part.open("rb+") as closed:
            os.fsync(closed.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def opened(path: Path | str) -> Iterator[h5py.File]:
    """Open a file to read; what is no HDF5 file, or a damaged one, is a `ValueError` naming it."""
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file")
    try:
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{source}: not a readable HDF5 file ({first})") from error


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the file's name before a complaint about what is in it."""
    try:
        yield
    except ValueError as error:
        if str(error).startswith(f"{path}:"):
            raise
        raise ValueError(f"{path}: {error}") from error


def write(path: Path | str, root: Group) -> None:
    """Write a whole tree; ``path`` is replaced at once, or left as it was."""
    with created(path) as file:
        write_into(file, root)


def write_into(parent: h5py.Group, group: Group) -> None:
    """Write a group's class, attributes and members into an open one."""
    parent.attrs["NX_class"] = group.nx_class
    _write_attributes(parent, group.attributes)
    for name, member in group.members.items():
        if isinstance(member, Link):
            parent[name] = h5py.SoftLink(member.target)
        elif isinstance(member, Group):
            write_into(parent.require_group(name), member)
        else:
            _write_attributes(_write_values(parent, name, member.values), member.attributes)


def _write_values(parent: h5py.Group, name: str, values: NDArray[Any] | str) -> h5py.Dataset:
    if isinstance(values, str):
        return parent.create_dataset(name, data=values, dtype=_STRING)
    if values.dtype.kind in "UO":
        return parent.create_dataset(name, data=values.astype(object), dtype=_STRING)
    if values.nbytes > _COMPRESS_ABOVE_BYTES:
        return parent.create_dataset(name, data=values, compression="gzip", shuffle=True)
    return parent.create_dataset(name, data=values)


def _write_attributes(item: h5py.Group | h5py.Dataset, attributes: Mapping[str, Attribute]) -> None:
    for key, value in attributes.items():
        texts = not isinstance(value, str | int | float | np.ndarray)
        item.attrs[key] = np.asarray(value, dtype=_STRING) if texts else value


def read(
    path: Path | str, leave_out: Sequence[str] = (), only: Sequence[str] | None = None
) -> Group:
    """Read a file's tree but for the paths in ``leave_out``; soft links come back as `Link`.

    ``only`` names the members of the root to read, if not all are wanted.
    """
    with opened(path) as file:
        unwanted = () if only is None else [name for name in file if name not in only]
        return _read_group(file, {f"/{where.strip('/')}" for where in (*leave_out, *unwanted)})


def _read_group(group: h5py.Group, leave_out: set[str]) -> Group:
    members: dict[str, Node] = {}
    for name in group:
        link = group.get(name, getlink=True)
        if f"{group.name.rstrip('/')}/{name}" in leave_out:
            continue
        if isinstance(link, h5py.SoftLink):
            members[name] = Link(target=link.path)
        elif isinstance(link, h5py.ExternalLink):
            members[name] = Dataset(values=f"{link.filename}::{link.path}")
        elif isinstance(group[name], h5py.Group):
            members[name] = _read_group(group[name], leave_out)
        else:
            held = group[name]
            members[name] = Dataset(values=_read_values(held), attributes=_read_attributes(held))
    attributes = _read_attributes(group)
    nx_class = str(attributes.pop("NX_class", ""))
    return Group(nx_class=nx_class, members=members, attributes=attributes)


def _read_values(held: h5py.Dataset) -> NDArray[Any] | str:
    if h5py.check_string_dtype(held.dtype) is None:
        return np.asarray(held[()])
    text = held.asstr()[()]
    return text if isinstance(text, str) else np.asarray(text, dtype=object)


def _read_attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for key, value in item.attrs.items():
        texts = isinstance(value, np.ndarray) and value.dtype.kind == "O"
        plain = value.item() if isinstance(value, np.generic) else value
        found[key] = [str(text) for text in value] if texts else plain
    return found


def member(root: Group, where: str) -> Node:
    """Return what is at ``where`` (``entry/maps/film``) from the file's root, through its links."""
    node: Node = root
    for name in where.strip("/").split("/"):
        if not isinstance(node, Group) or name not in node.members:
            raise ValueError(f"no {name!r} on the way to {where}")
        node = node.members[name]
        if isinstance(node, Link):
            node = member(root, node.target)
    return node


def array(root: Group, where: str) -> NDArray[Any]:
    """Return the values at ``where``, which must be an array or a number."""
    node = member(root, where)
    if not isinstance(node, Dataset) or isinstance(node.values, str):
        raise ValueError(f"{where} is not an array")
    return node.values


def text(root: Group, where: str) -> str:
    """Return the text at ``where``."""
    node = member(root, where)
    if not isinstance(node, Dataset) or not isinstance(node.values, str):
        raise ValueError(f"{where} is not a text")
    return node.values
