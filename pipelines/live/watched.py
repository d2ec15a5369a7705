"""One watched camera: its frames become scores, its scores events."""

import math
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from pipelines.live import CameraStatus
from pipelines.live.health import REASONS
from pipelines.live.reader import EndMessage, FrameMessage
from pipelines.live.zones import deciding_patches, zone_mask, zone_score
from pipelines.serving.alarms import AlarmTracker
from pipelines.serving.stream import StreamScorer

GAP_SEC = 10.0  # a longer gap between two frames begins a new stream
QUIET = "quiet"  # in place of the id of an event
RECENT_PICTURES = 64  # of frames at or above a threshold, one of which is the peak


@dataclass(frozen=True)
class ClipTimes:
    """Length of the clips of events.

    Args:
        before_sec, after_sec: Seconds before the start and after the end of an event.
        longest_sec: Of a longer event, the first part.
    """

    before_sec: float = 5.0
    after_sec: float = 5.0
    longest_sec: float = 60.0

    @property
    def ring_sec(self):
        """Seconds of packets that must be kept, with time for scoring."""
        return self.before_sec + self.longest_sec + self.after_sec + 30.0


class WatchedCamera:
    """Takes the frames of a ``Source``, scores them and finds events. Used by one thread.

    Args:
        camera: ``Camera``.
        engine: Engine of its model.
        source: ``Source``.
        rules: ``AlarmRules``.
        recorder: ``Recorder``.
        lag_frames: See ``StreamScorer``.
        clips: ``ClipTimes``.
        on_scored_file: Called with the identity of a recording that was scored to its end.
        quiet: ``QuietClips``; None: no clips of quiet stretches.
    """

    def __init__(self, camera, engine, source, rules, recorder, lag_frames, clips, on_scored_file=None, quiet=None):
        self.camera, self.engine, self.source, self.rules = camera, engine, source, rules
        self.recorder, self.lag_frames, self.clips = recorder, lag_frames, clips
        self.on_scored_file, self.quiet, self._quiet_since = on_scored_file, quiet, None
        self.tracker = AlarmTracker(rules, camera.name)
        self.scorer = StreamScorer(engine, lag_frames)
        self.block_frames = self.scorer.frames_per_call
        self.set_zones(camera.zones)
        self.health, self.health_reason = "ok", ""
        self.picture = self.patches = self.score = self.score_time = self.latency_sec = None
        self.frames_scored = 0
        self._waiting = deque()  # frames that the scorer has taken and not scored yet
        self._frame_time = -math.inf  # of the newest frame
        self._peaks = deque(maxlen=RECENT_PICTURES)
        self._due = {}  # event id -> (when its clip is asked for, start, end)
        self._asked = set()  # ids of the events whose clips are being written
        self._published = None

    def set_zones(self, zones):
        """Let other parts of the picture count."""
        self.zones = tuple(tuple(map(tuple, zone)) for zone in zones)
        self._mask = zone_mask(self.zones, self.engine.info.scales)

    def status(self):
        """Return the ``CameraStatus``."""
        source = self.source
        reason = source.reason or self.health_reason
        return CameraStatus(
            name=self.camera.name,
            state=source.state,
            reason=reason,
            health=self.health,
            since=source.since,
            score=self.score,
            score_time=self.score_time,
            threshold=self.rules.threshold,
            frames_scored=self.frames_scored,
            frames_dropped=source.dropped,
            reconnects=source.reconnects,
            latency_sec=self.latency_sec,
            zones=self.zones,
        )

    @property
    def is_finished(self):
        """Whether its file has ended, and everything of it is scored and written."""
        return self.source.state == "ended" and not self.source.num_waiting and not self.awaits_clips

    @property
    def awaits_clips(self):
        """Whether clips of its events are still to be written."""
        return bool(self._due or self._asked)

    def work(self):
        """Score the next block of frames; return whether there was one."""
        items = self.source.take(self.block_frames)
        frames = []
        for item in items:
            if isinstance(item, FrameMessage):
                frames += self._look_at(item)
            else:
                self._push(frames)
                frames = []
                self._break()
                if isinstance(item, EndMessage) and item.identity and self.on_scored_file:
                    self.on_scored_file(item.identity)
        self._push(frames)
        return bool(items)

    def tick(self):
        """Publish a changed state, end what a lost camera left open, and ask for clips whose time has come."""
        state = (self.source.state, self.health, self.source.reason or self.health_reason)
        if state != self._published:
            self._published = state
            self.recorder.state(self.camera.name, *state)
        over = self.source.state in ("lost", "ended") and not self.source.num_waiting
        if over and (self._waiting or self.tracker.open_event):
            self._break()
        self._ask_for_clips(self._frame_time if not over else math.inf)
        self._ask_for_quiet_clip()

    def end(self):
        """Score what waits, end the event and ask for its clip, because watching ends."""
        self._break()
        self._ask_for_clips(math.inf)

    def clip_written(self, message):
        """Take note of a ``ClipMessage``."""
        if message.event_id == QUIET:
            return
        self._asked.discard(message.event_id)
        self.recorder.clip(self.camera.name, message.event_id, message.problem)

    def _ask_for_clips(self, now):
        """Ask for the clips whose time has come."""
        for event_id, (due, start, end) in list(self._due.items()):
            if now >= due:
                self._asked.add(event_id)
                del self._due[event_id]
                self.recorder.later(self._ask_for_clip, event_id, start, end)  # after the event itself is stored

    def _ask_for_clip(self, event_id, start, end):
        self.source.ask_for_clip(event_id, self.recorder.store.clip_path(event_id), start, end)

    def _ask_for_quiet_clip(self):
        """Have a clip cut when nothing has happened for long enough and the last one is old."""
        is_live = self.quiet and self.source.state == "live" and self.health == "ok"
        span = self.quiet.due(self.camera.name, self._frame_time, self._quiet_since) if is_live else None
        if span:
            self.source.ask_for_clip(QUIET, self.quiet.path(self.camera.name, *span), *span)
            self.recorder.later(self.quiet.trim, self.camera.name)

    def _look_at(self, frame):
        """Take note of the health of a frame; return it in a list if it is to be scored."""
        self.picture = frame.picture
        if frame.health != self.health:
            self.health, self.health_reason = frame.health, REASONS[frame.health]
        if not frame.usable:
            if frame.health != "ok" and (self._waiting or self.tracker.open_event):
                self._break()
            return []
        return [frame]

    def _push(self, frames):
        if not frames:
            return
        if not 0 <= frames[0].unix_time - self._frame_time <= GAP_SEC and self._frame_time > -math.inf:
            self._break()
        self._frame_time = frames[-1].unix_time
        self._waiting.extend(frames)
        self._deliver(self.scorer.push(np.stack([frame.rgb for frame in frames])))

    def _break(self):
        """The stream ends here: score what waits, end the event, and begin anew."""
        self._deliver(self.scorer.finish())
        self._waiting.clear()
        self.scorer, self._quiet_since = StreamScorer(self.engine, self.lag_frames), None
        if self._frame_time > -math.inf:
            self._note(self.tracker.finish(self._frame_time))

    def _deliver(self, scores):
        deciding = deciding_patches(scores, self.engine.info)
        now = time.time()
        for position, anomaly_score in enumerate(scores.anomaly_score.tolist()):
            frame = self._waiting.popleft()
            score = zone_score(deciding[position], self._mask, anomaly_score)
            self.patches, self.score, self.score_time = deciding[position], score, frame.unix_time
            self.frames_scored, self.latency_sec = self.frames_scored + 1, now - frame.decoded_time
            self.recorder.score(self.camera.name, frame.unix_time, score)
            if score >= self.rules.lowest:
                self._keep_picture(frame, score)
            self._note(self.tracker.update(frame.unix_time, score))
            if self.tracker.open_event or score >= self.rules.lowest:
                self._quiet_since = None
            elif self._quiet_since is None:
                self._quiet_since = frame.unix_time

    def _keep_picture(self, frame, score):
        """Keep the picture of a possible peak. A later frame with a higher score replaces all lower ones."""
        while self._peaks and self._peaks[-1][1] < score:
            self._peaks.pop()
        self._peaks.append((frame.unix_time, score, frame.picture))

    def _note(self, changes):
        """Publish the changes of events, with the picture of the peak, and plan their clips."""
        for change, event in changes:
            picture = next((picture for moment, _, picture in self._peaks if moment == event.peak_time), None)
            if picture is None and change == "new" and self._peaks:
                picture = self._peaks[-1][-1]  # the peak is too long ago
            self.recorder.event(change, event, picture)
            end = event.start + self.clips.longest_sec
            if event.end is not None:
                end = min(end, event.end)
            if change == "new" or event.event_id in self._due:
                until = end + self.clips.after_sec
                self._due[event.event_id] = (until, event.start - self.clips.before_sec, until)
