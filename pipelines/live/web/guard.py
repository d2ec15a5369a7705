"""What stands between the network and the page: hosts, origins, sizes, tokens, and headers of every answer."""

import ipaddress
import logging
import re
import socket
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse

from pipelines.live.web.access import COOKIE

MAX_BODY_BYTES = 65_536  # the zones of a camera are the longest body
MARKER = "x-vad"  # a header that no form and no foreign page can send
SAFE_METHODS = ("GET", "HEAD")
OPEN_PATHS = ("/login", "/healthz")
PAGES = re.compile(r"/(cameras/[^\\\r\n]+|events(/[0-9a-f]{32})?)?")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(:[0-9]{1,5})?", re.I)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that goes no further: a status, why, and further headers."""

    def __init__(self, status, reason, **headers):
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Guard:
    """ASGI middleware around the whole page.

    1. ``Host`` must be an address, this machine, or one of ``hosts``: a foreign name that resolves to this machine
       (DNS rebinding) is refused. Without a token the address must be a loopback one.
    2. A request from another site is refused, unless it is a link that a person follows.
    3. A body of more than ``MAX_BODY_BYTES`` is refused without reading it.
    4. With a token, all but the login, its style and ``/healthz`` needs the token or a session.
    5. A changing request needs the header ``X-Vad`` or the token itself.

    Args:
        app: The ASGI application behind it.
        access: ``Access``.
        hosts: Further names under which the page is reached, such as that of a reverse proxy.
    """

    def __init__(self, app, access, hosts=()):
        self.app, self.access = app, access
        machine = socket.gethostname()
        own = ("localhost", machine, f"{machine}.local") if access.needs_token else ("localhost",)
        self.hosts = {name.lower().rstrip(".") for name in (*own, *hosts)}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008})
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            _check_site(scope["method"], headers)
            _check_length(headers)
            scope["vad_access"] = self._check_access(scope, headers)
        except RefusedError as refused:
            return await _answer(scope, headers, refused)(scope, receive, _hardened(send))
        return await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope, receive, send):
        """Run the application; what fails inside it is logged, and answered without details."""
        started = False

        async def send_noted(message):
            nonlocal started
            started = True
            await _hardened(send)(message)

        try:
            await self.app(scope, _limited(receive), send_noted)
        except Exception:
            logger.exception("%s %r failed", scope["method"], scope["path"])
            if not started:
                content = {"detail": "this failed inside the program; its log says why."}
                await JSONResponse(content, 500)(scope, receive, send_noted)

    def _check_host(self, headers):
        given = headers.getlist("host")
        match = HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            raise RefusedError(400, "a request needs one header Host.")
        name = match[1].lower()
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            known = name in self.hosts
        else:
            known = self.access.needs_token or address.is_loopback or name.strip("[]") in self.hosts
        if not known:
            raise RefusedError(421, "this page is not served under this name: it is none of the hosts of its settings.")

    def _check_access(self, scope, headers):
        """Return ``"open"``, ``"token"`` or ``"session"``."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        is_token = scheme.lower() == "bearer" and self.access.is_token(token.strip())
        session = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        path = scope["path"]
        if is_token:
            return "token"
        if not self.access.needs_token or self.access.knows_session(session):
            given = "session" if self.access.needs_token else "open"
            if scope["method"] not in SAFE_METHODS and path != "/login" and not headers.get(MARKER):
                raise RefusedError(403, "a changing request needs the header X-Vad: 1.")
            return given
        if path in OPEN_PATHS or path.startswith("/static/"):
            return ""
        reason = "a token is needed: send the header Authorization: Bearer TOKEN."
        raise RefusedError(401, reason, WWW_Authenticate="Bearer")


def _check_site(method, headers):
    site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
    is_link = method in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"
    is_link = is_link and headers.get("sec-fetch-dest") == "document"
    same_origin = origin is None or urlsplit(origin).netloc.lower() == headers["host"].lower()
    if (site not in ("same-origin", "none") and not is_link) or not same_origin:
        raise RefusedError(403, "a request from another site is refused.")


def _check_length(headers):
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:19]) > MAX_BODY_BYTES:
        raise RefusedError(413, f"a body may have {MAX_BODY_BYTES} bytes.", Connection="close")


def _limited(receive):
    """Return a ``receive`` that ends a body without a stated length at the limit."""
    received = 0

    async def receive_some():
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, f"a body may have {MAX_BODY_BYTES} bytes.", {"Connection": "close"})
        return message

    return receive_some


def _hardened(send):
    """Return a ``send`` that adds the headers of every answer."""

    async def send_hardened(message):
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_hardened


def _answer(scope, headers, refused):
    is_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    if refused.status == 401 and is_page and PAGES.fullmatch(scope["path"]):
        return RedirectResponse(f"/login?next={quote(scope['path'])}", 303)
    return JSONResponse({"detail": refused.reason}, refused.status, refused.headers)
