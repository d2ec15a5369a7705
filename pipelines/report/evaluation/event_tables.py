"""Events, alarms and places as rows of tables."""

from pipelines.report.evaluation.events import EVENT_METRICS
from pipelines.report.evaluation.location import LOCATION_METRICS, MAPS
from pipelines.report.terminal.summary import counted
from pipelines.report.terminal.tables import format_mean_sd

RECALL, DELAY = ([name for name in EVENT_METRICS if name.startswith(start)] for start in ("event_", "time_"))
QUALITY = [name for name in EVENT_METRICS if name not in (*RECALL, *DELAY)]


def event_tables(content):
    """Return ``(rows, columns)`` of each table: one of all metrics for one system, otherwise one row per system."""
    systems = content["events"]["systems"]
    if len(systems) == 1:
        (metrics,) = systems.values()
        rows = [{"metric": title, "value": _text(name, metrics[name])} for name, title in EVENT_METRICS.items()]
        return [(rows, {"metric": "metric", "value": "value"})]
    return [
        (
            [
                {"system": system} | {name: _text(name, metrics[name]) for name in names}
                for system, metrics in systems.items()
            ],
            {"system": "system"} | {name: EVENT_METRICS[name] for name in names},
        )
        for names in (RECALL, DELAY, QUALITY)
    ]


def event_counts(content):
    """Return in words what events and false alarms are counted in."""
    events = content["events"]
    hours = 24 * events["camera_days"]
    text = counted(events["num_events"], "event")
    if hours == hours:
        duration = f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.3g} minutes"
        text += f" in {duration} ({events['camera_days']:.2g} camera-days) of test video"
    return f"{text}."


def missing_reasons(content):
    """Return one line per reason: the metrics, and the system if there are several, that it keeps from a value."""
    lines = {}
    for system, metrics in content["events"]["systems"].items():
        for name, entry in metrics.items():
            if entry["missing"]:
                key = entry["missing"], "" if len(content["events"]["systems"]) == 1 else f" ({system})"
                lines.setdefault(key, []).append(EVENT_METRICS[name])
    return [f"{', '.join(titles)}{system}: {reason}." for (reason, system), titles in lines.items()]


def location_table(content):
    """Return ``(rows, columns)``: one row per system and map, the chance level last; no rows without a mask.

    A single system is not named.
    """
    rows, chance = [], {}
    columns = {"system": "system"} if len(content["location"]["systems"]) > 1 else {}
    columns |= {"map": "map", **LOCATION_METRICS}
    for system, maps in content["location"]["systems"].items():
        for key, metrics in maps.items():
            cells = {name: format_mean_sd(metrics[name]["seeds"]) for name in LOCATION_METRICS}
            rows.append({"system": system, "map": MAPS[key], **cells})
            chance = {name: format_mean_sd(metrics[name]["chance"]) for name in LOCATION_METRICS}
    if rows:
        rows.append({"system": "", "map": "chance", **chance})
    return [{key: row[key] for key in columns} for row in rows], columns


def _text(name, entry):
    return format_mean_sd(entry["seeds"], 1 if name in DELAY else 3)
