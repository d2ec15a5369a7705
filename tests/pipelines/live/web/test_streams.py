import asyncio
import itertools
import json

import pytest

from pipelines.live.web import streams
from pipelines.live.web.streams import MAX_CLIENTS, MAX_WAITING, Client, Hub, PictureStream
from tests.pipelines.live.conftest import NOON, an_event
from tests.pipelines.live.fake_view import FakeView, a_picture

SCORE = {"type": "score", "camera": "door", "time": 1.0, "score": 0.5}


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(streams, "TICK_SEC", 0.01)
    monkeypatch.setattr(streams, "PICTURE_SEC", 0.001)


async def until(condition):
    """Wait until a condition holds, at most some seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_scores_of_a_tick_are_one_message_and_events_are_completed():
    stored = {**an_event(1).to_dict(), "verdict": None, "has_clip": True}
    hub = Hub(FakeView("door"), lambda event_id: stored if event_id == stored["event_id"] else None)
    event = {"type": "event", "change": "end", "event": an_event(1, end=NOON + 500).to_dict()}
    lost = {**SCORE, "score": float("nan")}
    state, clip = {"type": "state", "camera": "door"}, {"type": "clip", "event_id": stored["event_id"]}
    unknown = {"type": "clip", "event_id": "x"}
    prepared = hub._prepare([SCORE, event, {**SCORE, "time": 2.0}, lost, state, clip, unknown])
    assert [message["type"] for message in prepared] == ["event", "state", "stored", "scores"]
    assert prepared[0]["event"] == {**stored, "end": NOON + 500}  # what is in the store may be older
    assert prepared[2]["event"] == stored
    assert prepared[3]["scores"] == {"door": [[1.0, 0.5], [2.0, 0.5]]}


def test_a_client_that_takes_nothing_is_told_to_load_again():
    client = Client()
    for _ in range(MAX_WAITING):
        client.offer([SCORE])
    assert len(client.waiting) == MAX_WAITING
    client.offer([SCORE])
    assert list(client.waiting) == [{"type": "reset"}]


def test_all_clients_share_one_subscription_that_ends_with_the_last():
    async def watch():
        view = FakeView("door")
        hub = Hub(view, lambda event_id: None)
        first, second = hub.join(), hub.join()
        await until(lambda: view.queues)
        view.send(SCORE)
        await until(lambda: first.waiting and second.waiting)
        assert len(view.queues) == 1 and first.waiting[0]["scores"] == {"door": [[1.0, 0.5]]}
        hub.leave(first)
        hub.leave(second)
        await until(lambda: not view.queues)
        assert hub.join() is not None
        await until(lambda: view.queues)
        hub.closing = True
        await until(lambda: not view.queues)
        assert hub.join() is None

    asyncio.run(watch())


def test_more_clients_than_allowed_are_refused():
    async def crowd():
        hub = Hub(FakeView("door"), lambda event_id: None)
        clients = [hub.join() for _ in range(MAX_CLIENTS + 1)]
        assert clients[-1] is None and all(clients[:-1])
        hub.leave(clients[0])
        assert hub.join()
        hub.closing = True

    asyncio.run(crowd())


def test_a_failing_store_ends_no_stream():
    async def fail():
        view = FakeView("door")
        hub = Hub(view, lambda event_id: 1 / 0)
        client = hub.join()
        await until(lambda: view.queues)
        view.send({"type": "event", "change": "new", "event": an_event(1).to_dict()})
        await until(lambda: client.waiting)
        assert list(client.waiting) == [{"type": "reset"}]
        view.send(SCORE)
        await until(lambda: len(client.waiting) == 2)
        hub.closing = True

    asyncio.run(fail())


def test_messages_begin_with_a_greeting_and_end_with_the_page():
    async def listen():
        hub = Hub(FakeView("door"), lambda event_id: None)
        client = hub.join()
        hub.publish({"type": "stored", "event": {}})
        found = []
        async for message in hub.messages(client):
            found.append(json.loads(message["data"])["type"])
            hub.closing = len(found) == 2
        return found, hub._clients

    assert asyncio.run(listen()) == (["hello", "stored"], set())


class Connection:
    """An ASGI connection; ``stall`` takes nothing any more."""

    def __init__(self):
        self.sent, self.gone, self.stall = [], asyncio.Event(), False

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.stall:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def content(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def test_a_stream_of_pictures_sends_each_once_and_ends_with_its_client():
    async def watch():
        hub, pictures, connection = Hub(None, None), [None, a_picture(1)], Connection()
        task = asyncio.create_task(PictureStream(hub, lambda: pictures[-1])({}, connection.receive, connection.send))
        await until(lambda: connection.content.count(b"image/jpeg") == 1)
        await asyncio.sleep(0.03)
        pictures.append(a_picture(2))
        await until(lambda: connection.content.count(b"image/jpeg") == 2)
        assert hub.num_pictures == 1 and connection.content.endswith(a_picture(2) + b"\r\n--vad-picture\r\n")
        connection.gone.set()
        await asyncio.wait_for(task, 10)
        assert hub.num_pictures == 0

    asyncio.run(watch())


def test_a_client_that_takes_no_pictures_is_dropped(monkeypatch):
    monkeypatch.setattr(streams, "STALL_SEC", 0.05)

    async def stall():
        hub, connection, seeds = Hub(None, None), Connection(), itertools.count()
        stream = PictureStream(hub, lambda: a_picture(next(seeds)))
        task = asyncio.create_task(stream({}, connection.receive, connection.send))
        await until(lambda: connection.content)
        connection.stall = True
        await asyncio.wait_for(task, 10)
        return hub.num_pictures

    assert asyncio.run(stall()) == 0


def test_streams_beyond_the_bound_are_refused(client, monkeypatch):
    hub = client.app.state.hub
    hub.num_pictures = MAX_CLIENTS
    answer = client.get("/api/cameras/door/stream.mjpg")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "10"
    monkeypatch.setattr(hub, "join", lambda: None)
    assert client.get("/api/messages").status_code == 503
