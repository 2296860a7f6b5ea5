"""Maps as pictures: recovered beside true on one scale, units on every axis and bar.

Colour maps are readable by the colour-blind: cividis and viridis for values, RdBu for signed
differences with white at zero; grey stands for no value. Angles are shown in degrees.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from xrdct_sim.judge.compare import FloatArray, MapPair, SliceComparison
from xrdct_sim.judge.palette import AMOUNT, DARK, GREY, ORANGE, SIGNED, TEXTURE, shades
from xrdct_sim.judge.score import error_map, scored_region

Limits = tuple[float, float]
Box = tuple[float, float, float, float]  # x from, to; y from, to; mm

WIDTH_IN = 10.0  # 1200 px
LABEL_PT, TICK_PT = 10.5, 9.5
AMOUNTS = ("phase", "channel", "peak_area")  # quantities with a natural zero
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit_text(unit: str) -> str:
    """Return a unit for people: ``1/mm/sr`` becomes ``mm⁻¹ sr⁻¹``, ``1`` nothing."""
    symbols = {"angstrom": "Å", "deg": "°", "rad": "°", "um": "µm"}
    first, *below = unit.split("/")
    words = [] if first in ("1", "") else [symbols.get(first, first)]
    for part in below:
        name, _, power = part.partition("^")
        words.append(symbols.get(name, name) + f"-{power or 1}".translate(SUPERSCRIPT))
    return " ".join(words)


def quantity_text(pair: MapPair) -> str:
    """Return what a map shows, for people."""
    return {
        "phase": "volume fraction",
        "channel": "cross-section",
        "peak_area": "peak area",
        "peak_position": "peak position",
        "peak_width": "peak width",
        "texture_width": "azimuthal width",
        "texture_centre": "azimuth χ of the peak",
    }[pair.kind]


def bar_text(pair: MapPair, what: str = "", exponent: int = 0) -> str:
    """Label of a colour bar, with its unit and the power of ten taken out of its numbers."""
    power = "10" + str(exponent).translate(SUPERSCRIPT) if exponent else ""
    unit = " ".join(word for word in (power, unit_text(pair.unit)) if word)
    return (what or quantity_text(pair)) + (f" ({unit})" if unit else "")


def in_shown_unit(pair: MapPair, values: FloatArray) -> FloatArray:
    """Radians to degrees, other units as they are."""
    return np.asarray(values, np.float64) * (math.degrees(1) if pair.unit == "rad" else 1.0)


def colours(pair: MapPair) -> Colormap:
    """Colour map for values of this kind."""
    return shades(TEXTURE if pair.kind.startswith("texture") else AMOUNT)


def value_limits(pairs: Sequence[MapPair], focus: Sequence[NDArray[np.bool_]] = ()) -> Limits:
    """Colour limits from the truth's robust range over all given maps.

    Amounts start at zero and end at the 99th percentile of what is above 5 % of the maximum, so
    that a small feature is not saturated; other quantities span percentiles 2 to 98, widened to
    the size of the errors where the truth hardly varies.
    """
    regions = focus or [scored_region(pair) for pair in pairs]
    shown = [
        in_shown_unit(p, p.truth)[r & np.isfinite(p.truth)]
        for p, r in zip(pairs, regions, strict=True)
    ]
    values = np.concatenate([*shown, np.empty(0)])
    if not values.size:
        return 0.0, 1.0
    if pairs[0].kind in AMOUNTS:
        top = float(np.percentile(values[values >= 0.05 * values.max()], 99))
        low = min(0.0, float(np.percentile(values, 1)))
        return low, top if top > low else low + 1.0
    low, high = (float(v) for v in np.percentile(values, [2, 98]))
    margin = max(0.1 * (high - low), error_limit(pairs) / 2)
    return low - margin, high + margin


def error_limit(pairs: Sequence[MapPair]) -> float:
    """Half range of a difference's colours: 98th percentile of its size where it is scored."""
    sizes = [np.abs(in_shown_unit(p, error_map(p))[scored_region(p)]) for p in pairs]
    values = np.concatenate([*sizes, np.empty(0)])
    values = values[np.isfinite(values)]
    limit = float(np.percentile(values, 98)) if values.size else 0.0
    return limit if limit > 0 else 1e-12


def film_box(piece: SliceComparison, region: NDArray[np.bool_]) -> Box | None:
    """Frame around a region with a margin of a tenth; None where the region is empty."""
    if not region.any():
        return None
    spans = []
    for axis_mm, along in ((piece.x_mm, 0), (piece.y_mm, 1)):
        inside = axis_mm[region.any(axis=along)]
        margin = 0.1 * float(np.ptp(inside)) + abs(float(axis_mm[1] - axis_mm[0]))
        spans += [float(inside.min()) - margin, float(inside.max()) + margin]
    return spans[0], spans[1], spans[2], spans[3]


def draw_map(
    axes: Axes, piece: SliceComparison, values: FloatArray, cmap: Colormap, limits: Limits
) -> AxesImage:
    """Show one map with mm axes, origin lower left."""
    half = 0.5 * abs(float(piece.x_mm[1] - piece.x_mm[0]))
    x, y = piece.x_mm, piece.y_mm
    image = axes.imshow(
        np.ma.masked_invalid(values),
        origin="lower",
        extent=(x[0] - half, x[-1] + half, y[0] - half, y[-1] + half),
        cmap=cmap,
        norm=Normalize(*limits),
        interpolation="nearest",
        aspect="equal",
    )
    axes.tick_params(labelsize=TICK_PT)
    return image


def _outline(axes: Axes, piece: SliceComparison, pair: MapPair) -> None:
    region = scored_region(pair)
    if pair.where is not None and region.any() and not region.all():
        fine = np.kron(region, np.ones((8, 8)))  # so that the line follows the voxels' edges
        x, y = (
            np.interp((np.arange(8 * v.size) + 0.5) / 8 - 0.5, np.arange(v.size), v)
            for v in (piece.x_mm, piece.y_mm)
        )
        axes.contour(x, y, fine, levels=[0.5], colors=DARK, linewidths=0.7)


def _bar(image: AxesImage, place: Axes, pair: MapPair, what: str, upright: bool = False) -> None:
    """Draw a colour bar into a place; a power of ten of its numbers goes into its label."""
    size = max(abs(limit) for limit in image.get_clim() if limit is not None)
    decade = math.log10(size) if size > 0 else 0.0
    exponent = 0 if -2 < decade < 4 else 3 * math.floor(decade / 3 + 1e-9)
    direction: Literal["vertical", "horizontal"] = "vertical" if upright else "horizontal"
    bar = Colorbar(place, image, extend="both", orientation=direction)
    bar.formatter = FuncFormatter(lambda v, _: f"{v / 10.0**exponent:.10g}".replace("-", "−"))
    bar.update_ticks()
    bar.set_label(bar_text(pair, what, exponent), fontsize=LABEL_PT)
    place.tick_params(labelsize=TICK_PT)


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def map_rows(
    pieces: Sequence[SliceComparison], name: str, titles: Sequence[str] | None = None
) -> Figure:
    """One quantity over several slices (columns): recovered, true, difference (rows)."""
    pairs = [piece.maps[name] for piece in pieces if name in piece.maps]
    limits, reach = value_limits(pairs), error_limit(pairs)
    n = max(len(pieces), 3)
    left, right, top, below, gap = 0.85, 1.2, 0.5, 0.6, 0.12
    side = (WIDTH_IN - left - right - (n - 1) * gap) / n
    figure = Figure(figsize=(WIDTH_IN, top + 3 * side + 3 * gap + below))
    heights = [below + 2 * side + 3 * gap, below + side + 2 * gap, below]
    images: list[AxesImage | None] = [None, None, None]
    for j, piece in enumerate(pieces):
        pair = piece.maps.get(name)
        for i, height in enumerate(heights):
            axes = _place(figure, left + j * (side + gap), height, side, side)
            if pair is None:
                _say_missing(axes)
            else:
                values = (pair.recovered, pair.truth, error_map(pair))[i]
                cmap, bounds = (
                    (colours(pair), limits) if i < 2 else (shades(SIGNED), (-reach, reach))
                )
                images[i] = draw_map(axes, piece, in_shown_unit(pair, values), cmap, bounds)
            _label_rim(axes, i, j, piece.label if titles is None else titles[j])
    at = left + len(pieces) * (side + gap) + 0.05
    if images[1] is not None and images[2] is not None:
        place = _place(figure, at, heights[1] + 0.1 * side, 0.16, 1.8 * side + gap)
        _bar(images[1], place, pairs[0], quantity_text(pairs[0]), upright=True)
        place = _place(figure, at, heights[2] + 0.02 * side, 0.16, 0.96 * side)
        _bar(images[2], place, pairs[0], "difference", upright=True)
    return figure


def _label_rim(axes: Axes, row: int, column: int, title: str) -> None:
    """Ticks and labels on the outer sides of a grid of three rows only."""
    axes.tick_params(labelleft=column == 0, labelbottom=row == 2)
    if row == 0:
        axes.set_title(title, fontsize=LABEL_PT)
    if row == 2:
        axes.set_xlabel("x (mm)", fontsize=LABEL_PT)
    if column == 0:
        name = ("recovered", "truth", "difference")[row]
        axes.set_ylabel(f"{name}\ny (mm)", fontsize=LABEL_PT)


def _say_missing(axes: Axes) -> None:
    axes.set_facecolor(GREY)
    axes.text(0.5, 0.5, "no map", ha="center", va="center", transform=axes.transAxes, fontsize=11)


def map_triple(
    piece: SliceComparison,
    name: str,
    focus: NDArray[np.bool_] | None = None,
    mark_mm: tuple[float, float] | None = None,
) -> Figure:
    """One quantity over one slice: recovered | true | difference.

    Parameters
    ----------
    piece, name
        Slice and map.
    focus
        Voxels to zoom to and to take the colour limits from.
    mark_mm
        A point to mark (x, y).
    """
    pair = piece.maps[name]
    limits = value_limits([pair], [] if focus is None else [focus])
    reach = error_limit([_narrowed(pair, focus)])
    left, gap, below, top = 0.7, 0.15, 1.25, 0.35
    side = (WIDTH_IN - left - 3 * gap) / 3
    figure = Figure(figsize=(WIDTH_IN, below + side + top))
    box = None if focus is None else film_box(piece, focus)
    images = []
    for j, (title, values) in enumerate(
        (
            ("recovered", pair.recovered),
            ("truth", pair.truth),
            ("recovered − true", error_map(pair)),
        )
    ):
        axes = _place(figure, left + j * (side + gap), below, side, side)
        cmap, bounds = (shades(SIGNED), (-reach, reach)) if j == 2 else (colours(pair), limits)
        images.append(draw_map(axes, piece, in_shown_unit(pair, values), cmap, bounds))
        axes.set_title(title, fontsize=LABEL_PT)
        axes.set_xlabel("x (mm)", fontsize=LABEL_PT)
        axes.tick_params(labelleft=j == 0)
        if j == 0:
            axes.set_ylabel("y (mm)", fontsize=LABEL_PT)
        if box is not None:
            axes.set(xlim=box[:2], ylim=box[2:])
        _outline(axes, piece, pair)
        if mark_mm is not None:
            axes.plot(*mark_mm, marker="s", ms=9, mfc="none", mec=ORANGE, mew=2)
    place = _place(figure, left + 0.1 * side, 0.55, 1.8 * side + gap, 0.16)
    _bar(images[1], place, pair, quantity_text(pair))
    place = _place(figure, left + 2 * (side + gap) + 0.03 * side, 0.55, 0.94 * side, 0.16)
    _bar(images[2], place, pair, "difference")
    return figure


def _narrowed(pair: MapPair, focus: NDArray[np.bool_] | None) -> MapPair:
    if focus is None:
        return pair
    return MapPair(
        kind=pair.kind,
        title=pair.title,
        unit=pair.unit,
        recovered=pair.recovered,
        truth=pair.truth,
        where=scored_region(pair) & focus,
    )
