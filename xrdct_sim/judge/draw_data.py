"""Measured data as pictures: a detector frame, a voxel's azimuthal profile."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from xrdct_sim.judge.compare import RawFrame, VoxelProfile
from xrdct_sim.judge.draw_maps import LABEL_PT, TICK_PT, WIDTH_IN
from xrdct_sim.judge.palette import AMOUNT, BLUE, DARK, GREY, ORANGE, shades

ROUND_COUNTS = [m * 10.0**e for e in range(10) for m in (1, 2, 5)]


def frame_picture(frame: RawFrame) -> Figure:
    """Innermost rings of a detector frame, logarithmic where the counts span a decade."""
    rows, columns = frame.counts.shape
    dy, dx = frame.pixel_mm
    y0, x0 = frame.beam_mm or (rows * dy / 2, columns * dx / 2)
    counts = np.ma.masked_where(frame.mask, frame.counts.astype(np.float64))
    radii = sorted(frame.ring_radius_mm.values())
    reach = 1.45 * radii[0] if radii else min(rows * dy, columns * dx) / 2
    near = np.hypot(
        ((np.arange(rows) + 0.5) * dy - y0)[:, None], ((np.arange(columns) + 0.5) * dx - x0)[None]
    )
    seen = counts[near < reach].compressed()
    low, high = np.percentile(seen, [5, 99.7]) if seen.size else (0.0, 1.0)
    bottom = max(float(low), 1.0)
    decade = high > 10 * bottom
    norm = LogNorm(bottom, float(high), clip=True) if decade else Normalize(low, max(high, low + 1))
    figure = Figure(figsize=(0.74 * WIDTH_IN, 6.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        counts,
        origin="lower",
        extent=(-x0, columns * dx - x0, -y0, rows * dy - y0),
        cmap=shades(AMOUNT),
        norm=norm,
        aspect="equal",
    )
    _mark_rings(axes, frame, reach)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_xlabel("across on the panel, seen from the sample (mm from the beam)", fontsize=10.5)
    axes.set_ylabel("up on the panel (mm from the beam)", fontsize=LABEL_PT)
    axes.tick_params(labelsize=TICK_PT)
    bar = figure.colorbar(image, ax=axes, extend="both", pad=0.02)
    bar.set_label("counts per pixel" + (", log scale" if decade else ""), fontsize=LABEL_PT)
    bar.ax.tick_params(labelsize=TICK_PT)
    if decade:
        bar.set_ticks([t for t in ROUND_COUNTS if bottom <= t <= high])
        bar.minorticks_off()
        bar.formatter = StrMethodFormatter("{x:g}")
        bar.update_ticks()
    return figure


def _mark_rings(axes: Axes, frame: RawFrame, reach: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 361)
    for name, radius in sorted(frame.ring_radius_mm.items(), key=lambda item: item[1]):
        if radius * 1.05 > reach:
            continue
        for edge in (0.95 * radius, 1.05 * radius):
            axes.plot(edge * np.cos(turn), edge * np.sin(turn), ls=":", lw=1, color="white")
        angle = np.deg2rad(-45)
        place = (1.06 * radius * np.cos(angle), 1.06 * radius * np.sin(angle))
        look = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
        axes.text(*place, name, fontsize=LABEL_PT, bbox=look, va="top")


def profile_picture(profile: VoxelProfile) -> Figure:
    """Azimuthal profile with error bars, its fit, the truth, and the residuals."""
    chi = np.degrees(profile.azimuth_rad)
    figure = Figure(figsize=(0.86 * WIDTH_IN, 5.2), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.errorbar(
        chi, profile.profile, profile.sigma, fmt="o", ms=4, lw=1, color=DARK, label="recovered"
    )
    if profile.fit is not None:
        top.plot(chi, profile.fit, "-", lw=2, color=BLUE, label="Gaussian fit with background")
    if profile.truth is not None:
        top.plot(chi, profile.truth, "--", lw=2, color=ORANGE, label="truth")
    top.axhline(0, lw=0.6, color=DARK)
    top.set_ylabel("cross-section per Q\n(mm⁻¹ sr⁻¹ Å⁻¹)", fontsize=LABEL_PT)
    top.legend(fontsize=LABEL_PT, frameon=False)
    for curve, mark, colour in (
        (profile.fit, "o", BLUE),
        (profile.truth, "x", ORANGE),
    ):
        if curve is not None:
            usable = np.where(profile.sigma > 0, profile.sigma, np.nan)
            below.plot(chi, (profile.profile - curve) / usable, mark, ms=4, color=colour)
    below.axhspan(-1, 1, color=GREY, alpha=0.4, lw=0)
    below.set_ylabel("residual\n(error bars)", fontsize=LABEL_PT)
    below.set_xlabel("azimuth χ (°), 0 = across, 90 = up", fontsize=LABEL_PT)
    span = float(np.ptp(chi))
    step = next((s for s in (5, 10, 15, 30, 45) if span / s <= 12), 45)
    first = math.ceil(chi.min() / step) * step
    below.set_xticks(np.arange(first, chi.max() + 1e-9, step))
    for axes in (top, below):
        axes.tick_params(labelsize=TICK_PT)
        axes.grid(visible=True, lw=0.4, alpha=0.5)
    return figure
