"""Cameras watched day and night: sources, scores, events, messages. The web page sees a ``LiveView`` only."""

from dataclasses import dataclass
from queue import Queue
from typing import Protocol

import numpy as np

STATES = ("connecting", "live", "stalled", "lost", "paused", "ended")
HEALTH = ("ok", "black", "white", "frozen", "blurred", "moved")


@dataclass(frozen=True)
class CameraStatus:
    """What is known of a camera now.

    Args:
        name: Name of the camera, as in cameras.toml.
        state: One of ``STATES``.
        reason: Why, in words; empty when there is nothing to say.
        health: One of ``HEALTH``; a picture that is not "ok" is no anomaly.
        since: Unix time of the last change of state.
        score: Newest anomaly score, 0 to 1; None before the first one.
        score_time: Unix time at which the scored frame was taken; None before the first one.
        threshold: A score at or above it starts an alarm.
        frames_scored: Frames with a score since the start.
        frames_dropped: Frames skipped because the model was busy.
        reconnects: Number of connections that were lost and opened again.
        latency_sec: From frame to score, of the newest frame; None before the first one.
        zones: Polygons of the picture that count, fractions of its width and height; empty: all of it.
    """

    name: str
    state: str = "connecting"
    reason: str = ""
    health: str = "ok"
    since: float = 0.0
    score: float | None = None
    score_time: float | None = None
    threshold: float = 0.5
    frames_scored: int = 0
    frames_dropped: int = 0
    reconnects: int = 0
    latency_sec: float | None = None
    zones: tuple[tuple[tuple[float, float], ...], ...] = ()


class LiveView(Protocol):
    """The running ``vad watch``, as its web page and its metrics see it. Every method returns at once."""

    def statuses(self) -> list[CameraStatus]:
        """Return the status of every camera, in the order of cameras.toml."""

    def picture(self, name: str) -> bytes | None:
        """Return the newest picture of a camera as JPEG; None before the first one."""

    def patch_scores(self, name: str) -> tuple[np.ndarray, tuple[int, ...]] | None:
        """Return the newest patch scores ``(G,)`` of a camera and the scales of their grids; None before the first."""

    def pause(self, name: str, paused: bool) -> None:
        """Pause or resume a camera without closing its source."""

    def set_zones(self, name: str, zones) -> None:
        """Use other zones from now on and write them into cameras.toml."""

    def subscribe(self) -> Queue:
        """Return a bounded queue of messages (dicts) from now on; the oldest are dropped when nobody reads.

        ``{"type": "score", "camera", "time", "score"}``, ``{"type": "state", "camera", "time", "state", "health",
        "reason"}`` and ``{"type": "event", "change": "new" | "update" | "end", "event": {...}}``.
        """

    def unsubscribe(self, queue: Queue) -> None:
        """Stop sending messages to a queue."""
