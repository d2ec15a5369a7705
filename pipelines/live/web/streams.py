"""What is sent for as long as a client listens: messages (server-sent events) and pictures (MJPEG). All is bounded."""

import asyncio
import contextlib
import json
import logging
import math
from collections import deque
from queue import Empty
from typing import Any

from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

MAX_CLIENTS = 32  # of messages, and as many of pictures
MAX_WAITING = 100  # messages for one client; then it is told to load everything again
TICK_SEC = 0.25
PING_SEC = 15
STALL_SEC = 15.0  # a client that takes nothing for so long is dropped
PICTURE_SEC = 0.1
REPEAT_SEC = 5.0  # a picture that does not change is sent again
BOUNDARY = b"vad-picture"

logger = logging.getLogger(__name__)


class Client:
    """A listener: messages that it has not taken yet."""

    def __init__(self):
        self.waiting, self.ready = deque(), asyncio.Event()

    def offer(self, messages):
        """Add messages. When it takes none for long, only ``reset`` is left."""
        self.waiting.extend(messages)
        if len(self.waiting) > MAX_WAITING:
            self.waiting.clear()
            self.waiting.append({"type": "reset"})
        self.ready.set()


class Hub:
    """Pass the messages of a view on to all clients.

    The view has a single subscription, however many clients there are, and none without clients. It is read every
    ``TICK_SEC``; the scores of a tick become one message. Nothing here waits for a client.

    Args:
        view: ``LiveView``.
        describe: Function of an event's id; returns the stored event for JSON, None if there is none.
    """

    def __init__(self, view, describe):
        self._view, self._describe = view, describe
        self._clients, self._task = set(), None
        self.num_pictures, self.closing = 0, False

    def join(self):
        """Return a new ``Client``; None when there are too many."""
        if len(self._clients) >= MAX_CLIENTS or self.closing:
            return None
        client = Client()
        self._clients.add(client)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pass_on())
        return client

    def leave(self, client):
        """Forget a client."""
        self._clients.discard(client)

    def publish(self, message):
        """Send a message of the page itself to all clients."""
        for client in self._clients:
            client.offer([message])

    async def _pass_on(self):
        queue = self._view.subscribe()
        try:
            while self._clients and not self.closing:
                try:
                    messages = await run_in_threadpool(self._prepare, _taken(queue))
                except Exception:  # such as a full disk; the next tick may do
                    logger.exception("messages were lost")
                    messages = [{"type": "reset"}]
                for client in self._clients:
                    client.offer(messages)
                await asyncio.sleep(TICK_SEC)
        finally:
            self._task = None
            self._view.unsubscribe(queue)

    def _prepare(self, messages):
        """Join the scores of a tick, and complete events from the store."""
        scores, prepared = {}, []
        for message in messages:
            if message["type"] == "score":
                if message["score"] is not None and math.isfinite(message["score"]):
                    scores.setdefault(message["camera"], []).append([message["time"], round(message["score"], 4)])
            elif message["type"] == "event":
                stored = self._describe(message["event"]["event_id"])
                event = {**(stored or {}), **message["event"]}  # it may not be stored yet
                prepared.append({**message, "event": event})
            elif message["type"] == "clip":
                stored = self._describe(message["event_id"])
                prepared += [{"type": "stored", "event": stored}] if stored else []
            else:
                prepared.append(message)
        return prepared + ([{"type": "scores", "scores": scores}] if scores else [])

    async def messages(self, client):
        """Yield what a client is sent, until the page is closed."""
        try:
            yield {"data": json.dumps({"type": "hello"})}
            while not self.closing:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.ready.wait(), 1.0)
                client.ready.clear()
                while client.waiting:
                    yield {"data": json.dumps(client.waiting.popleft())}
        finally:
            self.leave(client)


def _taken(queue, most=1000):
    """Return what waits in a queue, without waiting for more."""
    messages = []
    with contextlib.suppress(Empty):
        while len(messages) < most:
            messages.append(queue.get_nowait())
    return messages


class MessageStream(EventSourceResponse):
    """Server-sent events; a client that takes nothing is dropped quietly."""

    def __init__(self, hub, client):
        super().__init__(hub.messages(client), ping=PING_SEC, send_timeout=STALL_SEC)
        self._hub, self._client = hub, client

    async def __call__(self, scope, receive, send):
        try:
            await super().__call__(scope, receive, send)
        except* SendTimeoutError:
            pass
        finally:
            self._hub.leave(self._client)


class PictureStream(Response):
    """MJPEG (``multipart/x-mixed-replace``): each new picture of a camera; a slow client misses some.

    Args:
        hub: ``Hub``; counts the streams.
        picture: Function that returns the newest JPEG or None.
    """

    media_type: Any = f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}"

    def __init__(self, hub, picture):
        super().__init__()
        del self.headers["content-length"]
        self._hub, self._picture = hub, picture

    async def __call__(self, scope, receive, send):
        self._hub.num_pictures += 1
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.timeout(None) as stall:
                await self._send_pictures(send, gone, stall)
        except TimeoutError:
            pass
        finally:
            gone.cancel()
            self._hub.num_pictures -= 1

    async def _send_pictures(self, send, gone, stall):
        loop, last, due, begin = asyncio.get_running_loop(), None, 0.0, b"--" + BOUNDARY + b"\r\n"
        while not gone.done() and not self._hub.closing:
            picture = self._picture()
            if picture and (picture != last or loop.time() >= due):
                part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(picture), picture)
                part, begin = begin + part + b"--" + BOUNDARY + b"\r\n", b""  # the next boundary ends the picture
                stall.reschedule(loop.time() + STALL_SEC)
                await send({"type": "http.response.body", "body": part, "more_body": True})
                stall.reschedule(None)
                last, due = picture, loop.time() + REPEAT_SEC
            await asyncio.sleep(PICTURE_SEC)
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
