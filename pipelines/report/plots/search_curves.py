"""Curves of the search for learning rate and number of steps, one panel per system."""

from pipelines.report.plots.canvas import INK, SERIES, new_figure, save_figure, tidy

COLUMNS = 4


def plot_search_curves(path, systems, every_steps):
    """Plot the mean AUC of the held-out videos against the number of steps and return the path of the PNG.

    Args:
        path: PNG to write.
        systems: ``{system: {learning rate: [AUC after every_steps steps, after twice as many, ...]}}``.
        every_steps: Number of steps between two points.
    """
    rows = -(-len(systems) // COLUMNS)
    figure = new_figure(3.1 * min(COLUMNS, len(systems)), 2.6 * rows)
    panels = figure.subplots(rows, min(COLUMNS, len(systems)), sharey=True, squeeze=False).ravel()
    for axes, (system, curves) in zip(panels, systems.items(), strict=False):
        tidy(axes)
        for number, (rate, curve) in enumerate(curves.items()):
            steps = [every_steps * (point + 1) for point in range(len(curve))]
            axes.plot(steps, curve, color=SERIES[number % len(SERIES)], linewidth=1.4, label=rate)
        axes.set_title(system, loc="left", fontsize=9, color=INK)
        axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    for axes in panels[len(systems) :]:
        axes.set_visible(False)
    figure.supxlabel("training steps", fontsize=9, color=INK)
    figure.supylabel("video AUC, inner folds", fontsize=9, color=INK)
    return save_figure(figure, path)
