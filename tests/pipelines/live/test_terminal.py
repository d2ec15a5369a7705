"""What is printed while cameras are watched."""

import io
import queue
from types import SimpleNamespace

from rich.console import Console

from pipelines.live import CameraStatus
from pipelines.live.terminal import line_of, show, table_of
from pipelines.serving.alarms import Event

DOOR = CameraStatus("door", "live", score=0.83, threshold=0.5, frames_scored=1234, frames_dropped=2, latency_sec=0.52)
YARD = CameraStatus("yard", "lost", "connection refused; trying again")


def view(*messages):
    """A view with two cameras and messages that wait."""
    waiting = queue.Queue()
    for message in messages:
        waiting.put(message)
    return SimpleNamespace(subscribe=lambda: waiting, unsubscribe=lambda _: None, statuses=lambda: [DOOR, YARD])


def printed(terminal, *messages):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=110, color_system=None)
    show(view(*messages), lambda: True, console)
    return console.file.getvalue()


def event(change):
    end = 104.5 if change == "end" else None
    return {"type": "event", "change": change, "event": Event("door", "alarm", 100.0, end, 100.0, 0.91).to_dict()}


def test_a_line_per_event_and_change_of_state_goes_into_a_file():
    state = {"type": "state", "camera": "yard", "time": 0.0, "state": "lost", "health": "black", "reason": "[gone]\x1b"}
    score = {"type": "score", "camera": "door", "time": 0.0, "score": 0.5}
    lines = printed(False, state, score, event("new"), event("update"), event("end")).splitlines()
    assert [line[21:] for line in lines] == [
        "yard  lost, picture black ([gone]\\x1b)",
        "door  alarm starts, highest score 0.91",
        "door  alarm ended after 4.5 s, highest score 0.91",
    ]


def test_a_terminal_shows_a_table_and_events_above_it():
    text = printed(True, event("new"))
    assert text.index("alarm starts") < text.index("camera")
    assert "1,234" in text and "0.83" in text and "0.5 s" in text and "connection refused" in text


def test_the_table_fits_a_narrow_terminal():
    console = Console(file=io.StringIO(), width=80)
    console.print(table_of([DOOR, YARD]))
    assert max(map(len, console.file.getvalue().splitlines())) <= 80


def test_unknown_messages_print_nothing():
    assert line_of({"type": "clip", "camera": "door", "event_id": "0" * 32, "problem": ""}) == ""
