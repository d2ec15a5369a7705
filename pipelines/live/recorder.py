"""Sends messages on and writes into the store, in a thread of its own, so that a slow disk delays no frame."""

import contextlib
import queue
import threading
import time
from collections import deque

from pipelines.run.failures import describe
from pipelines.serving.events import Event

SUBSCRIBER_MESSAGES = 1000
WAITING_SCORES = 20_000  # per camera
FLUSH_SEC = 1.0
UPKEEP_SEC = 600.0


class Recorder:
    """Fans messages out and writes into the store.

    Args:
        store: ``EventStore``.
        sinks: Objects with ``publish(message)``, which returns at once, and ``close(timeout)``.
        upkeep: Called every ten minutes in the thread of the store, such as for retention.
        on_problem: Called with a text when something could not be written.
    """

    def __init__(self, store, sinks=(), upkeep=None, on_problem=print):
        self.store, self.sinks, self.upkeep, self.on_problem = store, tuple(sinks), upkeep, on_problem
        self._subscribers, self._lock = [], threading.Lock()
        self._jobs, self._scores = queue.SimpleQueue(), {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def recover(self):
        """Put the store in order after a process that was killed, and publish the end of its open events."""
        for event in self.store.recover():
            self.publish({"type": "event", "change": "end", "event": Event.from_dict(event.to_dict()).to_dict()})

    def start(self):
        """Start to write."""
        self._thread.start()

    def close(self, timeout=10.0):
        """Write what waits and close the sinks."""
        self._jobs.put(None)
        self._thread.join(timeout)
        for sink in self.sinks:
            with contextlib.suppress(Exception):
                sink.close(timeout)

    def subscribe(self):
        """Return a bounded queue of messages, see ``LiveView.subscribe``."""
        subscriber = queue.Queue(SUBSCRIBER_MESSAGES)
        with self._lock:
            self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber):
        """Stop sending messages to a queue."""
        with self._lock, contextlib.suppress(ValueError):
            self._subscribers.remove(subscriber)

    def publish(self, message):
        """Send a message to all subscribers and sinks."""
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            while True:
                try:
                    subscriber.put_nowait(message)
                    break
                except queue.Full:
                    with contextlib.suppress(queue.Empty):
                        subscriber.get_nowait()
        for sink in self.sinks:
            sink.publish(message)

    def score(self, camera, time_sec, score):
        """Publish the score of a frame, and store it within a second."""
        self._scores.setdefault(camera, deque(maxlen=WAITING_SCORES)).append((time_sec, score))
        self.publish({"type": "score", "camera": camera, "time": time_sec, "score": score})

    def state(self, camera, state, health, reason):
        """Publish and store a change of the state or the health of a camera."""
        now = time.time()
        self._jobs.put((self.store.add_state, camera, now, state, health, reason))
        message = {"type": "state", "camera": camera, "time": now, "state": state, "health": health, "reason": reason}
        self.publish(message)

    def event(self, change, event, picture=None):
        """Publish and store an event and, where there is one, its picture (JPEG)."""
        self._jobs.put((self.store.save, event, picture))
        self.publish({"type": "event", "change": change, "event": event.to_dict()})

    def clip(self, camera, event_id, problem):
        """Publish and store that the clip of an event was written, or why not."""
        self._jobs.put((self.store.note_clip, event_id, problem))
        self.publish({"type": "clip", "camera": camera, "event_id": event_id, "problem": problem})

    def later(self, function, *arguments):
        """Call a function in the thread that writes, after everything that was handed over before."""
        self._jobs.put((function, *arguments))

    def _run(self):
        upkeep_time = flush_time = time.monotonic()
        job = ()
        while job is not None:
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=FLUSH_SEC)
                if job:
                    self._try(*job)
            now = time.monotonic()
            if job is None or now - flush_time >= FLUSH_SEC:
                flush_time = now
                self._flush()
            if self.upkeep and now >= upkeep_time:
                upkeep_time = now + UPKEEP_SEC
                self._try(self.upkeep)

    def _flush(self):
        for camera, waiting in list(self._scores.items()):
            scores = [waiting.popleft() for _ in range(len(waiting))]
            if scores:
                self._try(self.store.add_scores, camera, scores)

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:  # a full disk, a locked database: watching goes on
            self.on_problem(f"cannot write into {self.store.folder}: {describe(error)}")
