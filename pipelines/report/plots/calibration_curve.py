"""False alarms per camera-day against the threshold, with the bound that a calibration promises."""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pipelines.report.plots.canvas import ALARM, INK, MUTED, SCORE, new_figure, save_figure, tidy


def plot_calibration(path, thresholds, per_day, bounds, wanted, threshold=None, title="", bound_name="upper bound"):
    """Plot the curve and return the path of the PNG.

    Args:
        path: PNG to write.
        thresholds: Rising, ``(N,)``.
        per_day: False alarms per camera-day in the footage at each threshold, ``(N,)``.
        bounds: Their upper bounds for the days to come, ``(N,)``.
        wanted: Wanted false alarms per camera-day.
        threshold: The calibrated threshold; None when there is none.
        title: Title of the figure.
        bound_name: Name of the bounds in the legend.

    Raises:
        ValueError: The lengths differ or are 0.
    """
    thresholds, per_day, bounds = (np.asarray(values, float) for values in (thresholds, per_day, bounds))
    if not thresholds.size or not thresholds.shape == per_day.shape == bounds.shape:
        raise ValueError(
            "`thresholds`, `per_day` and `bounds` must have the same length of at least 1. "
            f"Received: {thresholds.size}, {per_day.size}, {bounds.size}."
        )
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    lowest = min(wanted, bounds.min(), per_day[per_day > 0].min(initial=np.inf)) / 2
    axes.fill_between(thresholds, np.maximum(per_day, lowest), bounds, color=SCORE, alpha=0.15, step="pre", linewidth=0)
    axes.step(thresholds, bounds, color=SCORE, linewidth=1.2, linestyle="--", where="pre", label=bound_name)
    axes.step(
        thresholds,
        np.where(per_day > 0, per_day, np.nan),
        color=SCORE,
        linewidth=1.8,
        where="pre",
        label="in the footage",
    )
    axes.axhline(wanted, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label=f"wanted: {wanted:g} per day")
    if threshold is not None:
        axes.axvline(threshold, color=ALARM, linewidth=1.6, label=f"threshold {threshold:.3f}")
    tidy(axes)
    axes.set(yscale="log", ylim=(lowest, 1.3 * bounds.max()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("threshold", fontsize=10, color=INK)
    axes.set_ylabel("false alarms per camera-day", fontsize=10, color=INK)
    axes.legend(fontsize=8.5, labelcolor=INK, frameon=False)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    return save_figure(figure, path)
