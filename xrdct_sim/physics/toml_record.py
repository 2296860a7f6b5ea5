"""Read checked entries from a TOML file; every complaint names file, key, value and range.

A number stands in its file as ``{ value = 5.05, source = "where it comes from" }``.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or nothing."""
    by_lower = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One table of a TOML file, with the path of keys that leads to it."""

    file: str
    path: str
    table: Mapping[str, Any]

    def error(self, key: str, problem: str) -> ValueError:
        """Build a one-line error naming the file and the full key."""
        return ValueError(f"{self.file}: {self.path}{key}: {problem}")

    def check_keys(self, known: Iterable[str]) -> None:
        """Raise for a key that is not known, suggesting the nearest one."""
        names = list(known)
        for key in self.table:
            if key not in names:
                hint = nearest_name(key, names)
                raise self.error(key, f"unknown key{hint} (known: {', '.join(names)})")

    def required(self, key: str) -> Any:
        """Return the raw entry, or raise if it is missing."""
        if key not in self.table:
            raise self.error(key, "missing")
        return self.table[key]

    def text(self, key: str) -> str:
        """Return a non-empty string."""
        value = self.required(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"{value!r} is not a non-empty string")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """Return a plain number in [low, high]."""
        return self._in_range(key, self.required(key), low, high)

    def sourced_number(self, key: str, low: float, high: float) -> float:
        """Return the value of ``{ value, source }``, in [low, high]; the source must be there."""
        entry = self.record(key)
        entry.check_keys(("value", "source"))
        entry.text("source")
        return entry.number("value", low, high)

    def record(self, key: str) -> "Record":
        """Return the table under a key."""
        value = self.required(key)
        if not isinstance(value, Mapping):
            raise self.error(key, f"{value!r} is not a table")
        return Record(file=self.file, path=f"{self.path}{key}.", table=value)

    def records(self, key: str) -> tuple["Record", ...]:
        """Return the tables of an array of tables."""
        entries = self.required(key)
        if not isinstance(entries, list) or not all(isinstance(e, Mapping) for e in entries):
            raise self.error(key, f"{entries!r} is not an array of tables")
        return tuple(
            Record(file=self.file, path=f"{self.path}{key}[{i}].", table=entry)
            for i, entry in enumerate(entries)
        )

    def numbers(self, key: str, low: float, high: float) -> dict[str, float]:
        """Return a non-empty table of numbers, each in [low, high]."""
        entry = self.record(key)
        if not entry.table:
            raise self.error(key, "is empty")
        return {name: entry.number(name, low, high) for name in entry.table}

    def _in_range(self, key: str, value: object, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"{value!r} is not a number in {low:g} to {high:g}")
        if not low <= value <= high:
            raise self.error(key, f"{value:g} is out of range {low:g} to {high:g}")
        return float(value)


def read_record(file: Traversable) -> Record:
    """Read a whole TOML file; a file that is missing or not TOML raises ``ValueError``."""
    try:
        return Record(file=str(file), path="", table=tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ValueError(f"{file}: cannot be read: {problem}") from None
