"""Makes the parts of the documentation that come from the code: tables of settings and pictures.

``python docs/generate.py`` rewrites the tables in ``usage.md`` and ``phantoms.md`` and the drawings
of the phantom; ``python docs/generate.py RUN`` also draws ``images/result.png`` from the folder of
a run. ``tests/test_docs.py`` holds the tables to what is written here.
"""

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from xrdct_sim.config.experiment import RunSettings
from xrdct_sim.config.layers import load_settings
from xrdct_sim.config.phantoms import load_phantom_spec
from xrdct_sim.judge.draw_maps import map_rows, map_triple
from xrdct_sim.judge.figures import film_slice, film_voxels
from xrdct_sim.judge.palette import png
from xrdct_sim.sample.coin_cell import REGIONS, CoinCell
from xrdct_sim.sample.shapes import Footprint
from xrdct_sim.workflow.build import phantom_of, pure_materials
from xrdct_sim.workflow.comparing import comparison_of
from xrdct_sim.workflow.folder import Folder

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
UNITS = (
    ("_um_fwhm", "um (FWHM)"),
    ("_eV_fwhm", "eV (FWHM)"),
    ("_g_cm3", "g/cm³"),
    ("_per_A", "1/Å"),
    ("_per_s", "1/s"),
    ("_keV", "keV"),
    ("_deg", "deg"),
    ("_mm", "mm"),
    ("_um", "um"),
    ("_s", "s"),
)
SHADES = ("#222222", "#CC79A7", "#E69F00", "#0072B2", "#999999", "#F0E442", "#CFE8F5", "#009E73")
"""One colour for each of ``REGIONS``, readable by the colour-blind; air is white."""


def unit_of(key: str) -> str:
    """Unit that a setting's name ends in."""
    return next((unit for ending, unit in UNITS if key.endswith(ending)), "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(must be given)"
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"{part:g}" for part in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "none"
    return "none" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(str(word) for word in get_args(kind))
    bounds = {type(mark).__name__: mark for mark in field.metadata}
    if "Ge" in bounds and "Le" in bounds:
        return " to ".join(
            str(bound) if isinstance(bound, int) else f"{bound:g}"
            for bound in (bounds["Ge"].ge, bounds["Le"].le)
        )
    return {bool: "true, false"}.get(kind if isinstance(kind, type) else object, "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _model_rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key, kind = f"{prefix}{field.alias or name}", field.annotation
        if _is_model(kind) or is_dataclass(kind):
            continue
        inner = get_args(kind)[-1] if get_origin(kind) is dict else None
        if _is_model(inner):
            yield from _model_rows(inner, f"{key}.NAME.")
            continue
        yield _row(
            f"`{key}`", unit_of(key), _default(field), _allowed(field), field.description or ""
        )


def _accuracy_meaning(name: str) -> str:
    """The sentence that stands under a field of `Accuracy`."""
    source = (DOCS.parent / "xrdct_sim" / "instrument" / "accuracy.py").read_text(encoding="utf-8")
    found = re.search(rf'\n    {name}:.*\n    """(.*)"""', source)
    return found.group(1) if found else ""


def _effect_meaning(name: str) -> str:
    """The comment that stands beside a field of `Effects`."""
    source = (DOCS.parent / "xrdct_sim" / "instrument" / "effects.py").read_text(encoding="utf-8")
    found = re.search(rf"\n    {name}: bool = True(?:  # (.*))?", source)
    return (found.group(1) or "") if found else ""


def settings_tables() -> str:
    """All settings of a run, a table for each section."""
    heading = [_row("key", "unit", "default", "allowed", "meaning"), "|---|---|---|---|---|"]
    top = [row for row in _model_rows(RunSettings, "") if "." not in row.split("`")[1]]
    parts = [("At the top", [*top])]
    meaning: Mapping[str, Callable[[str], str]] = {
        "accuracy": _accuracy_meaning,
        "effects": _effect_meaning,
    }
    for name, field in RunSettings.model_fields.items():
        kind: Any = field.annotation
        if _is_model(kind):
            parts.append((f"`[{name}]`", list(_model_rows(kind, f"{name}."))))
        elif is_dataclass(kind):
            rows = [
                _row(
                    f"`{name}.{one.name}`",
                    unit_of(one.name),
                    str(one.default).lower(),
                    "true, false" if isinstance(one.default, bool) else "above 0",
                    meaning[name](one.name),
                )
                for one in fields(kind)
            ]
            parts.append((f"`[{name}]`", rows))
    return "\n\n".join(f"### {title}\n\n" + "\n".join(heading + rows) for title, rows in parts)


def phantom_table(name: str) -> str:
    """All parameters of a phantom with their sources."""
    rows = [
        _row("parameter", "default", "allowed", "meaning", "source"),
        "|---|---|---|---|---|",
    ]
    for key, parameter in load_phantom_spec(name).parameters.items():
        unit = "" if parameter.unit in ("", "1") else f" {parameter.unit}"
        rows.append(
            _row(
                f"`{key}`",
                f"{parameter.value}{unit}",
                parameter.allowed,
                parameter.doc,
                parameter.source,
            )
        )
    return "\n".join(rows)


GENERATED: Mapping[str, tuple[str, Callable[[], str]]] = {
    "usage.md": ("settings", settings_tables),
    "phantoms.md": ("coin_cell", lambda: phantom_table("coin_cell")),
}


def refreshed(page: str, text: str) -> str:
    """Put what the code says between a page's markers."""
    mark, make = GENERATED[page]
    begin, end = f"<!-- begin {mark} -->", f"<!-- end {mark} -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return f"{head}{begin}\n\n{make()}\n\n{end}{tail}"


def _cell() -> CoinCell:
    phantom = phantom_of(load_settings("coin_cell", "paper"), pure_materials())
    if not isinstance(phantom, CoinCell):
        raise ValueError("phantom coin_cell: is of another family")
    return phantom


def _region_map(cell: CoinCell, points: np.ndarray) -> np.ndarray:
    """Index of the region that fills most of each point, -1 in air."""
    point = Footprint(rotation_rad=0.0, length_mm=1e-4, width_mm=1e-4, height_sigma_mm=1e-4)
    shares = jax.jit(lambda at: cell.regions(at, point))(points.astype(np.float32))
    stacked = np.stack([np.asarray(shares[name]) for name in REGIONS], axis=-1)
    return np.where(stacked.max(axis=-1) > 0.5, stacked.argmax(axis=-1), -1)


def _draw_regions(axes: Axes, regions: np.ndarray, box: tuple[float, float, float, float]) -> None:
    colours = ListedColormap(["#FFFFFF", *SHADES])
    norm = BoundaryNorm(np.arange(-1.5, len(REGIONS)), len(REGIONS) + 1)
    axes.imshow(
        regions,
        cmap=colours,
        norm=norm,
        extent=box,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )


def _section(
    cell: CoinCell, across: np.ndarray, heights: np.ndarray, azimuth_rad: float
) -> np.ndarray:
    """Regions in the vertical plane through the axis along an azimuth, (height, across)."""
    r, z = np.meshgrid(across, heights)
    points = np.stack([r * np.cos(azimuth_rad), r * np.sin(azimuth_rad), z], axis=-1)
    return _region_map(cell, points)


def phantom_picture() -> Figure:
    """Vertical sections of the coin cell along the tilt, and three of its slices."""
    settings = load_settings("coin_cell", "paper")
    cell = _cell()
    azimuth = float(cell.film_tilt_azimuth)
    figure = Figure(figsize=(10, 9.4), layout="constrained")
    grid = figure.add_gridspec(3, 6, height_ratios=[1.0, 1.0, 1.15])
    whole, close = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, :])
    across = np.linspace(-4.2, 4.2, 1601)
    low, high = -0.6, 3.4
    heights = np.linspace(low, high, 801)
    _draw_regions(whole, _section(cell, across, heights, azimuth), (-4.2, 4.2, low, high))
    whole.set(ylabel="height z (mm)", aspect="equal", title="vertical section along the tilt")
    near = np.linspace(-0.3, 0.45, 901)
    _draw_regions(close, _section(cell, across, near, azimuth), (-4.2, 4.2, -300, 450))
    close.set(
        xlabel="distance from the axis along the tilt (mm)",
        ylabel="height z (µm)",
        title="the same around the film; dashed: where the beam crosses in the five slices",
    )
    for k, height in enumerate(settings.scan.slice_heights_um):
        close.axhline(height, color="#D55E00", ls="--", lw=1)
        place = close.get_yaxis_transform()
        close.text(1.005, height, f"slice {k + 1}", va="center", fontsize=8, transform=place)
    side = np.linspace(-4.2, 4.2, 801)
    x, y = np.meshgrid(side, side)
    for k in range(3):
        height = settings.scan.slice_heights_um[k]
        axes = figure.add_subplot(grid[2, 2 * k : 2 * k + 2])
        points = np.stack([x, y, np.full_like(x, height * 1e-3)], axis=-1)
        _draw_regions(axes, _region_map(cell, points), (-4.2, 4.2, -4.2, 4.2))
        axes.set(
            aspect="equal",
            xlabel="x (mm)",
            title=f"slice {k + 1}, z = {height:g} µm".replace("-", "−"),
        )
        if k == 0:
            axes.set_ylabel("y (mm)")
    patches = [
        Patch(facecolor=colour, edgecolor="#555555", label=name)
        for name, colour in zip(REGIONS, SHADES, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(REGIONS))
    return figure


def small_png(figure: Figure) -> bytes:
    """A figure as PNG of at most 256 colours."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(110)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    buffer = io.BytesIO()
    picture.quantize(colors=96, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def result_picture(run: Path) -> bytes:
    """Maps of LiCoO2 over four slices above the texture map of the film, beside the truth."""
    comparison = comparison_of(Folder(path=run))
    piece = film_slice(comparison)
    if piece is None:
        raise ValueError(f"{run}: no slice has a film")
    figures = (
        map_rows(comparison.slices[:4], "LiCoO2"),
        map_triple(piece, "LiCoO2_003_texture_width", film_voxels(piece)),
    )
    parts = [Image.open(io.BytesIO(png(figure))) for figure in figures]
    size = (max(part.width for part in parts), sum(part.height for part in parts))
    whole = Image.new("P", size)
    whole.putpalette(parts[0].getpalette() or [])  # one palette for all pictures of a report
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    """Rewrite the generated tables and pictures."""
    for page in GENERATED:
        path = DOCS / page
        path.write_text(refreshed(page, path.read_text(encoding="utf-8")), encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "coin_cell.png").write_bytes(small_png(phantom_picture()))
    if arguments:
        (IMAGES / "result.png").write_bytes(result_picture(Path(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
