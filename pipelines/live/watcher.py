"""The running ``vad watch``: a reader process per camera, one thread that scores, and what a web page asks for."""

import dataclasses
import threading
import time

from pipelines.config import UserError
from pipelines.live.cameras import change_camera
from pipelines.live.quiet import QuietClips
from pipelines.live.reader import ReaderTask
from pipelines.live.recordings import ScoredFiles
from pipelines.live.source import Source
from pipelines.live.watched import ClipTimes, WatchedCamera
from pipelines.serving.alarms import AlarmRules
from pipelines.serving.stream import StreamScorer

IDLE_SEC = 0.25
CLIPS_SEC = 5.0  # for the clips that are still to be written at the end
WAITING_SNIPPETS = 2


@dataclasses.dataclass(frozen=True)
class WatchOptions:
    """How all cameras are watched.

    Args:
        lag_frames: See ``StreamScorer``; None: the full lag.
        pace: Play files as fast as their time stamps say.
        timeout_sec: A connection that is silent for so long is given up.
        picture_px: Longest side of the pictures for people.
        clips: ``ClipTimes``.
        quiet_every_sec: Time from one clip of a quiet stretch to the next; 0: none.
    """

    lag_frames: int | None = None
    pace: bool = True
    timeout_sec: float = 10.0
    picture_px: int = 640
    clips: ClipTimes = dataclasses.field(default_factory=ClipTimes)
    quiet_every_sec: float = 0.0


class Watcher:
    """Watches cameras until it is stopped. It keeps the promises of ``pipelines.live.LiveView``.

    Args:
        cameras: ``Camera``s; those that are not enabled are left out.
        engines: Camera name -> engine of its model. Cameras may share one.
        recorder: ``Recorder``; the watcher starts and closes it.
        rules: ``AlarmRules`` without thresholds, which are those of the camera or of its model.
        options: ``WatchOptions``.
        cameras_file: ``cameras.toml`` into which zones are written; None: they are forgotten at the end.

    Raises:
        UserError: A model cannot score a stream.

    Example:

        watcher = Watcher(cameras, engines, recorder)
        watcher.start()
        watcher.wait()
        watcher.stop()
    """

    def __init__(self, cameras, engines, recorder, rules=None, options=None, cameras_file=None):
        self.recorder, self.options, self.cameras_file = recorder, options or WatchOptions(), cameras_file
        self._rules = rules or AlarmRules(threshold=1.0)
        self._wake, self._stopping, self.finished = threading.Event(), threading.Event(), threading.Event()
        self.error = None
        folder, every_sec = recorder.store.folder, self.options.quiet_every_sec
        self._quiet = QuietClips(folder, every_sec) if every_sec else None
        self._watched = {}
        for camera in cameras:
            if camera.enabled:
                self._watched[camera.name] = self._watch(camera, engines[camera.name])
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        """Start to read and to score. The first call of a model takes seconds, so it is made before frames come."""
        for engine in {id(watched.engine): watched.engine for watched in self._watched.values()}.values():
            StreamScorer(engine, self.options.lag_frames).warm_up()
        self.recorder.start()
        for watched in self._watched.values():
            watched.source.start()
        self._thread.start()

    def wait(self, timeout=None):
        """Wait until all cameras are files that have ended; return whether they have.

        Raises:
            Exception: What ended the scoring.
        """
        done = self.finished.wait(timeout)
        if self.error is not None:
            raise self.error
        return done

    def stop(self):
        """Score what waits, end open events, write everything and end the readers. It takes a few seconds."""
        self._stopping.set()
        for watched in self._watched.values():
            watched.source.discard()
        self._wake.set()
        self._thread.join()
        end = time.monotonic() + (CLIPS_SEC if self.error is None else 0.0)
        while any(watched.awaits_clips for watched in self._watched.values()) and time.monotonic() < end:
            time.sleep(CLIPS_SEC / 100)
        for watched in self._watched.values():
            watched.source.stop()
        for watched in self._watched.values():
            watched.source.join()
        self.recorder.close()

    def statuses(self):
        """Return the ``CameraStatus`` of every camera, in order."""
        return [watched.status() for watched in self._watched.values()]

    def picture(self, name):
        """Return the newest picture of a camera as JPEG; None before the first one."""
        return self._named(name).picture

    def patch_scores(self, name):
        """Return the newest patch scores ``(G,)`` of a camera and the scales of their grids; None before the first."""
        watched = self._named(name)
        return None if watched.patches is None else (watched.patches, watched.engine.info.scales)

    def pause(self, name, paused):
        """Pause or resume a camera without closing its source."""
        self._named(name).source.pause(paused)

    def set_zones(self, name, zones):
        """Use other zones from now on and write them into cameras.toml."""
        watched = self._named(name)
        watched.set_zones(zones)
        if self.cameras_file is not None:
            change_camera(self.cameras_file, name, zones=watched.zones)

    def subscribe(self):
        """Return a bounded queue of messages, see ``LiveView``."""
        return self.recorder.subscribe()

    def unsubscribe(self, queue):
        """Stop sending messages to a queue."""
        self.recorder.unsubscribe(queue)

    def _named(self, name):
        if name not in self._watched:
            raise KeyError(f"there is no camera {name!r:.80}")
        return self._watched[name]

    def _watch(self, camera, engine):
        info, options = engine.info, self.options
        scored = None
        if camera.kind == "folder":
            scored = ScoredFiles(self.recorder.store.folder / "scored" / f"{camera.name}.json", camera.source)
        pace = options.pace and camera.kind == "file"
        task = ReaderTask(
            source=camera.source,
            kind=camera.kind,
            shown=camera.shown_source,
            transport=camera.transport,
            frames_per_sec=info.frames_per_sec,
            size_px=info.image_size_px,
            crop=info.crop,
            timeout_sec=options.timeout_sec,
            pace=pace,
            picture_px=options.picture_px,
            ring_sec=options.clips.ring_sec,
            scored=tuple(scored.identities) if scored else (),
        )
        drops = pace or camera.kind in ("network", "device")
        source = Source(task, 0, drops, self._wake.set, lambda message: self._named(camera.name).clip_written(message))
        rules = self._rules_of(camera, info)
        on_scored = scored.add if scored else None
        watched = WatchedCamera(
            camera, engine, source, rules, self.recorder, options.lag_frames, options.clips, on_scored, self._quiet
        )
        source.capacity = max(WAITING_SNIPPETS * watched.block_frames, WAITING_SNIPPETS)
        return watched

    def _rules_of(self, camera, info):
        threshold = info.threshold if camera.threshold is None else camera.threshold
        own = camera.notice_threshold
        notice = self._rules.notice_threshold if own is None else own
        if notice is not None and notice > threshold:
            raise UserError(
                f"`notice_threshold` of camera `{camera.name}` must be at most its threshold {threshold:g}. "
                f"Received: {notice:g}."
            )
        return dataclasses.replace(self._rules, threshold=threshold, notice_threshold=notice)

    def _run(self):
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                worked = [watched.work() for watched in self._watched.values()]
                for watched in self._watched.values():
                    watched.tick()
                if all(watched.is_finished for watched in self._watched.values()):
                    self.finished.set()
                if not any(worked):
                    self._wake.wait(IDLE_SEC)
            for watched in self._watched.values():
                watched.end()
        except BaseException as error:
            self.error = error
            self.finished.set()

