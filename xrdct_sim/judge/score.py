"""The score of a comparison: every metric of every map, as a value and as JSON.

Angles leave here in degrees. Which metrics judge which map: `metric_table`.
"""

import json
import math
import platform
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from xrdct_sim import __version__
from xrdct_sim.judge import metrics
from xrdct_sim.judge.compare import Comparison, FloatArray, MapKind, MapPair, SliceComparison
from xrdct_sim.judge.metric_table import METRICS, METRICS_OF, Scored

SCHEMA = 1
KINDS = get_args(MapKind)
LIBRARIES = ("numpy", "scipy", "scikit-image")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One number: a metric of one quantity over one slice."""

    name: str  # of the map, e.g. "LiCoO2_003_width"
    slice: str
    quantity: str  # for people
    kind: MapKind
    metric: str  # one of `METRICS`
    value: float  # NaN where the metric is not defined; the note says why
    unit: str
    n_voxels: int
    note: str = ""
    error: float = math.nan  # one standard error if voxels were independent; NaN where not known


@dataclass(frozen=True, kw_only=True)
class Score:
    """All numbers of a comparison."""

    name: str
    entries: tuple[Entry, ...]

    def get(self, name: str, slice_label: str, metric: str) -> Entry | None:
        """Return one entry, if it is there."""
        wanted = (name, slice_label, metric)
        return next((e for e in self.entries if (e.name, e.slice, e.metric) == wanted), None)


def error_map(pair: MapPair) -> FloatArray:
    """Recovered minus true, in the pair's unit; a ring's centre is known modulo half a turn."""
    period = math.pi if pair.kind == "texture_centre" else None
    return metrics.difference(pair.recovered, pair.truth, period)


def scored_region(pair: MapPair) -> NDArray[np.bool_]:
    """Voxels to be scored: the pair's own choice, where the truth is defined."""
    known = np.isfinite(pair.truth)
    return known if pair.where is None else known & pair.where


def _check(piece: SliceComparison, name: str, pair: MapPair) -> None:
    expected = (len(piece.y_mm), len(piece.x_mm))
    for part in ("recovered", "truth", "error_bar", "where"):
        values = getattr(pair, part)
        if values is not None and values.shape != expected:
            raise ValueError(
                f"{piece.label}: {name}.{part} has shape {values.shape}, "
                f"but the slice's axes (y, x) have {expected}"
            )
    if pair.kind not in METRICS_OF:
        raise ValueError(f"{piece.label}: {name}.kind = {pair.kind!r} is not one of {KINDS}")


def _true_bounds(comparison: Comparison) -> dict[str, tuple[float, float]]:
    """Smallest and largest truth of each quantity over the scored voxels of all slices."""
    bounds: dict[str, tuple[float, float]] = {}
    for piece in comparison.slices:
        for name, pair in piece.maps.items():
            _check(piece, name, pair)
            values = pair.truth[scored_region(pair)]
            if values.size:
                low, high = bounds.get(name, (math.inf, -math.inf))
                bounds[name] = min(low, float(values.min())), max(high, float(values.max()))
    return bounds


def _scored(pair: MapPair, bounds: tuple[float, float]) -> Scored:
    region = scored_region(pair)
    scale = math.degrees(1) if pair.unit == "rad" else 1.0

    def inside(values: FloatArray) -> FloatArray:
        return np.where(region, np.asarray(values, np.float64) * scale, np.nan)

    return Scored(
        recovered=inside(pair.recovered),
        truth=inside(pair.truth),
        error=inside(error_map(pair)),
        error_bar=None if pair.error_bar is None else inside(pair.error_bar),
        region=region,
        low=bounds[0] * scale,
        high=bounds[1] * scale,
    )


def score(comparison: Comparison) -> Score:
    """Score each map of each slice with the metrics of its kind, `METRICS_OF`."""
    bounds = _true_bounds(comparison)
    entries = []
    for piece in comparison.slices:
        for name, pair in piece.maps.items():
            scored = _scored(pair, bounds.get(name, (math.nan, math.nan)))
            unit = "deg" if pair.unit == "rad" else pair.unit
            for metric in METRICS_OF[pair.kind]:
                spec = METRICS[metric]
                result = spec.compute(scored)
                entries.append(
                    Entry(
                        name=name,
                        slice=piece.label,
                        quantity=pair.title,
                        kind=pair.kind,
                        metric=metric,
                        value=result.value,
                        unit=spec.unit or unit,
                        n_voxels=result.n_voxels,
                        note=result.note,
                        error=result.error,
                    )
                )
    return Score(name=comparison.name, entries=tuple(entries))


def _plain(entry: Entry) -> dict[str, Any]:
    record = asdict(entry)
    for key in ("value", "error"):
        record[key] = record[key] if math.isfinite(record[key]) else None
    return record


def score_json(score: Score, comparison: Comparison) -> str:
    """Return the score as JSON text; a number that is not defined is null, with a note."""
    versions = {"xrdct_sim": __version__, "python": platform.python_version()}
    document = {
        "schema": SCHEMA,
        "name": score.name,
        "versions": versions | {name: version(name) for name in LIBRARIES},
        "settings": dict(comparison.settings),
        "provenance": dict(comparison.provenance),
        "metrics": [_plain(entry) for entry in score.entries],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_score(path: Path) -> Score:
    """Read a score that `score_json` wrote."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise ValueError(f"{path}: schema = {found!r}, but only {SCHEMA} can be read")
    keys = {field.name for field in fields(Entry)}
    entries = []
    for index, record in enumerate(document.get("metrics", [])):
        if set(record) != keys:
            odd = ", ".join(sorted(set(record) ^ keys))
            raise ValueError(f"{path}: metrics[{index}]: missing or unknown keys: {odd}")
        numbers = {k: math.nan if record[k] is None else record[k] for k in ("value", "error")}
        entries.append(Entry(**(record | numbers)))
    return Score(name=document.get("name", ""), entries=tuple(entries))
