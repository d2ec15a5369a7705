"""Events and alarms of one or more systems, see ``evaluate_events``."""

from pipelines.report.evaluation.seeds import over_seeds
from vad_keras.metrics import evaluate_events

RATES = (1, 6, 24)  # false alarms per camera-day
POINTS = {"no_false_alarm": "without a false alarm"}
POINTS |= {f"at_{rate}_per_day": f"at {rate} false alarm{'s' if rate > 1 else ''} per camera-day" for rate in RATES}
EVENT_METRICS = {f"event_recall_{point}": f"event recall {title}" for point, title in POINTS.items()}
EVENT_METRICS |= {f"time_to_detection_sec_{point}": f"seconds to detection {title}" for point, title in POINTS.items()}
EVENT_METRICS |= {"latency_aware_ap": "latency-aware AP"}
EVENT_METRICS |= {f"map_at_iou_{percent}_percent": f"mAP at IoU {percent / 100:g}" for percent in (10, 20, 30, 40, 50)}
EVENT_METRICS |= {"map_at_iou_mean": "mAP, mean over IoU"}


def measure_events(systems):
    """Measure events and alarms.

    Args:
        systems: ``{name: [videos of a seed, ...]}``, see ``write_report``.

    Returns:
        dict: ``num_events``, ``camera_days`` and ``systems``, name -> metric -> ``{"seeds", "mean", "sd", "missing"}``.
        The mean is over the seeds that have a value; ``missing`` is the reason if one has none, else empty.
    """
    content = {"systems": {}}
    for name, seeds in systems.items():
        reports = [evaluate_events(videos, RATES) for videos in seeds]
        content |= {key: reports[0][key] for key in ("num_events", "camera_days")}
        content["systems"][name] = {metric: _metric(reports, metric) for metric in EVENT_METRICS}
    return content


def _metric(reports, name):
    reasons = [report["missing"][name] for report in reports if name in report["missing"]]
    return over_seeds([report[name] for report in reports]) | {"missing": reasons[0] if reasons else ""}
