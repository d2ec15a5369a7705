"""What ``vad watch`` prints: a table of the cameras on a terminal, one line per event or change of state elsewhere."""

import queue
import time

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelines.report.terminal.summary import printable

REFRESH_SEC = 0.5
BAR_WIDTH = 12
STYLES = {"live": "green", "connecting": "yellow", "stalled": "yellow", "lost": "red", "paused": "cyan", "ended": "dim"}


def show(watcher, is_done, console=None):
    """Print what happens until ``is_done()``.

    Args:
        watcher: ``LiveView``.
        is_done: Function that is called twice a second.
        console: Where to print; standard output by default.
    """
    console, messages = console or Console(), watcher.subscribe()
    try:
        if console.is_terminal:
            _show_table(watcher, is_done, console, messages)
        else:
            _print_lines(is_done, console, messages)
    finally:
        watcher.unsubscribe(messages)


def _show_table(watcher, is_done, console, messages):
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            done = is_done()
            for line in _lines(messages, 0.0, with_states=False):
                live.console.print(line, highlight=False, soft_wrap=True)
            live.update(Group(table_of(watcher.statuses()), Text("Ctrl-C stops watching", style="dim")), refresh=True)
            if done:
                return
            time.sleep(REFRESH_SEC)


def _print_lines(is_done, console, messages):
    done = False
    while not done:
        done = is_done()
        for line in _lines(messages, 0.0 if done else REFRESH_SEC, with_states=True):
            console.print(line, highlight=False, soft_wrap=True)


def _lines(messages, timeout_sec, with_states):
    """Return the lines of the messages that wait, after at most ``timeout_sec`` without one."""
    lines = []
    try:
        message = messages.get(timeout=timeout_sec) if timeout_sec else messages.get_nowait()
        while True:
            line = line_of(message, with_states)
            if line:
                lines.append(line)
            message = messages.get_nowait()
    except queue.Empty:
        return lines


def line_of(message, with_states=True):
    """Return the line of a message; empty for those that are not printed.

    Example:

    >>> line_of({"type": "score", "camera": "door", "time": 0.0, "score": 0.5})
    ''
    """
    if message["type"] == "event" and message["change"] != "update":
        event = message["event"]
        what = "starts" if message["change"] == "new" else f"ended after {event['end'] - event['start']:.1f} s"
        style = "bold red" if event["level"] == "alarm" else "yellow"
        text = f"{event['camera']}  [{style}]{event['level']}[/] {what}, highest score {event['peak_score']:.2f}"
        return f"{_clock(event['start'] if message['change'] == 'new' else event['end'])}  {text}"
    if message["type"] == "state" and with_states:
        reason = f" ({escape(printable(message['reason']))})" if message["reason"] else ""
        health = "" if message["health"] == "ok" else f", picture {message['health']}"
        return f"{_clock(message['time'])}  {message['camera']}  {message['state']}{health}{reason}"
    return ""


def table_of(statuses):
    """Return the table of ``CameraStatus``es."""
    table = Table("camera", "state", "score", "", "frames", "dropped", "latency", "note", box=None, pad_edge=False)
    for column in (4, 5, 6):
        table.columns[column].justify = "right"
    for status in statuses:
        score = "" if status.score is None else f"{status.score:.2f}"
        is_high = status.score is not None and status.score >= status.threshold
        style = "bold red" if is_high else ""
        filled = round((status.score or 0.0) * BAR_WIDTH)
        bar = Text("█" * filled, style=style or "green") + Text("·" * (BAR_WIDTH - filled), style="dim")
        state = status.state if status.health == "ok" else f"{status.state}, {status.health}"
        latency = "" if status.latency_sec is None else f"{status.latency_sec:.1f} s"
        table.add_row(
            status.name,
            Text(state, style=STYLES[status.state] if status.health == "ok" else "yellow"),
            Text(score, style=style),
            bar,
            f"{status.frames_scored:,}",
            f"{status.frames_dropped:,}",
            latency,
            Text(printable(status.reason), style="dim", overflow="ellipsis", no_wrap=True),
        )
    return table


def _clock(unix_time):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_time))
