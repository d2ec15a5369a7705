"""Messages that go on at once, and a store that is written beside."""

import dataclasses
import threading

import pytest

from pipelines.live.recorder import SUBSCRIBER_MESSAGES, Recorder
from pipelines.live.store import EventStore
from pipelines.serving.alarms import Event


@pytest.fixture
def store(tmp_path):
    store = EventStore(tmp_path / "live")
    yield store
    store.close()


def test_messages_reach_subscribers_and_sinks_and_the_store(store):
    class Sink(list):
        publish, closed = list.append, False

        def close(self, timeout):
            self.closed = True

    sink, event = Sink(), Event("door", "alarm", 100.0, None, 101.0, 0.9)
    recorder = Recorder(store, [sink])
    messages = recorder.subscribe()
    recorder.start()
    recorder.state("door", "live", "ok", "")
    recorder.score("door", 100.0, 0.7)
    recorder.event("new", event, b"a picture")
    recorder.clip("door", event.event_id, "no packets of that time are left")
    recorder.close()
    received = [messages.get_nowait() for _ in range(4)]
    assert [message["type"] for message in received] == ["state", "score", "event", "clip"]
    assert received[2]["event"] == event.to_dict() and list(sink) == received and sink.closed
    assert store.get(event.event_id).has_snapshot and store.snapshot_path(event.event_id).read_bytes() == b"a picture"
    assert store.get(event.event_id).clip_problem == "no packets of that time are left"
    assert len(store.scores("door", 99.0, 102.0)) == 1
    assert [row[1:] for row in store.states("door", 0, 9e9)] == [("live", "ok", "")]


def test_the_end_of_an_event_that_a_killed_process_left_open_is_published(store):
    event = Event("door", "alarm", 100.0, None, 101.0, 0.9)
    store.save(event)
    recorder = Recorder(store)
    messages = recorder.subscribe()
    recorder.recover()
    ended = dataclasses.replace(event, end=101.0).to_dict()
    assert messages.get_nowait() == {"type": "event", "change": "end", "event": ended} and messages.empty()


def test_a_subscriber_that_never_reads_loses_the_oldest_messages(store):
    recorder = Recorder(store)
    messages, left = recorder.subscribe(), recorder.subscribe()
    recorder.unsubscribe(left)
    recorder.unsubscribe(left)
    for number in range(SUBSCRIBER_MESSAGES + 5):
        recorder.score("door", float(number), 0.5)
    assert messages.qsize() == SUBSCRIBER_MESSAGES and messages.get()["time"] == 5.0 and left.empty()


def test_a_slow_or_failing_store_delays_no_message_and_is_named(store):
    problems, gate = [], threading.Event()
    recorder = Recorder(store, on_problem=problems.append, upkeep=lambda: gate.wait(10) and 1 / 0)
    messages = recorder.subscribe()
    recorder.start()
    for number in range(100):
        recorder.state("door", "live", "ok", str(number))
    assert messages.qsize() == 100
    gate.set()
    recorder.close()
    assert problems == [f"cannot write into {store.folder}: ZeroDivisionError: division by zero"]
    assert len(store.states("door", 0, 9e9)) >= 1
