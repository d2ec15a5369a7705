"""Metrics per class of abnormal videos as bars with error bars, system beside system."""

import numpy as np

from pipelines.report.plots.canvas import INK, MUTED, SERIES, new_figure, save_figure, tidy

BAR_IN = 0.17
MAX_SYSTEMS = len(SERIES)


def plot_class_bars(path, systems, metrics):
    """Plot one panel per metric with a bar for each class and system, and return the path of the PNG.

    The error bar is the 95 % interval over videos; a class without one, such as of a single video, has no error bar.
    Where no class has an interval, it is the standard deviation over seeds.

    Args:
        path: PNG to write.
        systems: ``{system: {class: {"num_videos": ..., metric: {"mean", "sd", "interval_95"}}}}``. The first six are
            plotted.
        metrics: ``{metric: title}``.

    Raises:
        ValueError: There is no class.
    """
    classes = {kind: entry["num_videos"] for kind, entry in next(iter(systems.values())).items()}
    if not classes:
        raise ValueError("`systems` must hold at least one class of abnormal videos. Give videos a `class_name`.")
    shown = dict(list(systems.items())[:MAX_SYSTEMS])
    height_in = BAR_IN * len(classes) * (len(shown) + 0.9) + 1.5 + 0.2 * len(shown)
    figure = new_figure(10, height_in)
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        _plot_bars(axes, shown, list(classes), metric, _has_intervals(systems, metrics))
        axes.set_title(title, loc="left", fontsize=11, color=INK)
    panels[0].set_yticks(range(len(classes)), [f"{kind} ({count})" for kind, count in classes.items()])
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=1, frameon=False, fontsize=8.5, labelcolor=INK)
    figure.suptitle(_title(systems, metrics), x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    return save_figure(figure, path)


def _has_intervals(systems, metrics):
    entries = [of_class[metric] for classes in systems.values() for of_class in classes.values() for metric in metrics]
    return any(not np.isnan(entry["interval_95"][0]) for entry in entries)


def _title(systems, metrics):
    error_bars = "95 % interval over videos" if _has_intervals(systems, metrics) else "sd over seeds"
    more = len(systems) - MAX_SYSTEMS
    text = f"Classes of abnormal videos (number of videos), error bars: {error_bars}"
    return f"{text}\n{more} more systems are in report.md" if more > 0 else text


def _plot_bars(axes, systems, classes, metric, intervals):
    tidy(axes)
    height = 0.8 / len(systems)
    for number, (system, of_class) in enumerate(systems.items()):
        entries = [of_class[kind][metric] for kind in classes]
        means = np.array([entry["mean"] for entry in entries])
        errors = np.clip(np.transpose([_error_bar(entry, intervals) for entry in entries]), 0, None)
        positions = np.arange(len(classes)) + (number - (len(systems) - 1) / 2) * height
        style = {"color": SERIES[number], "alpha": 0.75, "label": system, "zorder": 2}
        error_style = {"ecolor": INK, "elinewidth": 0.9, "capsize": 1.8}
        axes.barh(positions, means, height * 0.9, xerr=errors, error_kw=error_style, **style)
    axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3, label="chance")
    axes.set(xlim=(0, 1.005), ylim=(-0.6, len(classes) - 0.4))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _error_bar(entry, intervals):
    """Length below and above the end of the bar; nan where there is no error bar."""
    if not intervals:
        return entry["sd"], entry["sd"]
    low, high = entry["interval_95"]
    return entry["mean"] - low, high - entry["mean"]
