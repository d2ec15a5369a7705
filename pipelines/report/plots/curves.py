"""ROC and precision-recall curves of one or more systems on the same frames."""

import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from pipelines.report.plots.canvas import INK, MUTED, SERIES, new_figure, save_figure, tidy
from pipelines.report.terminal.tables import format_mean_sd

MAX_POINTS = 2000
MAX_LINES = 9  # with more, each system has a single line, the mean of its seeds
LINE_STYLES = ("-", "--", ":", "-.")  # the next one when all colours are used


def plot_curves(path, curves, title=""):
    """Plot ROC and precision-recall curves side by side and return the path of the PNG.

    Args:
        path: PNG to write.
        curves: Name of a system -> ``(labels, scores)``, both ``(num_frames,)``, all test frames together. For several
            seeds the scores are ``(num_seeds, num_frames)``: one curve per seed or, for many systems, the mean curve.
        title: Title of the figure.

    Raises:
        ValueError: There is no curve, or one has only normal or only abnormal frames.
    """
    return save_figure(curves_figure(curves, title), path)


def curves_figure(curves, title=""):
    """Return the figure of ``plot_curves``."""
    if not curves:
        raise ValueError("`curves` must hold at least one pair of labels and scores. Received none.")
    figure = new_figure(9.6, 5.5 + 0.185 * len(curves))
    roc, recall = figure.subplots(1, 2)
    curves = {
        name: (np.asarray(labels).ravel(), np.asarray(scores, float)) for name, (labels, scores) in curves.items()
    }
    apart = sum(scores.size // labels.size for labels, scores in curves.values() if labels.size) <= MAX_LINES
    for index, (name, (labels, scores)) in enumerate(curves.items()):
        if len(np.unique(labels)) < 2:
            raise ValueError(
                f"`curves[{name!r}]` must hold normal and abnormal frames. Received only: {np.unique(labels)}."
            )
        line_style = LINE_STYLES[index // len(SERIES) % len(LINE_STYLES)]
        style: dict[str, object] = {"color": SERIES[index % len(SERIES)], "linestyle": line_style}
        if index == 0 and not apart:  # the reference must be visible among many lines
            style |= {"linewidth": 3.0, "zorder": 3}
        _plot_seeds(roc, recall, name, labels, scores.reshape(-1, labels.size), style, apart)
    share = np.mean(labels)
    roc.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="chance, AUC 0.500")
    recall.axhline(share, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label=f"chance, AP {share:.3f}")
    _finish(roc, "ROC", "false positive rate", "true positive rate")
    _finish(recall, "Precision-recall", "recall", "precision")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    return figure


def _plot_seeds(roc, recall, name, labels, seeds, style, apart):
    """The curves of one system, one per seed or their mean; the legend gives mean ± sd."""
    several = apart and len(seeds) > 1
    style = {"linewidth": 1.8 if apart and not several else 1.2, "alpha": 0.7 if several else 1.0} | style
    found = [(roc_curve(labels, scores), precision_recall_curve(labels, scores)) for scores in seeds]
    rocs = [_thinned(false_rate, true_rate) for (false_rate, true_rate, _), _ in found]
    recalls = [_thinned(reached, precision) for _, (precision, reached, _) in found]
    if not apart and len(seeds) > 1:
        rocs, recalls = [_mean_curve(rocs)], [_mean_curve([(x[::-1], y[::-1]) for x, y in recalls])]
    lines = [roc.plot(*points, **style)[0] for points in rocs]
    steps = [recall.step(*points, where="post", **style)[0] for points in recalls]
    areas = [auc(false_rate, true_rate) for (false_rate, true_rate, _), _ in found]
    averages = [average_precision_score(labels, scores) for scores in seeds]
    lines[-1].set_label(f"{name}, AUC {format_mean_sd(areas)}")
    steps[-1].set_label(f"{name}, AP {format_mean_sd(averages)}")


def _mean_curve(curves):
    """Mean of curves with increasing x in 0..1."""
    grid = np.linspace(0, 1, MAX_POINTS)
    return grid, np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)


def _thinned(x, y):
    """At most ``MAX_POINTS`` points of a curve, with both ends: more are not visible."""
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    return x[keep], y[keep]


def _finish(axes, title, x_label, y_label):
    tidy(axes)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.set_box_aspect(1)
    axes.set_anchor("N")
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x_label, fontsize=10, color=INK)
    axes.set_ylabel(y_label, fontsize=10, color=INK)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.13), fontsize=8.5, labelcolor=INK, frameon=False)
