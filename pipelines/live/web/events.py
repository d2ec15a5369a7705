"""The JSON interface of events: lists, verdicts, clips and snapshots."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from anyio import from_thread
from fastapi import APIRouter, HTTPException, Query
from starlette.responses import FileResponse, Response

from pipelines.live.web.api import Body, Time

Verdict = Literal["true_alarm", "false_alarm"]
MEDIA = {"clip.mp4": "video/mp4", "snapshot.jpg": "image/jpeg"}


class Review(Body):
    """A verdict; null takes it back."""

    verdict: Verdict | None


def events_router(store, hub):
    """Return the routes under ``/api/events``."""
    router = APIRouter(prefix="/api", tags=["events"])

    def event_of(event_id):
        event = store.get(event_id)
        if event is None:
            raise HTTPException(404, "there is no such event.")
        return event

    @router.get("/events")
    def events(
        camera: str | None = None,
        level: Literal["notice", "alarm"] | None = None,
        verdict: Verdict | None = None,
        reviewed: bool | None = None,
        before: Time | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ):
        """Return events, newest first, and the ``before`` of the next page, null at the end."""
        found = store.events(camera, level, verdict, before, limit + 1, reviewed)
        page = found[:limit]
        if len(found) > limit:  # events that start at the same time stay on one page
            page = [event for event in page if event.start > found[limit].start] or page
        following = page[-1].start if len(found) > limit else None
        return {"events": [event.to_dict() for event in page], "before": following}

    @router.get("/events/{event_id}")
    def event(event_id: str):
        return event_of(event_id).to_dict()

    @router.put("/events/{event_id}/verdict")
    def review(event_id: str, body: Review):
        event_of(event_id)
        reviewed = store.review(event_id, body.verdict).to_dict()
        from_thread.run_sync(hub.publish, {"type": "stored", "event": reviewed})
        return reviewed

    @router.get("/events/{event_id}/{name}", response_class=Response)
    def media(event_id: str, name: Literal["clip.mp4", "snapshot.jpg"]):
        """Return the clip or the snapshot of an event. Ranges are served."""
        event = event_of(event_id)
        is_clip = name == "clip.mp4"
        path = store.clip_path(event_id) if is_clip else store.snapshot_path(event_id)
        if not path.is_file():
            raise HTTPException(404, f"there is no {'clip' if is_clip else 'snapshot'} of this event.")
        filename = f"{event.camera}_{datetime.fromtimestamp(event.start, UTC):%Y%m%dT%H%M%SZ}{path.suffix}"
        return FileResponse(
            path,
            media_type=MEDIA[name],
            filename=filename,
            content_disposition_type="inline",
            headers={"Cache-Control": "private, no-cache"},
        )

    return router
