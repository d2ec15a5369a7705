"""The figures of an evaluation as rows of tables; all texts are made here, for the terminal and for the page."""

import math

from pipelines.report.evaluation.measures import FIGURES, FLOOR, FURTHER, MAIN, OF_CLASS, classes_of
from pipelines.report.terminal.tables import MISSING, format_difference, format_interval, format_mean_sd

NOISE = "noise"
SHORT = {"frame_auc_abnormal_videos": "inside abnormal"}  # where columns are narrow


def headings(content, names, short=False):
    """Column headings of figures; that of the false alarm rate names its threshold."""
    titles = {name: FIGURES[name] for name in names} | {name: SHORT[name] for name in SHORT if short and name in names}
    if "false_alarm_rate_percent" in titles:
        titles["false_alarm_rate_percent"] = f"FAR at {content['threshold']:g} (%)"
    return titles


def figure_rows(content):
    """One system: a row for each figure."""
    (system,) = content["systems"].values()
    rows = []
    for name, title in headings(content, FIGURES).items():
        entry = system["figures"][name]
        rows.append({"figure": title, "value": value_text(name, entry), "interval": interval_text(name, entry)})
    return rows, {"figure": "figure", "value": _value_heading(system), "interval": "95 % over videos"}


def system_rows(content, names, with_intervals=False, short=False):
    """Several systems: a row for each, a column for each figure; the floor, which hangs on labels alone, comes last."""
    rows = []
    for name, system in content["systems"].items():
        cells = {figure: value_text(figure, system["figures"][figure], with_intervals) for figure in names}
        rows.append({"system": name, **cells})
    if "frame_auc" in names:
        floor = content["systems"][content["reference"]]["figures"][FLOOR]
        rows.append({"system": FIGURES[FLOOR], "frame_auc": value_text(FLOOR, floor, with_intervals)})
        rows[-1] |= dict.fromkeys(set(names) - {"frame_auc"}, MISSING)
    return rows, {"system": "system", **headings(content, names, short)}


def difference_rows(content, names, break_lines=False, short=False):
    """Each system less the reference, with the verdict."""
    rows = [
        {"system": name, **{figure: difference_text(figure, entries[figure], break_lines) for figure in names}}
        for name, entries in content["differences"].items()
    ]
    return rows, {"system": f"less {content['reference']}", **headings(content, names, short)}


def class_rows(content):
    """A row for each class of abnormal videos and each system."""
    several = len(content["systems"]) > 1
    rows = []
    for kind in classes_of(content):
        for name, system in content["systems"].items():
            entry = system["classes"][kind]
            cells = {figure: value_text(figure, entry[figure], True) for figure in OF_CLASS}
            rows.append({"kind": kind, "count": entry["num_videos"], "system": name, **cells})
    columns = {"kind": "class", "count": "videos"} | ({"system": "system"} if several else {})
    return rows, columns | {figure: FIGURES[figure] for figure in OF_CLASS}


def smoothing_rows(content):
    """Each system with and without the moving average, and what it changes."""
    rows = []
    for name, entry in content["smoothing"]["systems"].items():
        for figure, title in headings(content, MAIN).items():
            rows.append(
                {
                    "system": name,
                    "figure": title,
                    "plain": value_text(figure, content["systems"][name]["figures"][figure]),
                    "smoothed": value_text(figure, entry["figures"][figure]),
                    "difference": difference_text(figure, entry["differences"][figure]),
                }
            )
    columns = {"figure": "figure", "plain": "plain", "smoothed": "smoothed", "difference": "smoothed less plain"}
    return rows, {"system": "system", **columns} if len(content["systems"]) > 1 else columns


def fact_rows(content):
    """What else is known of each system, such as its parameters; no row when nothing is."""
    facts = {name: system.get("facts") or {} for name, system in content["systems"].items()}
    keys = list(dict.fromkeys(key for of_system in facts.values() for key in of_system))
    rows = [{"system": name, **of_system} for name, of_system in facts.items()] if keys else []
    return rows, {"system": "system", **{key: key for key in keys}}


def noise_texts(content):
    """What may and what may not be said of each system: a line each."""
    lines = []
    for name, entries in content["differences"].items():
        verdicts = {figure: entries[figure]["noise"] for figure in MAIN | FURTHER}
        beyond = [figure for figure, noise in verdicts.items() if noise is False]
        if all(noise is None for noise in verdicts.values()):
            lines.append(f"{name}: no interval, so nothing can be said.")
        elif all(entries[key]["difference"] == 0 and entries[key]["interval_95"] == [0, 0] for key in verdicts):
            lines.append(f"{name}: the same as {content['reference']} in every figure.")
        elif beyond:
            parts = [f"{FIGURES[figure]} {format_difference(entries[figure]['difference'])}" for figure in beyond]
            rest = [FIGURES[figure] for figure, noise in verdicts.items() if noise]
            lines.append(
                f"{name}: beyond noise in {', '.join(parts)}" + (f"; noise in {', '.join(rest)}." if rest else ".")
            )
        else:
            lines.append(f"{name}: noise in every figure; no difference is shown.")
    return lines


def value_text(name, entry, with_interval=False):
    """Mean ± sd over seeds, and the interval in brackets where it is asked for and there."""
    of_seeds = entry["mean"] if name == FLOOR else entry["seeds"]  # the floor knows no seed
    text = format_mean_sd(of_seeds, decimals(name, entry["mean"]))
    interval = interval_text(name, entry)
    return f"{text} ({interval})" if with_interval and interval != MISSING else text


def interval_text(name, entry):
    """The 95 % interval over videos."""
    return format_interval(*entry["interval_95"], decimals(name, entry.get("mean", 0.0)))


def difference_text(name, entry, break_line=False):
    """The difference, its interval, and `noise` where that holds 0."""
    digits = decimals(name, max(map(abs, (entry["difference"], *entry["interval_95"]))))
    text = format_difference(entry["difference"], digits)
    interval = format_interval(*entry["interval_95"], digits)
    if interval == MISSING:
        return text
    text += f"{chr(10) if break_line else ' '}({interval})"
    return f"{text}{chr(10) if break_line else ', '}{NOISE}" if entry["noise"] else text


def decimals(name, value):
    """Digits after the point: a rate in percent needs fewer, but not where it is near 0."""
    return 1 if name == "false_alarm_rate_percent" and not math.isnan(value) and value >= 1 else 3


def _value_heading(system):
    return f"mean ± sd of {system['num_seeds']} seeds" if system["num_seeds"] > 1 else "value"
