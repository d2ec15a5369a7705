"""The store of events, scores and states."""

import dataclasses
import math
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from pipelines.config import UserError
from pipelines.live import store as store_module
from pipelines.live.store import MIGRATIONS, STOPPED, EventStore
from pipelines.serving.alarms import Event

NOON = 1_790_000_000.0


def with_media(store, event, content=b"x" * 5000):
    store.save(event)
    for path in (store.clip_path(event.event_id), store.snapshot_path(event.event_id)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return event


def test_an_event_is_read_as_it_was_saved(store, make_event):
    event = make_event(1)
    store.save(event)
    assert Event.from_dict(store.get(event.event_id).to_dict()) == event
    store.review(event.event_id, "true_alarm")
    store.save(dataclasses.replace(event, end=event.start + 5, peak_score=0.95))
    stored = store.get(event.event_id)
    assert (stored.end, stored.peak_score) == (event.start + 5, 0.95)
    assert (stored.verdict, stored.reviewed_time) == ("true_alarm", NOON), "a verdict survives an update"
    assert (stored.has_clip, stored.has_snapshot) == (False, False)
    assert store.get("0" * 31) is None and store.get("../etc/passwd") is None


def test_events_are_listed_newest_first_and_selected(store, make_event):
    for number in range(6):
        camera, level = ("door", "yard")[number % 2], ("notice", "alarm")[number // 3]
        store.save(make_event(number, camera, level))
    numbers = [int(event.event_id, 16) for event in store.events()]
    assert numbers == [5, 4, 3, 2, 1, 0]
    assert [int(event.event_id, 16) for event in store.events(camera="door", level="alarm")] == [4]
    assert [int(event.event_id, 16) for event in store.events(before=NOON + 300, limit=2)] == [2, 1]
    store.review(f"{3:032x}", "false_alarm")
    assert [int(event.event_id, 16) for event in store.events(verdict="false_alarm")] == [3]
    assert store.review(f"{3:032x}", None).reviewed_time is None and store.events(verdict="false_alarm") == []


def test_media_lie_by_camera_and_day_and_nothing_leaves_the_store(store, make_event):
    event = with_media(store, make_event(7, start=86_400.0 * 365))
    assert store.clip_path(event.event_id) == store.folder / "media/door/1971-01-01" / f"{7:032x}.mp4"
    assert store.get(event.event_id).has_clip and store.get(event.event_id).has_snapshot
    for bad in ("../../secret", "", "A" * 32, f"{7:032x}\n", f"{8:032x}"):
        with pytest.raises(KeyError, match="there is no event"):
            store.clip_path(bad)
    wrong = ({"camera": "../door"}, {"camera": ""}, {"event_id": "../x"}, {"level": "panic"}, {"start": math.nan})
    for changed in wrong:
        with pytest.raises(ValueError, match="an event needs an id of 32 hexadecimal digits"):
            store.save(dataclasses.replace(event, **changed))


def test_a_verdict_that_is_none_is_refused(store, make_event):
    store.save(make_event(1))
    with pytest.raises(ValueError, match=r"must be true_alarm, false_alarm or None. Received: 'maybe'"):
        store.review(f"{1:032x}", "maybe")
    with pytest.raises(KeyError):
        store.review(f"{2:032x}", "true_alarm")


def test_scores_come_in_buckets_of_single_scores(store):
    store.add_scores("door", [(NOON + second, second / 100) for second in range(60)] + [(NOON, math.nan)])
    store.add_scores("yard", [(NOON, 1.0)])
    found = store.scores("door", NOON, NOON + 60, max_points=6)
    assert [one[0] for one in found] == [NOON + 10 * n for n in range(6)]
    assert found[1][1:] == pytest.approx((0.10, 0.145, 0.19))
    assert store.scores("door", NOON + 60, NOON + 120) == [] and store.scores("shed", NOON, NOON + 60) == []


def test_old_scores_become_minutes_and_the_history_stays_small(store):
    start = NOON // 60 * 60
    for hour in range(8):
        times = [start + 3600 * hour + 10 * n for n in range(360)]
        store.add_scores("door", [(one, (one % 60) / 100) for one in times])
    rows = [store._database.read(f"SELECT count(*) FROM {table}")[0][0] for table in ("scores", "minutes")]
    assert 6 * 360 <= rows[0] <= 6 * 360 + 6 and rows[1] == 8 * 60
    old = store.scores("door", start, start + 120, max_points=1000)
    assert [tuple(map(pytest.approx, one)) for one in old] == [
        (start, 0.0, 0.25, 0.5),
        (start + 60, 0.0, 0.25, 0.5),
    ]
    hours = store.scores("door", start, start + 8 * 3600, max_points=8)
    assert len(hours) == 8 and hours[0][1:] == pytest.approx((0.0, 0.25, 0.5))
    store.add_scores("door", [(start, 0.99)])
    assert store.scores("door", start, start + 60)[0][3] == 0.5, "a late score does not replace a whole minute"


def test_states_begin_with_the_one_that_held(store):
    for moment, state in ((10, "live"), (20, "lost"), (30, "live")):
        store.add_state("door", moment, state, "ok", "because")
    assert [one[:2] for one in store.states("door", 15, 25)] == [(10, "live"), (20, "lost")]
    assert store.states("door", 0, 5) == [] and store.states("yard", 0, 99) == []
    store.delete_before(25)
    assert [one[:2] for one in store.states("door", 26, 99)] == [(20, "lost"), (30, "live")]


def test_what_a_stopped_process_left_open_is_ended(store, make_event):
    store.save(make_event(1, end=NOON + 150))
    store.save(dataclasses.replace(make_event(2), peak_time=NOON + 230))
    store.review(f"{2:032x}", "true_alarm")
    assert [event.end for event in store.recover()] == [NOON + 230]
    assert store.open_events() == [] and store.get(f"{2:032x}").verdict == "true_alarm"


def test_events_without_a_clip_say_why_and_files_that_were_being_written_go(store, make_event):
    with_media(store, make_event(1, end=NOON + 150))
    for number in (2, 3):
        store.save(make_event(number, end=NOON + 350))
    store.note_clip(f"{3:032x}", "no packets of that time are left")
    assert store.get(f"{2:032x}").clip_problem is None, "it is still to come"
    paths = [store.clip_path(f"{1:032x}").with_name(".tmp-1.mp4"), store.folder / "quiet" / "door" / ".tmp-1-2.mp4"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a clip")
    store.recover()
    assert not any(path.exists() for path in paths) and store.get(f"{1:032x}").has_clip
    problems = [store.get(f"{number:032x}").clip_problem for number in (1, 2, 3)]
    assert problems == [None, STOPPED, "no packets of that time are left"]


def test_an_event_is_not_there_before_its_snapshot(store, make_event, monkeypatch):
    def fails(path):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(store_module, "replacing", fails)
    with pytest.raises(OSError, match="no space"):
        store.save(make_event(1), b"a picture")
    assert store.get(f"{1:032x}") is None
    monkeypatch.undo()
    store.save(make_event(1), b"a picture")
    assert store.get(f"{1:032x}").has_snapshot


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_stores_of_every_older_schema_open(tmp_path, make_event, version):
    folder = tmp_path / "store"
    folder.mkdir()
    with sqlite3.connect(folder / "events.sqlite") as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("INSERT INTO events VALUES (?, 'door', 'alarm', 1, 2, 1, 0.9, NULL, NULL)", (f"{1:032x}",))
    store = EventStore(folder)
    store.add_scores("door", [(1.0, 0.5)])
    store.add_state("door", 1.0, "live", "ok", "")
    assert store.get(f"{1:032x}").end == 2 and store.scores("door", 0, 2)
    store.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    EventStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "events.sqlite") as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(UserError, match="has schema 99 of a newer version"):
        EventStore(tmp_path)


WRITER = """
import sys
from pipelines.live.store import EventStore
from pipelines.serving.alarms import Event
store = EventStore(sys.argv[1])
for number in range(10**6):
    event = Event("door", "alarm", float(number), None, float(number), 0.9)
    store.save(event)
    store.add_scores("door", [(number + n / 4, 0.5) for n in range(4)])
    event.end = number + 1.0
    event.peak_score = 0.95
    store.save(event)
    print(event.event_id, flush=True)
"""


def test_a_killed_writer_leaves_whole_events(tmp_path):
    moments, finished = random.Random(0), []
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(moments.random() / 20)
        process.send_signal(signal.SIGKILL)
        finished += [line.strip() for line in process.stdout if len(line) == 33]
        process.wait()
        store = EventStore(tmp_path)
        assert store._database.read("PRAGMA integrity_check")[0][0] == "ok"
        events = store.events(limit=10**6)
        assert set(finished) <= {event.event_id for event in events if event.end is not None}
        assert all((event.end is None) == (event.peak_score == 0.9) for event in events), "an event is half there"
        assert len(store.recover()) <= 1
        with store._database.transaction() as connection:
            connection.execute("UPDATE events SET peak_score = 0.95")
        store.close()


def test_a_page_reads_while_the_watcher_writes(store, make_event):
    errors, stop = [], threading.Event()

    def read():
        try:
            while not stop.is_set():
                store.events()
                store.scores("door", NOON, NOON + 100)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(50):
        store.save(make_event(number))
        store.add_scores("door", [(NOON + number, 0.5)])
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors and len(store.events()) == 50
