"""An evaluation as a page of Markdown, and what of it is printed on a terminal."""

from pipelines.report.evaluation.measures import FURTHER, MAIN
from pipelines.report.evaluation.tables import (
    class_rows,
    difference_rows,
    fact_rows,
    figure_rows,
    noise_texts,
    smoothing_rows,
    system_rows,
)
from pipelines.report.terminal.tables import markdown_table, print_table


def print_report(content, console=None):
    """Print the figures: of one system all of them, of several the main ones, their differences and further facts."""
    if len(content["systems"]) == 1:
        print_table(*figure_rows(content), title=_heading(content), console=console)
    else:
        print_table(*system_rows(content, MAIN, short=True), title=_heading(content), console=console)
        title = f"{_sign(content)} (95 % interval, paired over the same videos)"
        print_table(*difference_rows(content, MAIN, True, True), title=title, console=console)
    rows, columns = fact_rows(content)
    if rows:
        print_table(rows, columns, console=console)


def markdown_page(content, pictures=()):
    """The whole report as Markdown.

    Args:
        content: of `metrics.json`.
        pictures: `(file name, what it shows)` beside the page.
    """
    sections = [f"# {content['title']}\n\n{_counts_text(content)}", _figures_section(content)]
    if content["differences"]:
        lines = "\n".join(f"* {line}" for line in noise_texts(content))
        tables = "\n\n".join(markdown_table(*difference_rows(content, names)) for names in (MAIN, FURTHER))
        sections.append(
            f"## Differences\n\n{_sign(content)}, mean of the seeds, on the same draws of videos. A difference "
            f"whose interval holds 0 is noise.\n\n{lines}\n\n{tables}"
        )
    rows, columns = class_rows(content)
    if rows:
        sections.append(
            "## Classes\n\nFrame AUC of a class is over its videos and all normal ones.\n\n"
            f"{markdown_table(rows, columns)}"
        )
    if "smoothing" in content:
        sections.append(
            f"## With and without smoothing\n\n{_smoothing_text(content)}\n\n{markdown_table(*smoothing_rows(content))}"
        )
    sections += [f"![{text}]({name})" for name, text in pictures]
    sections += [f"## How it was measured\n\n{_definitions(content)}", f"## Where it comes from\n\n{_origin(content)}"]
    return "\n\n".join(sections) + "\n"


def _heading(content):
    names = ", ".join(content["systems"]) if len(content["systems"]) == 1 else f"{len(content['systems'])} systems"
    return f"{content['title']}: {names}"


def _sign(content):
    return f"Each system less {content['reference']}"


def _counts_text(content):
    counts = content["counts"]
    text = f"{counts['num_videos']:,} test videos, {counts['num_abnormal_videos']:,} of them abnormal; "
    text += f"{counts['num_frames']:,} frames, {counts['num_abnormal_frames']:,} of them abnormal."
    unknown = counts["num_videos_without_frame_labels"]
    text += f" {unknown:,} abnormal videos have no frame labels and count as videos only." if unknown else ""
    seeds = {name: system["num_seeds"] for name, system in content["systems"].items()}
    if len(set(seeds.values())) == 1:
        return f"{text} Seeds: {next(iter(seeds.values()))}."
    return f"{text} Seeds: {', '.join(f'{name} {count}' for name, count in seeds.items())}."


def _figures_section(content):
    if len(content["systems"]) == 1:
        tables = [figure_rows(content)]
    else:
        tables = [system_rows(content, names, with_intervals=True) for names in (MAIN, FURTHER)]
    facts = fact_rows(content)
    tables += [facts] if facts[0] else []
    return "## Figures\n\n" + "\n\n".join(markdown_table(*table) for table in tables)


def _smoothing_text(content):
    width = content["smoothing"]["width_sec"]
    return (
        f"A centred moving average over {width:g} seconds within each video, a width that was set in the configuration "
        "and not tuned. All other figures here are of the scores as the model gives them."
    )


def _definitions(content):
    samples = content["bootstrap"]["samples"]
    lines = [
        "AUC, AP and recall are shares in 0 to 1, over all original frames of all test videos pooled unless it says "
        "otherwise. AUC inside abnormal videos leaves the normal videos out: it shows whether moments are told apart.",
        f"FAR is the share of the frames of normal test videos with a score of at least {content['threshold']:g}, in "
        "percent. The score of a video is its highest.",
        "The floor is the frame AUC of a guess that knows the label of each video and gives it to all its frames.",
        "± is the standard deviation over seeds.",
    ]
    if samples:
        lines.append(
            f"Intervals hold the middle 95 % of {samples:,} draws of whole videos with replacement, of the mean over "
            f"seeds (seed of the draws: {content['bootstrap']['seed']})."
        )
    if samples and content["differences"]:
        lines.append(
            "They are not corrected for the number of differences: where there is none, about one in twenty still "
            "leaves out 0, and more where the videos are few."
        )
    return "\n".join(f"* {line}" for line in lines)


def _origin(content):
    """All that fits into a line; lists joined, tables left to `metrics.json`."""
    rows = []
    for key, value in content["origin"].items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not any(isinstance(entry, (dict, list, tuple)) for entry in values):
            rows.append({"what": key.replace("_", " "), "value": ", ".join(map(str, values))})
    return (
        markdown_table(rows, {"what": "what", "value": "value"}) + "\n\nThe whole configuration is in `metrics.json`."
    )
