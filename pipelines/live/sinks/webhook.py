"""Messages sent to an HTTP address: signed, from a queue on disk, as often as it takes."""

import hashlib
import hmac
import http.client
import json
import threading
import time
import uuid
from contextlib import suppress
from urllib.parse import urlsplit

from pipelines.config import UserError
from pipelines.live.database import Database
from pipelines.live.sinks._worker import Worker
from pipelines.run.backoff import pause_sec

TYPES = ("event", "clip", "state")
SIGNATURE = "VAD-Signature"
MESSAGE_ID = "VAD-Message-Id"
LATER = (408, 425, 429)  # refusals that ask for another try

MIGRATIONS = (
    """
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, thread TEXT NOT NULL, body BLOB NOT NULL,
        due REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX messages_by_thread ON messages (thread, number)
    """,
)


def signature(secret, time_sec, body):
    """Return the value of the header ``VAD-Signature``.

    A receiver computes the HMAC-SHA256 of ``<t>.<body>`` with the shared secret, compares it with ``v1`` in constant
    time, and refuses a ``t`` that is more than a few minutes off, so that nobody can send an old message again.

    Example:

    >>> signature("secret", 1790000000, b"{}")[:27]
    't=1790000000,v1=d0cadd43446'
    """
    digest = hmac.new(secret.encode(), f"{int(time_sec)}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={int(time_sec)},v1={digest}"


def _address(url):
    """Return the parts of an address; what may be secret in it stands in no error."""
    address, usable = urlsplit(url), False
    with suppress(ValueError):  # of a port that is none
        usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
    if not usable or address.username:
        raise UserError(
            "a webhook must have an address as https://HOST/PATH, without user and password. "
            f"Received: {address.scheme}://{address.hostname or ''}."
        )
    return address


class Webhook:
    """Sends messages to an address by POST, as JSON.

    ``publish`` puts a message into memory, a thread writes it into a queue on disk, another one sends it. A message is
    sent until it is answered by a status from 200 to 299, at least once: a receiver drops what it has seen by the
    header ``VAD-Message-Id``. Messages of one event arrive in order; those of others do not wait for them. A status of
    400 to 499 says that trying again is of no use, and the message is dropped (408, 425 and 429 are tried again).
    After a failure the next attempt waits, twice as long each time. The queue survives a restart. When it is full, the
    oldest messages are dropped.

    Args:
        url: ``http://`` or ``https://`` address, without user and password.
        queue_path: SQLite file of the queue.
        secret: Signs each message, see ``signature``; empty: no signature.
        max_messages: Most messages in the queue.
        timeout_sec: Most seconds of an attempt, however slowly the receiver answers.
        backoff_sec: Shortest and longest wait after a failure.
        types: Which messages are sent.

    Raises:
        UserError: The address is none.
    """

    def __init__(
        self, url, queue_path, secret="", max_messages=10_000, timeout_sec=10.0, backoff_sec=(1.0, 300.0), types=TYPES
    ):
        self.address = _address(url)
        self.secret, self.max_messages, self.timeout_sec = secret, max_messages, timeout_sec
        self.backoff_sec, self.types = backoff_sec, types
        self.delivered, self.refused, self.problem, self._overflow = 0, 0, "", 0
        self._database = Database(queue_path, MIGRATIONS)
        with self._database.transaction() as connection:
            connection.execute("UPDATE messages SET due = 0")
        self._wake, self._closed, self._failures = threading.Event(), threading.Event(), 0
        self._writer = Worker(self._store, "webhook queue")
        self._sender = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._sender.start()

    @property
    def num_waiting(self):
        """Messages in the queue on disk."""
        return self._database.read("SELECT count(*) FROM messages")[0][0]

    @property
    def dropped(self):
        """Messages that were never sent, because the queue was full or the disk failed."""
        return self._overflow + self._writer.dropped + self._writer.failed

    def publish(self, message):
        """Send a message soon."""
        if message["type"] in self.types:
            self._writer.put(message)

    def close(self, timeout=10.0):
        """Send what waits while the receiver takes it, at most ``timeout`` seconds. The rest stays in the queue."""
        end = time.monotonic() + timeout
        self._writer.close(timeout)
        while self._sender.is_alive() and not self._failures and self.num_waiting and time.monotonic() < end:
            time.sleep(0.01)
        self._closed.set()
        self._wake.set()
        self._sender.join(max(end - time.monotonic(), 0.0))
        if not self._sender.is_alive():
            self._database.close()

    def _store(self, message):
        event = message.get("event") or {}
        thread = message.get("event_id") or event.get("event_id") or f"{message['type']} {message.get('camera')}"
        body = json.dumps(message, ensure_ascii=False).encode()
        with self._database.transaction() as connection:
            sql = "INSERT INTO messages (id, thread, body) VALUES (?, ?, ?)"
            connection.execute(sql, (uuid.uuid4().hex, thread, body))
            (number,) = connection.execute("SELECT count(*) FROM messages").fetchone()
            if number > self.max_messages:
                sql = "DELETE FROM messages WHERE number IN (SELECT number FROM messages ORDER BY number LIMIT ?)"
                self._overflow += connection.execute(sql, (number - self.max_messages,)).rowcount
        self._wake.set()

    def _send_all(self):
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self._send_next()
            except Exception as error:  # the disk of the queue; the thread must live
                self.problem, self._failures = f"{type(error).__name__}: {error}", self._failures + 1
            if self._failures:
                self._closed.wait(pause_sec(self._failures, *self.backoff_sec))

    def _send_next(self):
        """Send one message, the first of its event; without one that is due, wait."""
        heads = "SELECT min(number) FROM messages GROUP BY thread"
        rows = self._database.read(f"SELECT * FROM messages WHERE number IN ({heads}) ORDER BY due, number LIMIT 1")
        wait = rows[0]["due"] - time.time() if rows else None
        if not rows or (not self._failures and 0 < wait <= self.backoff_sec[1]):
            self._failures = 0
            self._wake.wait(wait)
            return
        row = rows[0]
        try:
            status = self._post(row["id"], row["body"])
        except (OSError, http.client.HTTPException) as error:
            status, self.problem = None, f"{self.address.hostname}: {type(error).__name__}: {error}"
        if status is not None and not 200 <= status < 300:
            self.problem = f"{self.address.hostname} answered {status}"
        done = status is not None and (200 <= status < 300 or (400 <= status < 500 and status not in LATER))
        with self._database.transaction() as connection:
            if done:
                connection.execute("DELETE FROM messages WHERE number = ?", (row["number"],))
                self._failures = 0
                self.delivered, self.refused = self.delivered + (status < 300), self.refused + (status >= 300)
                return
            self._failures += 1
            due = time.time() + pause_sec(row["attempts"] + 1, *self.backoff_sec)
            sql = "UPDATE messages SET attempts = attempts + 1, due = ? WHERE number = ?"
            connection.execute(sql, (due, row["number"]))

    def _post(self, message_id, body):
        """Return the status that the receiver answers; redirects are not followed."""
        kind = http.client.HTTPSConnection if self.address.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.address.hostname, self.address.port, timeout=self.timeout_sec)
        headers = {"Content-Type": "application/json", "User-Agent": "vad_keras", MESSAGE_ID: message_id}
        if self.secret:
            headers[SIGNATURE] = signature(self.secret, time.time(), body)
        path = (self.address.path or "/") + (f"?{self.address.query}" if self.address.query else "")
        # A time-out of the socket begins anew with every byte; this one ends the attempt.
        deadline = threading.Timer(self.timeout_sec, self._cut, (connection,))
        deadline.start()
        try:
            connection.request("POST", path, body, headers)
            return connection.getresponse().status
        finally:
            deadline.cancel()
            connection.close()

    @staticmethod
    def _cut(connection):
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(2)
