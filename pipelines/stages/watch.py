"""Watch: cameras -> scores, events, clips and messages, with an exported model alone."""

import signal
import threading
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.config import UserError
from pipelines.live import terminal
from pipelines.live.cameras import find_cameras, model_of
from pipelines.live.recorder import Recorder
from pipelines.live.retention import enforce
from pipelines.live.sinks import open_sinks
from pipelines.live.store import EventStore
from pipelines.live.watched import ClipTimes
from pipelines.live.watcher import Watcher, WatchOptions
from pipelines.report.terminal.summary import counted, printable, write_summary
from pipelines.run.folder import RunFolder
from pipelines.run.lock import run_lock
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.engines.saved_model import SavedModelEngine

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
NO_LIMIT = float("inf")


def run(config) -> Path:
    """Watch ``watch.sources`` or the cameras of ``watch.cameras`` until all files have ended, or a signal stops it.

    Args:
        config: The run's ``Config``.

    Returns:
        The folder of events, clips and scores.

    Raises:
        UserError: There is no model that can score a stream, no camera, or another process watches into the folder.
    """
    cameras = find_cameras(config.watch)
    folder = Path(config.watch.store or RunFolder.of(config).live)
    engines = load_engines(config, cameras)
    with run_lock(folder):
        store = EventStore(folder)
        try:
            watcher = make_watcher(config, cameras, engines, store)
            watcher.recorder.recover()
            _watch(config, watcher, store)
        finally:
            store.close()
    statuses = watcher.statuses()
    num_frames = sum(status.frames_scored for status in statuses)
    lost = [(status.name, status.reason) for status in statuses if status.frames_scored == 0]
    done = f"{counted(len(statuses), 'camera')}, {counted(num_frames, 'frame')} scored"
    write_summary(config, "watch", done, skipped=lost, output=folder)
    return folder


def load_engines(config, cameras):
    """Load each model once; return camera name -> engine. This is the only place that knows the kinds of engines."""
    loaded, engines = {}, {}
    for camera in cameras:
        path = model_of(camera, config)
        if path not in loaded:
            loaded[path] = SavedModelEngine(path)
        engines[camera.name] = loaded[path]
    return engines


def make_watcher(config, cameras, engines, store):
    """Return the ``Watcher`` of the settings ``[watch]``."""
    options = config.watch
    upkeep = partial(enforce, store, options.keep_days or NO_LIMIT, options.keep_gigabytes or NO_LIMIT)
    clips = ClipTimes(options.clip_before_sec, options.clip_after_sec, options.clip_longest_sec)
    how = WatchOptions(
        lag_frames=None if options.lag < 0 else options.lag,
        pace=options.pace,
        timeout_sec=options.timeout_sec,
        picture_px=options.picture_px,
        clips=clips,
        quiet_every_sec=60 * options.quiet_every_min,
    )
    sinks = open_sinks(config.notify, store.folder, [camera.name for camera in cameras])
    recorder = Recorder(store, sinks, upkeep, _print_problem)
    rules = AlarmRules.of(config.alarms)
    return Watcher(cameras, engines, recorder, rules, options=how, cameras_file=options.cameras or None)


def _watch(config, watcher, store):
    """Run until the watcher has finished or a signal comes."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in STOP_SIGNALS}
    try:
        close_page = _serve_page(config, watcher, store)
        try:
            watcher.start()
            try:
                terminal.show(watcher, lambda: stopping.is_set() or watcher.wait(timeout=0))
            finally:
                watcher.stop()
        finally:
            close_page()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    watcher.wait(timeout=0)  # raises what ended the scoring


def _serve_page(config, watcher, store):
    """Serve the web page; return the function that ends it."""
    address = config.watch.web
    if not address:
        return lambda: None
    from pipelines.live.web import create_app, serve

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"`watch.web` must be HOST:PORT, such as 127.0.0.1:8090. Received: {address}.")
    app = create_app(watcher, store, _read_token(config.watch.web_token_file), config.watch.web_hosts)
    server = serve(app, host.strip("[]"), int(port))
    Console().print(f"web page: [bold]{escape(server.address)}[/]", highlight=False)
    return server.stop


def _read_token(path):
    """Return the token in a file; None without a file."""
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UserError(f"`watch.web_token_file` {path} cannot be read ({reason}).") from None


def _print_problem(text):
    Console(stderr=True).print(f"[yellow]warning:[/] {escape(printable(text))}", highlight=False, soft_wrap=True)
