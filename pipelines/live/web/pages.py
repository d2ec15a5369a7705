"""The pages themselves: one document for all views, the login form, and the files that they load."""

import html
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from pipelines.live.web.access import COOKIE, SESSION_SEC
from pipelines.live.web.guard import PAGES

STATIC = Path(__file__).with_name("static")
NO_STORE = {"Cache-Control": "no-store"}


class Static(StaticFiles):
    """Files that a browser asks for again each time: an update of the program is seen at once."""

    def file_response(self, *args, **kwargs):
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def pages_router(access):
    """Return the routes of the documents and of the login.

    Args:
        access: ``Access``.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/cameras/{name:path}")
    @router.get("/events")
    @router.get("/events/{event_id}")
    def page(name: str = "", event_id: str = ""):
        return FileResponse(STATIC / "index.html", headers=NO_STORE)

    @router.get("/login")
    def login_form(next: str = "/"):
        return RedirectResponse("/", 303) if not access.needs_token else _form(next)

    @router.post("/login")
    async def login(request: Request):
        given = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
        target = given.get("next", ["/"])[0]
        session = access.login(given.get("token", [""])[0].strip())
        if session is None:
            return _form(target, "This is not the token.", 403)
        response = RedirectResponse(target if PAGES.fullmatch(target) else "/", 303)
        is_secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, session, max_age=int(SESSION_SEC), httponly=True, samesite="strict", secure=is_secure
        )
        return response

    @router.post("/logout", status_code=204)
    def logout(request: Request):
        access.logout(request.cookies.get(COOKIE, ""))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return router


def _form(target, problem="", status=200):
    text = (STATIC / "login.html").read_text(encoding="utf-8")
    target = target if PAGES.fullmatch(target) else "/"
    text = text.replace("{{next}}", html.escape(target, quote=True)).replace("{{problem}}", html.escape(problem))
    return HTMLResponse(text, status, NO_STORE)
