"""The page of ``vad watch`` as a FastAPI application."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from pipelines.live import LiveView
from pipelines.live.store import EventStore
from pipelines.live.web.access import Access
from pipelines.live.web.api import cameras_router
from pipelines.live.web.events import events_router
from pipelines.live.web.guard import Guard
from pipelines.live.web.monitoring import monitoring_router
from pipelines.live.web.pages import STATIC, Static, pages_router
from pipelines.live.web.streams import Hub


def create_app(view: LiveView, store: EventStore, token: str | None = None, hosts=()) -> FastAPI:
    """Return the page, its JSON interface under ``/api``, ``/metrics`` and ``/healthz``.

    Args:
        view: What is watched.
        store: Its events, scores and states.
        token: The secret that is asked for; None: none, and only a loopback address may be served, see ``serve``.
        hosts: Further host names under which the page is reached.

    Raises:
        UserError: The token is too short.
    """
    access = Access(token)
    hub = Hub(view, lambda event_id: (event := store.get(event_id)) and event.to_dict())
    app = FastAPI(title="vad watch", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.access, app.state.hub = access, hub
    app.include_router(cameras_router(view, store, hub))
    app.include_router(events_router(store, hub))
    app.include_router(monitoring_router(view))
    app.include_router(pages_router(access))
    app.mount("/static", Static(directory=STATIC))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, access=access, hosts=hosts)
    return app


async def _invalid(request, error):
    """Answer without the received values: JSON cannot hold all of them."""
    problems = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
    return JSONResponse({"detail": "; ".join(problems[:5])}, 422)
