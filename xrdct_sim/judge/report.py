"""The report: one self-contained HTML page that a beamline scientist can read."""

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from xrdct_sim import __version__
from xrdct_sim.judge.compare import Comparison
from xrdct_sim.judge.draw_maps import SUPERSCRIPT, unit_text
from xrdct_sim.judge.figures import Picture, Section, film_slice, phase_names, pictures
from xrdct_sim.judge.metric_table import METRICS
from xrdct_sim.judge.score import Entry, Score

HEADINGS: tuple[tuple[Section, str, str], ...] = (
    (
        "places",
        "Where the materials are",
        "Mean cross-section in a range of Q around a line, slice by slice, on an absolute scale.",
    ),
    ("film", "The cathode film", "The slice that holds most of the film, zoomed in on it."),
    (
        "texture",
        "Texture of the film",
        "Texture-CT: one reconstruction per azimuthal bin of the 003 ring, then a Gaussian per "
        "voxel.",
    ),
    ("phases", "Amounts of the phases", "Volume fractions beside the exact ones."),
)
SHARES = ("nrmse", "amount", "relative_bias", "fit_coverage", "coverage")  # shown in per cent
DECIMALS = {"dice": 3, "ssim": 3, "correlation": 3, "pull_mean": 2, "pull_std": 2}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number in a table."""

    text: str
    exact: str  # as in the JSON, for machines; "null" without a value
    slice: str
    hint: str
    note: int = 0  # number of its note; 0 has none


@dataclass(frozen=True, kw_only=True)
class Row:
    """A metric over the slices."""

    metric: str
    label: str
    unit: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A quantity of the score's table."""

    name: str
    quantity: str
    rows: tuple[Row, ...]


def number_text(value: float, metric: str) -> str:
    """Three significant digits, at most `DECIMALS`; shares in per cent, a dash without a value."""
    if not math.isfinite(value):
        return "–"
    shown = 100 * value if metric in SHARES else value
    digits = max(0, 2 - math.floor(math.log10(abs(shown)))) if shown else 0
    digits = min(digits, 2 if metric in SHARES else DECIMALS.get(metric, digits))
    if digits > 5:
        mantissa, _, exponent = f"{shown:.2e}".partition("e")
        power = str(int(exponent)).translate(SUPERSCRIPT)
        return f"{mantissa}·10{power}".replace("-", "−")
    text = f"{shown:.{digits}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def metric_unit(entry: Entry) -> str:
    """Return the unit of a number as `number_text` shows it."""
    return "%" if entry.metric in SHARES else unit_text(entry.unit)


def with_unit(number: str, unit: str) -> str:
    """Join a number and its unit; a degree sign stands close."""
    return (number + unit) if unit == "°" else f"{number} {unit}".strip()


def _hint(entry: Entry) -> str:
    error = ""
    if math.isfinite(entry.error):
        error = f" ± {number_text(entry.error, entry.metric)}"
    number = number_text(entry.value, entry.metric) + error
    return f"{with_unit(number, metric_unit(entry))}, {entry.n_voxels} voxels"


def _cell(entry: Entry, notes: list[str]) -> Cell:
    if entry.note and entry.note not in notes:
        notes.append(entry.note)
    return Cell(
        text=number_text(entry.value, entry.metric),
        exact=repr(entry.value) if math.isfinite(entry.value) else "null",
        slice=entry.slice,
        hint=_hint(entry),
        note=notes.index(entry.note) + 1 if entry.note else 0,
    )


def _rows(
    score: Score, name: str, slices: Sequence[str], metrics: Sequence[str], notes: list[str]
) -> Iterator[Row]:
    for metric in metrics:
        entries = [score.get(name, label, metric) for label in slices]
        known = [entry for entry in entries if entry is not None]
        if known:
            yield Row(
                metric=metric,
                label=METRICS[metric].label,
                unit=metric_unit(known[0]),
                cells=tuple(None if e is None else _cell(e, notes) for e in entries),
            )


def score_table(score: Score, slices: Sequence[str]) -> tuple[list[Group], list[str]]:
    """Every number of the score, by quantity and metric, slices side by side; and its notes."""
    titles = {entry.name: entry.quantity for entry in score.entries}
    groups: list[Group] = []
    notes: list[str] = []
    for name, quantity in titles.items():
        metrics = dict.fromkeys(e.metric for e in score.entries if e.name == name)
        rows = tuple(_rows(score, name, slices, tuple(metrics), notes))
        groups.append(Group(name=name, quantity=quantity, rows=rows))
    return groups, notes


def _range_text(score: Score, name: str, metric: str) -> str:
    """Return a metric's smallest and largest value over the slices; empty where it has none."""
    found = [e for e in score.entries if (e.name, e.metric) == (name, metric)]
    values = [e for e in found if math.isfinite(e.value)]
    if not values:
        return ""
    low, high = (number_text(f(e.value for e in values), metric) for f in (min, max))
    unit = metric_unit(values[0])
    return with_unit(low if low == high else f"{low} to {high}", unit)


def _sentence(template: str, *values: str) -> list[str]:
    return [template.format(*values)] if all(values) else []


def summary(comparison: Comparison, score: Score) -> str:
    """Return the report's first paragraph, made from its numbers."""
    slices = comparison.slices
    if not slices:
        return "There is no slice to report on."
    grid = slices[0]
    step = abs(float(grid.x_mm[1] - grid.x_mm[0]))
    text = [
        f"{len(slices)} {'slice was' if len(slices) == 1 else 'slices were'} recovered on "
        f"{len(grid.y_mm)} × {len(grid.x_mm)} voxels of {1000 * step:.3g} µm and compared with "
        "the exact truth, voxel by voxel and on an absolute scale."
    ]
    dice = [(n, _range_text(score, n, "dice")) for n in phase_names(comparison)]
    found = "; ".join(f"{n.removesuffix('_fraction')} {d}" for n, d in dice if d)
    text += _sentence("Overlap of phases with the truth (Dice): {}.", found)
    film = film_slice(comparison)
    label = film.label if film is not None else ""

    def here(name: str, metric: str) -> str:
        entry = score.get(name, label, metric)
        if entry is None or not math.isfinite(entry.value):
            return ""
        return with_unit(number_text(entry.value, metric), metric_unit(entry))

    width = "LiCoO2_003_texture_width"
    text += _sentence(
        "In {} the fitted area of the LiCoO2 003 peak misses the true amount by {}, from {} of "
        "the film's voxels.",
        label,
        here("LiCoO2_003_area", "amount"),
        here("LiCoO2_003_area", "fit_coverage"),
    )
    text += _sentence(
        "Its position is off by {} on average (95 % of voxels within {}).",
        here("LiCoO2_003_position", "bias_ppm"),
        here("LiCoO2_003_position", "p95_ppm"),
    )
    text += _sentence(
        "The texture width is biased by {}, 95 % of voxels lie within {}, and {} of the voxels to "
        "be scored have a fit.",
        here(width, "bias"),
        here(width, "p95"),
        here(width, "fit_coverage"),
    )
    text += _sentence(
        "Its error bars hold the truth in {} of the voxels (68 % if they are honest).",
        here(width, "coverage"),
    )
    return " ".join(text)


def _figure(picture: Picture, score: Score) -> dict[str, object]:
    """Return what the template needs of a figure: its image as a data URI and its numbers."""
    notes: list[str] = []
    source = "" if picture.png is None else base64.b64encode(picture.png).decode("ascii")
    return {
        "picture": picture,
        "source": f"data:image/png;base64,{source}" if source else "",
        "rows": list(_rows(score, picture.name, picture.slices, picture.metrics, notes)),
        "notes": notes,
    }


def report_html(comparison: Comparison, score: Score) -> str:
    """Return the report as one HTML text without links to anything outside.

    Parameters
    ----------
    comparison
        Recovery and truth; maps, slices, frame and profile may be missing, which the report says.
    score
        Its numbers, by `xrdct_sim.judge.score.score`.
    """
    drawn = list(pictures(comparison, score))
    sections = [
        {
            "key": key,
            "heading": heading,
            "text": text,
            "figures": [_figure(p, score) for p in drawn if p.section == key],
        }
        for key, heading, text in HEADINGS
    ]
    labels = [piece.label for piece in comparison.slices]
    groups, notes = score_table(score, labels)
    used = {entry.metric for entry in score.entries}
    environment = Environment(
        loader=PackageLoader("xrdct_sim.judge"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        name=comparison.name,
        version=__version__,
        summary=summary(comparison, score),
        sections=sections,
        slices=[(piece.label, piece.height_um) for piece in comparison.slices],
        missing=[line for picture in drawn for line in picture.missing],
        groups=groups,
        notes=notes,
        glossary=[(METRICS[m].label, METRICS[m].meaning) for m in METRICS if m in used],
        settings=comparison.settings,
        provenance=comparison.provenance,
    )
