"""The report's colours, readable by the colour-blind, and figures as small PNG files.

Few shades are used, so that a whole figure fits one palette of 256 colours.
"""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from PIL import Image

DOTS_PER_INCH = 120
SHADES = 63  # of a colour map, odd so that zero is white
AMOUNT, TEXTURE, SIGNED = "cividis", "viridis", "RdBu_r"
GREY = "#b3b3b3"  # no value
BLUE, ORANGE, DARK = "#0072B2", "#D55E00", "#222222"  # Okabe and Ito's palette


def shades(name: str) -> Colormap:
    """Return a colour map of few shades in which NaN is grey."""
    return mpl.colormaps[name].resampled(SHADES).with_extremes(bad=GREY)


def _palette() -> list[int]:
    """Return the colours of all maps of values or of differences, greys, and the mark's orange."""
    ramp = np.linspace(0, 1, 33)  # coarser than Pillow looks colours up, so that white stays
    rows = [shades(name)(np.linspace(0, 1, SHADES)) for name in (AMOUNT, TEXTURE, SIGNED)]
    greys = np.stack([ramp, ramp, ramp], axis=-1)
    marks = [to_rgb(BLUE), to_rgb(ORANGE), to_rgb(GREY)]
    both = np.concatenate([*(row[:, :3] for row in rows), greys, marks])
    return [int(v) for v in np.round(255 * both).ravel()]


def png(figure: Figure) -> bytes:
    """Return a figure as PNG with a palette."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture = Image.fromarray(pixels).convert("RGB")
    reference = Image.new("P", (1, 1))
    reference.putpalette(_palette())
    buffer = io.BytesIO()
    few = picture.quantize(palette=reference, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
