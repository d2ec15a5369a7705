"""What programs watch: ``/metrics`` for Prometheus and ``/healthz``."""

import math
import time

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, StateSetMetricFamily
from starlette.responses import JSONResponse, Response

from pipelines.live import HEALTH, STATES

GRACE_SEC = 60.0  # for a connection

COUNTERS = (
    ("vad_frames_scored", "Frames with a score.", "frames_scored"),
    ("vad_frames_dropped", "Frames skipped because the model was busy.", "frames_dropped"),
    ("vad_reconnects", "Connections that were lost and opened again.", "reconnects"),
)
GAUGES = (
    ("vad_score", "Newest anomaly score, 0 to 1.", "score"),
    ("vad_score_timestamp_seconds", "Unix time of the newest frame with a score.", "score_time"),
    ("vad_latency_seconds", "Time from frame to score, of the newest frame.", "latency_sec"),
    ("vad_threshold", "A score at or above it is an alarm.", "threshold"),
    ("vad_state_since_timestamp_seconds", "Unix time of the last change of state.", "since"),
)


class Collector:
    """Read the statuses of a view at each scrape; the view itself counts nothing for Prometheus.

    Args:
        view: ``LiveView``.
    """

    def __init__(self, view):
        self._view = view

    def collect(self):
        """Yield the families of metrics, each with the label ``camera``."""
        statuses = self._view.statuses()
        for kind, described in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
            for name, text, attribute in described:
                family = kind(name, text, labels=["camera"])
                for status in statuses:
                    value = getattr(status, attribute)
                    if value is not None and math.isfinite(value):
                        family.add_metric([status.name], value)
                yield family
        for name, text, attribute, choices in (
            ("vad_state", "State of the camera.", "state", STATES),
            ("vad_health", "Health of the picture.", "health", HEALTH),
        ):
            family = StateSetMetricFamily(name, text, labels=["camera"])
            for status in statuses:
                family.add_metric([status.name], {choice: getattr(status, attribute) == choice for choice in choices})
            yield family


def problem_of(status, now):
    """Say what is wrong with a camera; ``""`` when it does what it should.

    A camera fails when it is stalled or lost, or when a connection takes more than ``GRACE_SEC``. A paused camera does
    what it should, as do an ended file and a dark picture.

    Example:
    >>> from pipelines.live import CameraStatus
    >>> problem_of(CameraStatus("door", state="lost", reason="connection refused", since=10.0), now=15.0)
    'lost for 5 s: connection refused'
    """
    seconds = max(now - status.since, 0.0)
    text = f"{status.state} for {seconds:.0f} s" + (f": {status.reason}" if status.reason else "")
    if status.state in ("stalled", "lost") or (status.state == "connecting" and seconds > GRACE_SEC):
        return text
    return ""


def monitoring_router(view):
    """Return the routes ``/metrics`` and ``/healthz``."""
    router, registry = APIRouter(tags=["monitoring"]), CollectorRegistry(auto_describe=False)
    registry.register(Collector(view))

    @router.get("/metrics", response_class=Response)
    def metrics():
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/healthz")
    def healthz(request: Request):
        """Answer 200 when every camera does what it should, else 503. Who has no token learns no reasons."""
        now = time.time()
        problems = {status.name: problem_of(status, now) for status in view.statuses()}
        problems = {name: problem for name, problem in problems.items() if problem}
        content: dict[str, object] = {"status": "failing" if problems else "ok"}
        if request.scope["vad_access"]:
            content["cameras"] = problems
        return JSONResponse(content, 503 if problems else 200)

    return router
