"""Retention by days and by gigabytes."""

import os

from pipelines.live.retention import DAY_SEC, enforce
from pipelines.live.store import REMOVED
from pipelines.run.disk import size_of

NOON = 1_790_000_000.0
ID = "{:032x}".format


def fill(store, make_event, number, **values):
    event = make_event(number, **values)
    store.save(event)
    for path in (store.clip_path(event.event_id), store.snapshot_path(event.event_id)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(50_000))


def ids(events):
    return sorted(int(event.event_id, 16) for event in events)


def test_old_events_go_unless_they_are_open_or_reviewed(store, make_event):
    old = NOON - 10 * DAY_SEC
    fill(store, make_event, 1, start=old, end=old + 9)
    fill(store, make_event, 2, start=old, end=None)
    fill(store, make_event, 3, start=old, end=old + 9)
    fill(store, make_event, 4, start=NOON - DAY_SEC, end=NOON)
    store.review(ID(3), "false_alarm")
    store.add_scores("door", [(old, 0.5), (NOON, 0.5)])
    clip = store.clip_path(ID(1))
    assert enforce(store, max_days=7, max_gigabytes=0, now=NOON).events == 1
    assert ids(store.events()) == [2, 3, 4] and not clip.exists() and store.get(ID(2)).has_clip
    assert len(store.scores("door", old - 60, NOON + 1, max_points=10)) == 1
    assert enforce(store, max_days=0, max_gigabytes=0, now=NOON + 1e9).events == 0


def test_the_oldest_media_go_first_and_reviewed_ones_last(store, make_event):
    for number in range(4):
        fill(store, make_event, number, end=None if number == 1 else NOON + 1000)
    store.review(ID(0), "true_alarm")
    full = size_of(store.folder)
    removed = enforce(store, max_days=0, max_gigabytes=(full - 60_000) / 1e9, now=NOON)
    assert removed.media_bytes >= 100_000
    assert ids(event for event in store.events() if event.has_clip) == [0, 1, 3]
    enforce(store, max_days=0, max_gigabytes=1e-9, now=NOON)
    assert ids(event for event in store.events() if event.has_clip or event.has_snapshot) == [1], "it is open"
    assert ids(store.events()) == [0, 1, 2, 3], "events outlive their media"
    assert {event.clip_problem for event in store.events()} == {None, REMOVED}


def test_files_that_belong_to_no_event_are_removed(store, make_event):
    fill(store, make_event, 1, end=NOON)
    folder = store.clip_path(ID(1)).parent
    stray = [folder / f"{ID(9)}.mp4", folder / f".tmp-{ID(1)}.mp4", store.media.folder / "yard" / f"{ID(1)}.mp4"]
    for path in stray:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (NOON - 7200, NOON - 7200))
    (folder / f"{ID(8)}.mp4").write_bytes(b"x")
    os.utime(folder / f"{ID(8)}.mp4", (NOON - 60, NOON - 60))
    assert enforce(store, max_days=0, max_gigabytes=0, now=NOON).stray_files == 3
    assert not any(path.exists() for path in stray) and (folder / f"{ID(8)}.mp4").exists()
    assert store.get(ID(1)).has_clip
