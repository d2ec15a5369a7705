"""Events and stores for tests of the live part."""

import pytest

from pipelines.live.store import EventStore
from pipelines.serving.alarms import Event
from tests.pipelines.live.sources import lying_server, rtsp_server  # noqa: F401

NOON = 1_790_000_000.0


def an_event(number=0, camera="door", level="alarm", start=None, end=None, score=0.9):
    """Return an event with a readable id."""
    start = NOON + 100 * number if start is None else start
    return Event(camera, level, start, end, start, score, event_id=f"{number:032x}")


@pytest.fixture
def make_event():
    return an_event


@pytest.fixture
def store(tmp_path):
    """An empty store whose clock stands still."""
    store = EventStore(tmp_path / "store", clock=lambda: NOON)
    yield store
    store.close()
