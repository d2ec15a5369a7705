"""The report of an evaluation, the same wherever systems are measured: figures, page, table of videos, pictures."""

import csv
from pathlib import Path

import numpy as np

from pipelines.report.evaluation.measures import classes_of, measure
from pipelines.report.evaluation.page import markdown_page, print_report
from pipelines.report.evaluation.scored_videos import aligned
from pipelines.report.plots.class_bars import plot_class_bars
from pipelines.report.plots.curves import plot_curves
from pipelines.run.files import write_json

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
    samples,
    seed,
    threshold,
    reference=None,
    facts=None,
    smoothing_sec=2.0,
    images=True,
    console=None,
):
    """Measure systems on the same test videos; print the figures and write them with all that puts them right.

    Writes `metrics.json` (every figure of each seed, mean, sd, interval; paired differences), `report.md` (the same as
    tables), `videos.csv` (a line a system and video) and, with `images`, `curves.png` and `classes.png`.

    Args:
        folder: Where to.
        systems: `{name: [videos of the first seed, videos of the second, ...]}`; videos are dicts as `evaluate_videos`
            takes, each with a `video_id` and `fps`. Their order has no say.
        title: Such as the name of the data and how it was split.
        origin: dict of what the result comes from: `data`, `split`, `seed`, `commit`, `command`, `config`.
        samples: draws of the bootstrap over videos; 0: no intervals, and nothing is called noise or more.
        seed: of the draws.
        threshold: of the false alarm rate.
        reference: name of the system the paired differences are taken to; None: the first.
        facts: `{name: {column: value}}`, further columns of some systems: parameters, seconds, the paper's value.
        smoothing_sec: width of the moving average that is reported beside the plain scores; 0: none.
        images: Whether to draw.
        console: Where to print; standard output by default.

    Returns:
        The content of `metrics.json`, with NaN where the file has null.

    Raises:
        ValueError: The systems do not share their videos, `reference` or `facts` name none of them, or a video is not
            as `evaluate_videos` asks for.
    """
    folder, facts = Path(folder), facts or {}
    unknown = sorted(set(facts) - set(systems))
    if unknown:
        raise ValueError(f"`facts` must be of the systems {list(systems)}. Received also: {unknown}.")
    settings = {"samples": samples, "seed": seed, "threshold": threshold, "reference": reference}
    measured = measure(systems, **settings, smoothing_sec=smoothing_sec)
    content = {"title": title, "origin": dict(origin)} | measured
    for name, of_system in facts.items():
        content["systems"][name]["facts"] = dict(of_system)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _draw(folder, systems, content, title) if images else []
    _write_video_table(folder / "videos.csv", content)
    (folder / "report.md").write_text(markdown_page(content, pictures), encoding="utf-8")
    write_json(folder / "metrics.json", content)  # last: it says that the others are there
    print_report(content, console)
    return content


def _draw(folder, systems, content, title):
    """The pictures that the labels allow, and for each its name and what it shows."""
    pictures = []
    for name in ("curves.png", "classes.png"):
        (folder / name).unlink(missing_ok=True)
    systems, _ = aligned(systems)
    counts = content["counts"]
    if 0 < counts["num_abnormal_frames"] < counts["num_frames"]:
        plot_curves(folder / "curves.png", {name: _pooled(seeds) for name, seeds in systems.items()}, title)
        pictures.append(("curves.png", "ROC and precision-recall curves"))
    if classes_of(content):
        plot_class_bars(folder / "classes.png", content)
        pictures.append(("classes.png", "frame AUC of each class"))
    return pictures


def _pooled(seeds):
    """Labels `(num_frames,)` and scores `(num_seeds, num_frames)` of the videos whose frames are known."""
    known = [video.get("frame_labels") is not None or not video["label"] for video in seeds[0]]
    labels = [
        np.zeros(np.size(video["scores"])) if video.get("frame_labels") is None else np.ravel(video["frame_labels"])
        for video, is_known in zip(seeds[0], known, strict=True)
        if is_known
    ]
    scores = [
        np.concatenate([np.ravel(video["scores"]) for video, is_known in zip(videos, known, strict=True) if is_known])
        for videos in seeds
    ]
    return np.concatenate(labels), np.stack(scores)


def _write_video_table(path, content):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(VIDEO_COLUMNS)
        for name, system in content["systems"].items():
            for video_id, entry in system["videos"].items():
                truth = content["videos"][video_id]
                intervals = truth["frame_labels"]
                abnormal = "" if intervals is None else sum(end - start for start, end in intervals)
                row = [name, video_id, truth["label"], truth["class_name"], truth["num_frames"], abnormal]
                row.append("" if np.isnan(entry["frame_auc"]) else f"{entry['frame_auc']:.4f}")
                writer.writerow([*row, f"{entry['max_score']:.4f}", f"{entry['mean_score']:.4f}"])
