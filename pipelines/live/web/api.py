"""The JSON interface: cameras, pictures, scores, states, zones, and the messages of all."""

import dataclasses
import hashlib
import math
import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, StrictBool
from starlette.responses import Response

from pipelines.config import UserError
from pipelines.live.web.streams import MAX_CLIENTS, MessageStream, PictureStream
from pipelines.live.zones import check_zones

MAX_TIME = 1e11  # Unix seconds
HOUR_SEC = 3600.0
MAX_ZONES = 20
MAX_POINTS = 100
Time = Annotated[float, Query(ge=0, le=MAX_TIME, allow_inf_nan=False)]


class Body(BaseModel):
    """A JSON body without further keys."""

    model_config = ConfigDict(extra="forbid")


class Paused(Body):
    """Whether a camera is to be paused."""

    paused: StrictBool


class Zones(Body):
    """Polygons in fractions of the width and height of the picture; none: all of it counts."""

    zones: list[list[tuple[float, float]]]


def camera_dict(status, level=None):
    """Return a ``CameraStatus`` for JSON.

    Args:
        status: ``CameraStatus``.
        level: Level of the event that is open now, None without one.
    """
    values = dataclasses.asdict(status)
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            values[name] = None
    return {**values, "open_event": level}


def cameras_router(view, store, hub):
    """Return the routes under ``/api/cameras``, and ``/api/messages``."""
    router = APIRouter(prefix="/api", tags=["cameras"])

    def status_of(name):
        found = next((status for status in view.statuses() if status.name == name), None)
        if found is None:
            raise HTTPException(404, "there is no such camera.")
        return found

    def open_levels():
        return {event.camera: event.level for event in store.open_events()}

    def changed(name):
        return camera_dict(status_of(name), open_levels().get(name))

    @router.get("/cameras")
    def cameras(request: Request):
        """Return all cameras in the order of cameras.toml, the clock, and whether a session may be ended."""
        levels = open_levels()
        return {
            "time": time.time(),
            "session": request.scope["vad_access"] == "session",
            "cameras": [camera_dict(status, levels.get(status.name)) for status in view.statuses()],
        }

    @router.get("/cameras/{name:path}/picture.jpg", response_class=Response)
    def picture(name: str, request: Request):
        status_of(name)
        content = view.picture(name)
        if not content:
            return Response(status_code=204)
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="image/jpeg", headers=headers)

    @router.get("/cameras/{name:path}/stream.mjpg", response_class=Response)
    async def stream(name: str):
        status_of(name)
        if hub.num_pictures >= MAX_CLIENTS:
            raise _too_many("streams of pictures")
        return PictureStream(hub, lambda: view.picture(name))

    @router.get("/cameras/{name:path}/patches")
    def patches(name: str):
        status_of(name)
        found = view.patch_scores(name)
        if found is None:
            return {"scales": [], "scores": []}
        scores = [round(float(score), 4) if math.isfinite(score) else 0.0 for score in found[0]]
        return {"scales": [int(scale) for scale in found[1]], "scores": scores}

    @router.get("/cameras/{name:path}/scores")
    def scores(
        name: str,
        since: Time | None = None,
        until: Time | None = None,
        points: Annotated[int, Query(ge=10, le=2000)] = 600,
    ):
        """Return ``[time, lowest, mean, highest]`` of buckets; the last hour by default."""
        status_of(name)
        until = time.time() if until is None else until
        since = max(until - HOUR_SEC, 0.0) if since is None else since
        found = store.scores(name, since, until, points) if since < until else []
        return {"since": since, "until": until, "scores": found}

    @router.get("/cameras/{name:path}/states")
    def states(name: str, since: Time | None = None, until: Time | None = None):
        """Return ``[time, state, health, reason]`` of changes; those of the last hour by default."""
        status_of(name)
        until = time.time() if until is None else until
        since = max(until - HOUR_SEC, 0.0) if since is None else since
        return {"since": since, "until": until, "states": store.states(name, since, until)}

    @router.put("/cameras/{name:path}/paused")
    def pause(name: str, body: Paused):
        status_of(name)
        view.pause(name, body.paused)
        return changed(name)

    @router.put("/cameras/{name:path}/zones")
    def zones(name: str, body: Zones):
        status_of(name)
        if len(body.zones) > MAX_ZONES or any(len(zone) > MAX_POINTS for zone in body.zones):
            raise HTTPException(422, f"a camera may have {MAX_ZONES} zones of {MAX_POINTS} points.")
        try:
            view.set_zones(name, check_zones(body.zones))
        except UserError as error:
            raise HTTPException(422, str(error)) from None
        return changed(name)

    @router.get("/cameras/{name:path}")
    def camera(name: str):  # after the routes below a camera
        return changed(name)

    @router.get("/messages", response_class=Response)
    async def messages():
        """Send messages as server-sent events: scores, states, events (also ``stored``: as the store has them now).

        ``reset`` says that some were lost, and that all is to be loaded again.
        """
        client = hub.join()
        if client is None:
            raise _too_many("listeners")
        return MessageStream(hub, client)

    return router


def _too_many(what):
    return HTTPException(503, f"too many {what}.", {"Retry-After": "10"})
