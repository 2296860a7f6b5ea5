"""The figures of a report, after those of Jensen et al. (2015), each beside the truth.

References
----------
K. M. O. Jensen et al., J. Electrochem. Soc. 162 (2015) A1310: Figs. 3c, 4 and 5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.judge.compare import Comparison, SliceComparison
from xrdct_sim.judge.draw_data import frame_picture, profile_picture
from xrdct_sim.judge.draw_maps import bar_text, map_rows, map_triple, unit_text
from xrdct_sim.judge.palette import png
from xrdct_sim.judge.score import Score

Section = Literal["places", "film", "texture", "phases"]
ROWS_SHOWN = 4  # slices of Fig. 3c


@dataclass(frozen=True, kw_only=True)
class MapFigure:
    """A map that the report looks for."""

    section: Section
    name: str  # in `SliceComparison.maps`
    paper: str  # figure of the paper; "" where it has none
    title: str
    caption: str
    metrics: tuple[str, ...]  # shown under the figure
    everywhere: bool = False  # all slices in columns; otherwise the film's slice, zoomed


MAP_FIGURES = (
    MapFigure(
        section="places",
        name="steel",
        paper="Fig. 3c, A1-A4",
        title="Steel: 110 line of iron",
        caption="Expect the closed ring of the can in every slice and nothing inside it.",
        metrics=("nrmse", "ssim", "amount"),
        everywhere=True,
    ),
    MapFigure(
        section="places",
        name="LiCoO2",
        paper="Fig. 3c, B1-B4",
        title="LiCoO2: 003 line",
        caption="Expect the film as a disc: part of it in slices 1 and 3, all of it in slice 2, "
        "none in slice 4, because it is tilted. Speckles are texture, not density.",
        metrics=("nrmse", "ssim", "amount"),
        everywhere=True,
    ),
    MapFigure(
        section="places",
        name="separator",
        paper="Fig. 3c, C1-C4",
        title="Separator and polymers: diffuse scattering between Bragg lines",
        caption="Expect the separator around and above the film, the Kapton tube outside the can "
        "in every slice, and the O-ring in slice 1 only.",
        metrics=("nrmse", "ssim", "amount"),
        everywhere=True,
    ),
    MapFigure(
        section="film",
        name="LiCoO2_003_area",
        paper="Fig. 4a",
        title="Area of the 003 peak, from a Gaussian fit",
        caption="Fitted voxel by voxel over a local background. Speckles of texture persist here.",
        metrics=("nrmse", "amount", "correlation", "fit_coverage", "pull_std"),
    ),
    MapFigure(
        section="film",
        name="density",
        paper="Fig. 4b",
        title="Scattering density: 20 to 23 Å⁻¹",
        caption="Mostly Compton scattering, so a measure of electron density. It is smooth where "
        "the 003 area is speckled. Colours span the film; steel is off the scale.",
        metrics=("nrmse", "ssim", "amount", "correlation"),
    ),
    MapFigure(
        section="film",
        name="LiCoO2_003_position",
        paper="",
        title="Position of the 003 peak",
        caption="A lattice parameter is only as good as this map. A slope across it is the mark "
        "of sample parallax.",
        metrics=("bias_ppm", "mae_ppm", "p95_ppm", "fit_coverage", "pull_std"),
    ),
    MapFigure(
        section="film",
        name="LiCoO2_003_width",
        paper="",
        title="Radial width of the 003 peak",
        caption="Instrument and parallax widen it; crystallite size would be read from it.",
        metrics=("relative_bias", "fit_coverage", "pull_std"),
    ),
    MapFigure(
        section="texture",
        name="LiCoO2_003_texture_width",
        paper="Fig. 5c",
        title="Texture map: azimuthal width of the 003 ring",
        caption="Small widths (dark) are strong preferred orientation. The film's rim is "
        "unreliable in the paper too: there the peak is weak.",
        metrics=("bias", "mae", "p95", "correlation", "fit_coverage", "pull_std", "coverage"),
    ),
    MapFigure(
        section="texture",
        name="LiCoO2_003_texture_centre",
        paper="",
        title="Texture map: azimuth of the 003 ring's maximum",
        caption="Its deviation from the vertical shows the mean tilt of the crystallites' axes.",
        metrics=("bias", "mae", "p95", "fit_coverage", "pull_std"),
    ),
)
PHASE_METRICS = ("dice", "nrmse", "ssim", "amount", "bias", "pull_std", "coverage")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report, or the statement that it is missing."""

    section: Section
    key: str
    title: str
    paper: str
    caption: str
    alt: str
    png: bytes | None  # None: nothing to draw
    missing: tuple[str, ...] = ()  # what is not there, one sentence each
    name: str = ""  # of the map, for its numbers
    slices: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def film_voxels(piece: SliceComparison) -> NDArray[np.bool_] | None:
    """Voxels that hold film: true 003 area above a tenth of its maximum; None without any."""
    pair = piece.maps.get("LiCoO2_003_area") or piece.maps.get("LiCoO2_fraction")
    if pair is None:
        return None
    amount = np.nan_to_num(pair.truth)
    film = amount > 0.1 * amount.max()
    return film if film.any() else None


def film_slice(comparison: Comparison) -> SliceComparison | None:
    """Return the slice that holds most of the film, the first slice if none does."""

    def voxels(piece: SliceComparison) -> int:
        film = film_voxels(piece)
        return 0 if film is None else int(np.count_nonzero(film))

    return max(comparison.slices, key=voxels, default=None)


def pictures(comparison: Comparison, score: Score) -> Iterator[Picture]:
    """Yield the report's figures in its order."""
    for spec in MAP_FIGURES:
        if spec.section == "texture" and spec.paper:
            yield _frame(comparison)
            yield _profile(comparison)
        yield _rows(comparison, spec) if spec.everywhere else _triple(comparison, spec)
    for name in phase_names(comparison):
        yield _phase(comparison, score, name)


def phase_names(comparison: Comparison) -> tuple[str, ...]:
    """Names of the maps of volume fractions, in the order in which they first appear."""
    names = [n for s in comparison.slices for n, pair in s.maps.items() if pair.kind == "phase"]
    return tuple(dict.fromkeys(names))


def _absent(pieces: Sequence[SliceComparison], name: str) -> tuple[str, ...]:
    labels = [piece.label for piece in pieces if name not in piece.maps]
    return (f"No map “{name}” in {', '.join(labels)}.",) if labels else ()


def _rows(comparison: Comparison, spec: MapFigure) -> Picture:
    pieces = comparison.slices[:ROWS_SHOWN]
    missing = _absent(pieces, spec.name)
    if len(pieces) < ROWS_SHOWN:
        missing += (f"The paper shows {ROWS_SHOWN} slices; this run has {len(pieces)}.",)
    with_map = [piece for piece in pieces if spec.name in piece.maps]
    unit = bar_text(with_map[0].maps[spec.name]) if with_map else ""
    labels = ", ".join(piece.label for piece in pieces)
    return Picture(
        section=spec.section,
        key=spec.name,
        title=spec.title,
        paper=spec.paper,
        caption=f"{_heading(with_map, spec.name)}{spec.caption}",
        alt=f"Maps of {spec.title} for {labels}: rows recovered, truth, difference; {unit}, "
        "axes x and y in mm",
        png=png(map_rows(pieces, spec.name)) if with_map else None,
        missing=missing,
        name=spec.name,
        slices=tuple(piece.label for piece in with_map),
        metrics=spec.metrics,
    )


def _heading(pieces: Sequence[SliceComparison], name: str) -> str:
    title = pieces[0].maps[name].title if pieces else ""
    return f"{title[0].upper()}{title[1:]}. " if title else ""


def _triple(comparison: Comparison, spec: MapFigure) -> Picture:
    piece = film_slice(comparison)
    have = piece is not None and spec.name in piece.maps
    label = piece.label if piece is not None else "any slice"
    image, unit = None, ""
    if piece is not None and have:
        profile = piece.profile if spec.name == "LiCoO2_003_texture_width" else None
        mark = None if profile is None else (profile.x_mm, profile.y_mm)
        image = png(map_triple(piece, spec.name, film_voxels(piece), mark))
        unit = bar_text(piece.maps[spec.name])
    else:
        mark = None
    square = " The orange square is the voxel whose profile is shown above." if mark else ""
    with_map = [piece] if piece is not None and have else []
    return Picture(
        section=spec.section,
        key=spec.name,
        title=spec.title + (f", {label}" if have else ""),
        paper=spec.paper,
        caption=f"{_heading(with_map, spec.name)}{spec.caption}{square}",
        alt=f"{spec.title} in {label}: recovered, truth and difference; {unit}, axes in mm",
        png=image,
        missing=() if have else (f"No map “{spec.name}” in {label}.",),
        name=spec.name,
        slices=tuple(p.label for p in comparison.slices if spec.name in p.maps) if have else (),
        metrics=spec.metrics,
    )


def _frame(comparison: Comparison) -> Picture:
    frame = comparison.frame
    rings = "" if frame is None else ", ".join(frame.ring_radius_mm)
    return Picture(
        section="texture",
        key="frame",
        title="A raw frame" + ("" if frame is None else f": {frame.label}"),
        paper="Fig. 5a",
        caption="Innermost rings only. The intensity changes around the ring between the dotted "
        f"circles ({rings}): the crystallites are aligned. Grey: masked pixels.",
        alt=f"Detector frame around the beam, ring {rings} marked; counts per pixel, axes in mm",
        png=None if frame is None else png(frame_picture(frame)),
        missing=() if frame is not None else ("No raw frame was kept.",),
    )


def _profile(comparison: Comparison) -> Picture:
    best = film_slice(comparison)
    first = [] if best is None else [best]
    piece = next((p for p in [*first, *comparison.slices] if p.profile is not None), None)
    profile = None if piece is None else piece.profile
    title, caption, missing = "Azimuthal profile of one voxel", "", ["No profile was kept."]
    if profile is not None and piece is not None:
        missing = ["The fit of this voxel failed."] if profile.fit is None else []
        missing += ["The truth of this voxel is not known."] if profile.truth is None else []
        title = f"{title} on the {profile.ring} ring, {piece.label}"
        place = f"x = {profile.x_mm:.2f} mm, y = {profile.y_mm:.2f} mm".replace("-", "−")
        caption = (
            f"Voxel at {place}, reconstructed from each "
            "azimuthal bin; error bars of one standard deviation. A sharp peak is a strong "
            "texture, a flat line none. Below: distance of the points from the fit (dots) and from "
            "the truth (crosses) in error bars; two thirds should be in the grey band."
        )
    unit = unit_text("1/mm/sr/angstrom")
    return Picture(
        section="texture",
        key="profile",
        title=title,
        paper="Fig. 5b",
        caption=caption,
        alt=f"{title}: points with error bars, Gaussian fit and truth; {unit} against azimuth in °",
        png=None if profile is None else png(profile_picture(profile)),
        missing=tuple(missing),
    )


def _phase(comparison: Comparison, score: Score, name: str) -> Picture:
    pieces = comparison.slices
    with_map = [piece for piece in pieces if name in piece.maps]
    titles = []
    for piece in pieces:
        entry = score.get(name, piece.label, "dice")
        known = entry is not None and np.isfinite(entry.value)
        titles.append(piece.label + (f"\nDice {entry.value:.3f}" if known and entry else "\n–"))
    title = with_map[0].maps[name].title
    return Picture(
        section="phases",
        key=name,
        title=title,
        paper="",
        caption="Volume fraction per voxel. Dice compares the voxels above half of the largest "
        "true fraction in any slice; a dash means that neither map has any.",
        alt=f"Maps of {title} in each slice: rows recovered, truth, difference; volume fraction, "
        "axes x and y in mm",
        png=png(map_rows(pieces, name, titles)),
        missing=_absent(pieces, name),
        name=name,
        slices=tuple(piece.label for piece in with_map),
        metrics=PHASE_METRICS,
    )
