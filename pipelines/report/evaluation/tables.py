"""The metrics of an evaluation as rows of tables, with the same texts on the terminal and in the report."""

import math

from pipelines.report.evaluation.measures import (
    CLASS_METRICS,
    FURTHER_METRICS,
    MAIN_METRICS,
    METRICS,
    ORACLE,
    classes_of,
)
from pipelines.report.terminal.tables import MISSING, format_difference, format_interval, format_mean_sd

NOT_SIGNIFICANT = "n.s."
LEGEND = f"{NOT_SIGNIFICANT}: not significant, the 95 % interval includes 0"
SHORT_HEADINGS = {"frame_auc_abnormal_videos": "inside abnormal"}  # on a narrow terminal


def headings(content, names, short=False):
    """Return the column headings of metrics. That of the false alarm rate names the threshold."""
    titles = {name: SHORT_HEADINGS.get(name, METRICS[name]) if short else METRICS[name] for name in names}
    if "false_alarm_rate_percent" in titles:
        titles["false_alarm_rate_percent"] = f"FAR at {content['threshold']:g} (%)"
    return titles


def metric_rows(content):
    """Return one row per metric, for a single system."""
    (system,) = content["systems"].values()
    rows = []
    for name, title in headings(content, METRICS).items():
        entry = system["metrics"][name]
        rows.append({"metric": title, "value": value_text(name, entry), "interval": interval_text(name, entry)})
    return rows, {"metric": "metric", "value": _value_heading(system), "interval": "95 % interval"}


def system_rows(content, names, with_intervals=False, short=False):
    """Return one row per system and one column per metric. The video-label oracle comes last."""
    rows = []
    for name, system in content["systems"].items():
        cells = {metric: value_text(metric, system["metrics"][metric], with_intervals) for metric in names}
        rows.append({"system": name, **cells})
    if "frame_auc" in names:
        oracle = content["systems"][content["reference"]]["metrics"][ORACLE]
        rows.append({"system": METRICS[ORACLE], **dict.fromkeys(names, MISSING)})
        rows[-1]["frame_auc"] = value_text(ORACLE, oracle, with_intervals)
    return rows, {"system": "system", **headings(content, names, short)}


def difference_rows(content, names, break_lines=False, short=False):
    """Return one row per system: its differences to the reference and which are not significant."""
    rows = [
        {"system": name, **{metric: difference_text(metric, entries[metric], break_lines) for metric in names}}
        for name, entries in content["differences"].items()
    ]
    return rows, {"system": "system", **headings(content, names, short)}


def class_rows(content):
    """Return one row per class of abnormal videos and system."""
    several = len(content["systems"]) > 1
    rows = []
    for kind in classes_of(content):
        for name, system in content["systems"].items():
            entry = system["classes"][kind]
            cells = {metric: value_text(metric, entry[metric], True) for metric in CLASS_METRICS}
            rows.append({"kind": kind, "count": entry["num_videos"], "system": name, **cells})
    columns = {"kind": "class", "count": "videos"} | ({"system": "system"} if several else {})
    return rows, columns | {metric: METRICS[metric] for metric in CLASS_METRICS}


def smoothing_rows(content):
    """Return one row per system and metric: with and without the moving average, and the difference."""
    rows = []
    for name, entry in content["smoothing"]["systems"].items():
        for metric, title in headings(content, MAIN_METRICS).items():
            rows.append(
                {
                    "system": name,
                    "metric": title,
                    "raw": value_text(metric, content["systems"][name]["metrics"][metric]),
                    "smoothed": value_text(metric, entry["metrics"][metric]),
                    "difference": difference_text(metric, entry["differences"][metric]),
                }
            )
    columns = {"metric": "metric", "raw": "raw scores", "smoothed": "smoothed scores", "difference": "difference"}
    return rows, {"system": "system", **columns} if len(content["systems"]) > 1 else columns


def fact_rows(content):
    """Return one row per system with its further columns, such as the number of parameters; no rows without any."""
    facts = {name: system.get("facts") or {} for name, system in content["systems"].items()}
    keys = list(dict.fromkeys(key for of_system in facts.values() for key in of_system))
    rows = [{"system": name, **of_system} for name, of_system in facts.items()] if keys else []
    return rows, {"system": "system", **{key: key for key in keys}}


def significance_texts(content):
    """Return one line per system: which differences are significant and which are not."""
    return [f"{name}: {_significance(content, entries)}." for name, entries in content["differences"].items()]


def _significance(content, entries):
    of_metric = {metric: entries[metric]["significant"] for metric in MAIN_METRICS | FURTHER_METRICS}
    known = {metric: significant for metric, significant in of_metric.items() if significant is not None}
    if not known:
        return "no interval, therefore no statement about significance"
    if all(entries[key]["difference"] == 0 and entries[key]["interval_95"] == [0, 0] for key in of_metric):
        return f"equal to {content['reference']} in every metric"
    if not any(known.values()):
        return "no significant difference in any metric"
    parts = [f"{METRICS[key]} {format_difference(entries[key]['difference'])}" for key in known if known[key]]
    rest = [METRICS[key] for key in known if not known[key]]
    return f"significant: {', '.join(parts)}" + (f"; not significant: {', '.join(rest)}" if rest else "")


def value_text(name, entry, with_interval=False):
    """Return mean ± sd over seeds and, on request, the interval in brackets."""
    of_seeds = entry["mean"] if name == ORACLE else entry["seeds"]  # the oracle is the same for all seeds
    text = format_mean_sd(of_seeds, decimals(name, entry["mean"]))
    interval = interval_text(name, entry)
    return f"{text} ({interval})" if with_interval and interval != MISSING else text


def interval_text(name, entry):
    """Return the 95 % interval over videos."""
    low, high = entry["interval_95"]
    return format_interval(low, high, decimals(name, entry.get("mean", 0.0)))


def difference_text(name, entry, break_line=False):
    """Return the difference, its interval and ``n.s.`` if it is not significant."""
    low, high = entry["interval_95"]
    digits = decimals(name, max(map(abs, (entry["difference"], low, high))))
    text = format_difference(entry["difference"], digits)
    interval = format_interval(low, high, digits)
    if interval == MISSING:
        return text
    text += f"{chr(10) if break_line else ' '}({interval})"
    return text if entry["significant"] else f"{text}{chr(10) if break_line else ' '}{NOT_SIGNIFICANT}"


def decimals(name, value):
    """Return the digits after the point: fewer for a rate in percent, unless it is near 0."""
    return 1 if name == "false_alarm_rate_percent" and not math.isnan(value) and value >= 1 else 3


def _value_heading(system):
    return f"mean ± sd over {system['num_seeds']} seeds" if system["num_seeds"] > 1 else "value"
