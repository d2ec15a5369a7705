"""Serve the page from a thread of the watching process."""

import ipaddress
import socket
import threading

import uvicorn

from pipelines.config import UserError

MAX_CONNECTIONS = 200
STOP_SEC = 5


def is_loopback(host):
    """Whether an address is reached from this machine only.

    Example:
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("cam.example")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Server:
    """A running page.

    Args:
        server: ``uvicorn.Server``.
        sockets: What it listens on.
        hub: ``Hub`` of the page.
    """

    def __init__(self, server, sockets, hub):
        self._server, self._hub = server, hub
        self.host, self.port = sockets[0].getsockname()[:2]
        self._thread = threading.Thread(target=server.run, args=(sockets,), name="web", daemon=True)
        self._thread.start()

    @property
    def address(self):
        """Where the page is, for a browser."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def stop(self):
        """End all streams and stop; returns when the thread has ended."""
        self._hub.closing = True
        self._server.should_exit = True
        self._thread.join(2 * STOP_SEC)


def serve(app, host="127.0.0.1", port=8090):
    """Serve a page and return its ``Server`` at once.

    Args:
        app: Result of ``create_app``.
        host: Address to listen on.
        port: Port; 0: any free one.

    Raises:
        UserError: The address is in use or is none of this machine, or it is no loopback address and there is no token.
    """
    if not is_loopback(host) and not app.state.access.needs_token:
        raise UserError(
            f"a page on {host} is reached from other machines and needs a token. Set one, or serve 127.0.0.1."
        )
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level="critical",  # the application logs its own failures; requests are not logged
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=STOP_SEC,
        ws="none",
        lifespan="off",
    )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(family[4][:2], family=family[0], backlog=128)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be served ({error.strerror or error}). Choose another port.") from None
    return Server(uvicorn.Server(config), [listening], app.state.hub)
