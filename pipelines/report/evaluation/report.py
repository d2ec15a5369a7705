"""The report of an evaluation, the same wherever systems are measured: metrics, page, table of videos, figures."""

import csv
import io
from pathlib import Path

import numpy as np

from pipelines.report.evaluation.figures import plot_metrics
from pipelines.report.evaluation.measures import measure
from pipelines.report.evaluation.page import html_page, markdown_page, print_report
from pipelines.run.files import write_json, write_text

VIDEO_COLUMNS = (
    *("system", "video", "label", "class", "num_frames", "num_abnormal_frames"),
    *("frame_auc", "max_score", "mean_score"),
)


def write_report(
    folder,
    systems,
    title,
    origin,
    *,
    threshold,
    reference=None,
    facts=None,
    smoothing_sec=2.0,
    images=True,
    more_figures=(),
    unranked=(),
    console=None,
):
    """Measure systems on the same test videos, print the metrics and write the report.

    Writes ``metrics.json`` (each metric per seed, mean, sd, interval; paired differences), ``report.md`` and
    ``report.html`` (the same as tables), ``videos.csv`` (one line per system and video) and, with ``images``,
    ``curves.png`` and ``classes.png``.

    Args:
        folder: Folder to write to.
        systems: ``{name: [videos of the first seed, videos of the second, ...]}``. Videos are dicts as
            ``evaluate_videos`` takes them, each with a ``video_id`` and ``fps``. Their order does not matter.
        title: Title, such as the name of the data and its split.
        origin: dict of what the result comes from: ``data``, ``split``, ``seed``, ``commit``, ``command``, ``config``.
        threshold: Threshold of the false alarm rate.
        reference: Name of the system that the others are compared with; None: the first.
        facts: ``{name: {column: value}}``, further columns of some systems, such as the number of parameters.
        smoothing_sec: Width of the moving average that is reported beside the raw scores; 0: none.
        images: Whether to plot figures.
        more_figures: ``(file name, what it shows)`` of further figures in the folder, to be shown in ``report.md``.
        unranked: Names of systems that are measured but not compared with the reference.
        console: Where to print; standard output by default.

    Returns:
        The content of ``metrics.json``, with NaN where the file has null.

    Raises:
        ValueError: The systems were not scored on the same videos, ``reference`` or ``facts`` name an unknown system,
            or ``evaluate_videos`` refuses a video.
    """
    folder, facts = Path(folder), facts or {}
    unknown = sorted(set(facts) - set(systems))
    if unknown:
        raise ValueError(f"`facts` must be of the systems {list(systems)}. Received also: {unknown}.")
    settings = {"threshold": threshold, "reference": reference, "unranked": unranked}
    measured = measure(systems, **settings, smoothing_sec=smoothing_sec)
    content = {"title": title, "origin": dict(origin)} | measured
    for name, of_system in facts.items():
        content["systems"][name]["facts"] = dict(of_system)
    figures = plot_metrics(folder, systems, content) if images else []
    write_text(folder / "videos.csv", _video_table(content))
    figures = [*figures, *more_figures]
    write_text(folder / "report.md", markdown_page(content, figures))
    write_text(folder / "report.html", html_page(content, folder, figures))
    write_json(folder / "metrics.json", content)  # last: it shows that the other files are complete
    print_report(content, console)
    return content


def _video_table(content):
    """One line per system and video, as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(VIDEO_COLUMNS)
    for name, system in content["systems"].items():
        for video_id, entry in system["videos"].items():
            truth = content["videos"][video_id]
            intervals = truth["frame_labels"]
            abnormal = "" if intervals is None else sum(end - start for start, end in intervals)
            row = [name, video_id, truth["label"], truth["class_name"], truth["num_frames"], abnormal]
            row.append("" if np.isnan(entry["frame_auc"]) else f"{entry['frame_auc']:.4f}")
            writer.writerow([*row, f"{entry['max_score']:.4f}", f"{entry['mean_score']:.4f}"])
    return text.getvalue()
