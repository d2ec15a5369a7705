"""An evaluation as a report in Markdown and in HTML, and the part of it that is printed on a terminal."""

from collections.abc import Callable
from typing import NamedTuple

from pipelines.report.evaluation.event_tables import event_counts, event_tables, location_table, missing_reasons
from pipelines.report.evaluation.measures import FURTHER_METRICS, MAIN_METRICS
from pipelines.report.evaluation.tables import (
    LEGEND,
    class_rows,
    difference_rows,
    fact_rows,
    metric_rows,
    significance_texts,
    smoothing_rows,
    system_rows,
)
from pipelines.report.html.page import figure_uri, render
from pipelines.report.terminal.summary import counted
from pipelines.report.terminal.tables import markdown_table, print_table, table_cells


def print_report(content, console=None):
    """Print all metrics of a single system; of several systems the main metrics, differences and further columns."""
    if len(content["systems"]) == 1:
        tables = [(*metric_rows(content), _heading(content))]
        tables.append((*event_tables(content)[0], f"Events: {event_counts(content)}"))
        tables.append((*location_table(content), "Place"))
    else:
        tables = [(*system_rows(content, MAIN_METRICS, short=True), _heading(content))]
        title = f"Difference to {content['reference']} ({LEGEND})"
        tables.append((*difference_rows(content, MAIN_METRICS, True, True), title))
    tables.append((*fact_rows(content), ""))
    for rows, columns, title in tables:
        if rows:
            print_table(rows, columns, title=title, console=console)


class Section(NamedTuple):
    """A part of the report under a heading.

    Args:
        title: Heading; empty for the first part, which stands under the title of the report.
        parts: Pairs of ``"text"`` and a paragraph, ``"list"`` and lines, ``"table"`` and ``(rows, columns)``, or
            ``"figure"`` and ``(file name, what it shows)``.
    """

    title: str
    parts: list


def markdown_page(content, figures=()):
    """Return the report as Markdown.

    Args:
        content: Content of ``metrics.json``.
        figures: ``(file name, what it shows)`` of each figure beside the report.
    """
    written: dict[str, Callable] = {
        "text": str,
        "list": lambda lines: "\n".join(f"* {line}" for line in lines),
        "table": lambda table: markdown_table(*table),
        "figure": lambda figure: f"![{figure[1]}]({figure[0]})",
    }
    texts = [f"# {content['title']}"]
    for section in _sections(content, figures):
        texts += [f"## {section.title}"] if section.title else []
        texts += [written[kind](part) for kind, part in section.parts]
    return "\n\n".join(texts) + "\n"


def html_page(content, folder, figures=()):
    """Return the same report as a self-contained HTML page.

    Args:
        content: Content of ``metrics.json``.
        folder: Folder of the figures.
        figures: As for ``markdown_page``.
    """
    def shown(kind, part):
        if kind == "table":
            part = dict(zip(("headings", "cells", "right"), table_cells(*part), strict=True))
        if kind == "figure":
            part = {"uri": figure_uri(folder / part[0]), "text": part[1]}
        return kind, part

    sections = [
        {"title": section.title, "parts": [shown(*part) for part in section.parts]}
        for section in _sections(content, figures)
    ]
    return render("evaluation.html", title=content["title"], sections=sections)


def _sections(content, figures):
    sections = [Section("", [("text", _counts_text(content))]), _metrics_section(content)]
    if content["differences"]:
        sections.append(_differences_section(content))
    sections.append(_events_section(content))
    if location_table(content)[0]:
        sections.append(_location_section(content))
    rows, columns = class_rows(content)
    if rows:
        text = "The frame AUC of a class is computed on its videos and all normal videos."
        sections.append(Section("Metrics per class", [("text", text), ("table", (rows, columns))]))
    if "smoothing" in content:
        parts = [("text", _smoothing_text(content)), ("table", smoothing_rows(content))]
        sections.append(Section("With and without smoothing", parts))
    sections[-1].parts.extend(("figure", figure) for figure in figures)
    sections.append(Section("Definitions", [("list", _definitions(content))]))
    return [*sections, Section("Provenance", _origin(content))]


def _heading(content):
    names = ", ".join(content["systems"]) if len(content["systems"]) == 1 else f"{len(content['systems'])} systems"
    return f"{content['title']}: {names}"


def _counts_text(content):
    counts = content["counts"]
    text = f"{counted(counts['num_videos'], 'test video')}, {counts['num_abnormal_videos']:,} of them abnormal; "
    text += f"{counted(counts['num_frames'], 'frame')}, {counts['num_abnormal_frames']:,} of them abnormal."
    unknown = counts["num_videos_without_frame_labels"]
    if unknown:
        text += f" Abnormal videos without frame labels: {unknown:,}; they count in the video AUC only."
    seeds = {name: system["num_seeds"] for name, system in content["systems"].items()}
    if len(set(seeds.values())) == 1:
        return f"{text} Seeds: {next(iter(seeds.values()))}."
    return f"{text} Seeds: {', '.join(f'{name} {count}' for name, count in seeds.items())}."


def _metrics_section(content):
    if len(content["systems"]) == 1:
        tables = [metric_rows(content)]
    else:
        tables = [system_rows(content, names, with_intervals=True) for names in (MAIN_METRICS, FURTHER_METRICS)]
    facts = fact_rows(content)
    tables += [facts] if facts[0] else []
    return Section("Metrics", [("table", table) for table in tables])


def _differences_section(content):
    tables = [difference_rows(content, names) for names in (MAIN_METRICS, FURTHER_METRICS)]
    parts = [("text", f"Mean over seeds, paired by video. {LEGEND}."), ("list", significance_texts(content))]
    return Section(f"Difference to {content['reference']}", [*parts, *(("table", table) for table in tables)])


def _events_section(content):
    missing = [f"Missing: {line}" for line in missing_reasons(content)]
    parts = [("text", event_counts(content)), *(("table", table) for table in event_tables(content))]
    return Section("Events", [*parts, ("list", missing)] if missing else parts)


def _location_section(content):
    location = content["location"]
    missing = [f"Missing: {name}: {reason}." for name, reason in location["missing"].items()]
    text = f"{location['num_frames']:,} abnormal frames of {location['num_videos']:,} videos have a pixel mask."
    parts = [("text", text), ("table", location_table(content))]
    return Section("Place", [*parts, ("list", missing)] if missing else parts)


def _smoothing_text(content):
    width = content["smoothing"]["width_sec"]
    return (
        f"Smoothing is a centred moving average over {width:g} seconds within each video. The width is a setting and "
        f"was not tuned. All other metrics in this report are computed on the raw scores of the model. {LEGEND}."
    )


def _definitions(content):
    lines = [
        "AUC, AP and recall are between 0 and 1. They are computed on all original frames of all test videos together, "
        "unless stated otherwise. The AUC inside abnormal videos ignores the normal videos: it shows whether the "
        "abnormal frames of a video are found.",
        "FAR is the false alarm rate: the percentage of the frames of normal test videos with a score of at least "
        f"{content['threshold']:g}. The score of a video is its highest frame score.",
        "The video-label oracle knows the label of each video and gives it to all frames of that video.",
        "± is the standard deviation over seeds.",
        "An event is a run of abnormal frames. An alarm is a run of frames with a score at or above a threshold; it is "
        "false if it shares no frame with an event. An operating point lowers the threshold as far as the allowed "
        "number of false alarms in all test videos permits, and has no value where that number is below one. The "
        "seconds to detection are a median over the events found.",
        "mAP takes the class from the video: the scores name none. Pointing game: whether the brightest part of the "
        "heat map touches the event, or the share of the event in that part (pixels). Events and places have no "
        "interval: their thresholds and counts hang on a few videos.",
        "Intervals are 95 % intervals of the mean over seeds for other videos of the same kind, from leaving out one "
        "video at a time (jackknife, Student's t, logit scale). There is none where a metric is at its limit or hangs "
        "on a single video.",
    ]
    if content["differences"]:
        lines.append(
            "Intervals are not corrected for the number of comparisons. Where there is no true difference, about one "
            "in twenty intervals still excludes 0, and more than that when there are few videos."
        )
    return lines


def _origin(content):
    """What fits in one line; lists are joined, tables are in ``metrics.json`` only."""
    rows = []
    for key, value in content["origin"].items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not any(isinstance(entry, (dict, list, tuple)) for entry in values):
            rows.append({"item": key.replace("_", " "), "value": ", ".join(map(str, values))})
    return [("table", (rows, ["item", "value"])), ("text", "The full configuration is in `metrics.json`.")]
