"""Style and files of all figures. They use Agg through the object interface."""

import io

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from pipelines.run.files import replacing

INK = "#22303c"
MUTED = "#7b8794"
GRID = "#e4e8ec"
SCORE = "#1f5f99"
ALARM = "#e8871e"
TRUTH = "#d93a3a"
SERIES = ("#1f5f99", "#e8871e", "#3a8f5c", "#8a4fae", "#7b8794", "#b0413e")

matplotlib.rcParams["text.parse_math"] = False  # a `$` in the name of a video starts no formula

TICK_STEPS_SEC = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def new_figure(width_in, height_in, dpi=120):
    """Return an empty white figure with a constrained layout."""
    figure = Figure(figsize=(width_in, height_in), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes, font_size=9):
    """Remove the top and right border of the axes and show a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=font_size, length=3)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def time_ticks(axes, first_sec, last_sec, most=9):
    """Set ticks at round times on the x axis: seconds below a minute, then m:ss, then h:mm:ss."""
    span = max(last_sec - first_sec, 1e-9)
    step = next((step for step in TICK_STEPS_SEC if span / step <= most), span / most)
    ticks = np.arange(np.ceil(first_sec / step - 1e-9), np.floor(last_sec / step + 1e-9) + 1) * step + 0.0
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_time(value, last_sec)))


def format_time(seconds, longest_sec=None):
    """Format a time as a label; ``longest_sec`` selects seconds, m:ss or h:mm:ss.

    Example:
    >>> format_time(7.5), format_time(7, 90), format_time(75, 90), format_time(3723)
    ('7.5', '0:07', '1:15', '1:02:03')
    """
    longest_sec = seconds if longest_sec is None else longest_sec
    if longest_sec < 60:
        return f"{seconds:.3g}"
    minutes, rest = divmod(round(seconds), 60)
    if longest_sec < 3600:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def shortened(text, max_characters):
    """Cut the middle out of a long text.

    Example:
    >>> shortened("Arson011_x264", 8), shortened("Arson011", 8)
    ('Ars…x264', 'Arson011')
    """
    half = max_characters // 2
    return text if len(text) <= max_characters else f"{text[: half - 1]}…{text[-half:]}"


def save_figure(figure, path):
    """Write a figure as PNG in one step and return its path."""
    with replacing(path) as temporary:
        temporary.write_bytes(png_bytes(figure))
    return path


def png_bytes(figure):
    """Return the figure as the bytes of a PNG file. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
