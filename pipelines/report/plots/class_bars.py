"""The frame AUC of each class of abnormal videos as bars, system beside system, with their intervals."""

import numpy as np

from pipelines.report.evaluation.measures import FIGURES, OF_CLASS, classes_of
from pipelines.report.plots.canvas import INK, MUTED, SERIES, new_figure, save_figure, tidy

BAR_IN = 0.17
MOST_SYSTEMS = len(SERIES)


def plot_class_bars(path, content):
    """Draws both figures of every class and returns the path of the PNG.

    The whisker of a bar is its 95 % interval over videos; without a bootstrap it is the standard deviation over seeds.

    Args:
        path: PNG to write.
        content: from `measure`, with at least one class; its first six systems are drawn.

    Raises:
        ValueError: When there is no class.
    """
    classes = classes_of(content)
    if not classes:
        raise ValueError("`content` must hold at least one class of abnormal videos. Give videos a `class_name`.")
    systems = dict(list(content["systems"].items())[:MOST_SYSTEMS])
    height_in = BAR_IN * len(classes) * (len(systems) + 0.9) + 1.5 + 0.2 * len(systems)
    figure = new_figure(10, height_in)
    grid = figure.subplots(1, len(OF_CLASS), sharey=True)
    for axes, name in zip(grid, OF_CLASS, strict=True):
        _draw_bars(axes, systems, classes, name)
        axes.set_title(FIGURES[name], loc="left", fontsize=11, color=INK)
    counts = [systems[next(iter(systems))]["classes"][kind]["num_videos"] for kind in classes]
    grid[0].set_yticks(range(len(classes)), [f"{kind} ({count})" for kind, count in zip(classes, counts, strict=True)])
    grid[0].invert_yaxis()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=1, frameon=False, fontsize=8.5, labelcolor=INK)
    more = len(content["systems"]) - len(systems)
    whisker = "sd over seeds" if np.isnan(_any_entry(content)["interval_95"][0]) else "95 % over videos"
    title = f"Classes of abnormal videos (how many), whiskers: {whisker}"
    title += f"; {more} more systems in report.md" if more else ""
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    return save_figure(figure, path)


def _draw_bars(axes, systems, classes, name):
    tidy(axes)
    height = 0.8 / len(systems)
    for number, (system, measured) in enumerate(systems.items()):
        entries = [measured["classes"][kind][name] for kind in classes]
        means = np.array([entry["mean"] for entry in entries])
        whiskers = np.clip(np.transpose([_whisker(entry) for entry in entries]), 0, None)
        places = np.arange(len(classes)) + (number - (len(systems) - 1) / 2) * height
        style = {"color": SERIES[number], "alpha": 0.75, "label": system, "zorder": 2}
        bars = {"ecolor": INK, "elinewidth": 0.9, "capsize": 1.8}
        axes.barh(places, means, height * 0.9, xerr=np.nan_to_num(whiskers), error_kw=bars, **style)
    axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    axes.set(xlim=(0, 1.005), ylim=(-0.6, len(classes) - 0.4))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _any_entry(content):
    return content["systems"][content["reference"]]["figures"]["frame_auc"]


def _whisker(entry):
    """How far it reaches below and above the bar's end."""
    low, high = entry["interval_95"]
    if np.isnan(low):
        return entry["sd"], entry["sd"]
    return entry["mean"] - low, high - entry["mean"]
