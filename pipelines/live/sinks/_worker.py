"""A bounded queue and the thread that empties it."""

import queue
import threading

MAX_WAITING = 1000


class Worker:
    """Hands messages to a function in a thread of its own, one after the other.

    When more than ``max_waiting`` wait, the oldest are dropped and counted. A message whose function raises is counted
    as well; the next ones follow.

    Args:
        handle: Called with each message.
        name: Name of the thread.
        max_waiting: Most messages that wait.
    """

    def __init__(self, handle, name, max_waiting=MAX_WAITING):
        self.handle, self.dropped, self.failed, self.problem = handle, 0, 0, ""
        self._waiting, self._closed = queue.Queue(max_waiting), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, message):
        """Add a message and return at once."""
        while True:
            try:
                return self._waiting.put_nowait(message)
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                    self.dropped += 1
                except queue.Empty:
                    pass

    def close(self, timeout):
        """Handle what waits and stop; return whether that was done within ``timeout`` seconds."""
        self._closed.set()
        self.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self):
        while not (self._closed.is_set() and self._waiting.empty()):
            message = self._waiting.get()
            if message is None:
                continue
            try:
                self.handle(message)
            except Exception as error:  # a full disk today need not be one tomorrow
                self.failed, self.problem = self.failed + 1, f"{type(error).__name__}: {error}"
