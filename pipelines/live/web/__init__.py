"""The web page of ``vad watch``: cameras, events, verdicts and zones in a browser; JSON and metrics for programs."""

from pipelines.live.web.app import create_app
from pipelines.live.web.server import Server, serve

__all__ = ["Server", "create_app", "serve"]
