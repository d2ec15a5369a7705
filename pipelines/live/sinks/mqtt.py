"""Messages to an MQTT broker: events, retained states, and the discovery of Home Assistant."""

import asyncio
import json
import re
import ssl
import threading
import time
from collections import deque

from pipelines.config import UserError
from pipelines.run.backoff import pause_sec

PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
MAX_EVENTS = 1000
KEEP_ALIVE_SEC = 15
SCORE_EXPIRES_SEC = 60
FINE = ("connecting", "live", "paused", "ended")


class Mqtt:
    """Publishes to a broker, and everything that is retained again whenever the connection is new.

    Topics, below ``prefix``:

    * ``status``: ``online`` or, by the last will, ``offline``; retained.
    * ``<camera>/state``: JSON with ``state``, ``health``, ``reason``, ``time``, ``alarm`` and ``notice`` (``ON`` or
      ``OFF``), ``problem`` (``ON`` when the camera is lost, stalled, black, ...) and ``event_id``; retained.
    * ``<camera>/events``: JSON with ``type`` (``new``, ``update``, ``end``) and ``event``.
    * ``<camera>/score``: the newest score, every ``score_sec`` seconds at most.

    Below ``discovery_prefix`` stand the entities of each camera for Home Assistant, retained.

    Args:
        host, port: Address of the broker.
        cameras: Names of the cameras.
        username, password: For the broker; empty: none.
        tls: Encrypt the connection and check the certificate of the broker.
        prefix: Of all topics. Two machines on one broker need different ones.
        discovery_prefix: That of Home Assistant; empty: no discovery.
        score_sec: Shortest time between two scores of a camera.
        backoff_sec: Shortest and longest wait before the next attempt to connect.

    Raises:
        UserError: The package ``aiomqtt`` is missing, or a prefix is none.
    """

    def __init__(
        self,
        host,
        port=1883,
        cameras=(),
        username="",
        password="",
        tls=False,
        prefix="vad",
        discovery_prefix="homeassistant",
        score_sec=1.0,
        backoff_sec=(1.0, 60.0),
    ):
        try:
            import aiomqtt
        except ModuleNotFoundError:
            raise UserError("MQTT needs the package aiomqtt: pip install 'vad-keras[mqtt]'") from None
        for name in filter(None, (prefix or " ", discovery_prefix)):
            if not PREFIX.fullmatch(name):
                raise UserError(f"a prefix of MQTT topics has letters, digits, -, _ and /. Received: {name!r}.")
        self._aiomqtt, self.prefix, self.score_sec, self.backoff_sec = aiomqtt, prefix, score_sec, backoff_sec
        self._options = {
            "hostname": host,
            "port": port,
            "username": username or None,
            "password": password or None,
            "tls_context": ssl.create_default_context() if tls else None,
            "keepalive": KEEP_ALIVE_SEC,
            "timeout": 10.0,
            "will": aiomqtt.Will(f"{prefix}/status", OFFLINE, qos=1, retain=True),
        }
        self.dropped, self.connections, self.problem = 0, 0, ""
        self._lock = threading.Lock()
        self._states = {name: _first_state() for name in cameras}
        self._discovery = dict(_discovery(prefix, discovery_prefix, cameras) if discovery_prefix else ())
        self._retained, self._events, self._scores, self._score_times = {}, deque(), {}, {}
        for name in cameras:
            self._retain_state(name)
        self._loop, self._wake, self._closed = asyncio.new_event_loop(), asyncio.Event(), False
        run = self._loop.run_until_complete
        self._thread = threading.Thread(target=run, args=(self._run(),), name="mqtt", daemon=True)
        self._thread.start()

    def publish(self, message):
        """Send a message soon. When the broker is away, the newest ``MAX_EVENTS`` events wait; states are kept."""
        kind = message["type"]
        with self._lock:
            if kind == "score":
                self._scores[message["camera"]] = f"{message['score']:.4f}"
            elif kind == "state":
                changes = {key: message[key] for key in ("time", "state", "health", "reason")}
                self._change_state(message["camera"], changes)
            elif kind == "event":
                event, ended = message["event"], message["change"] == "end"
                event_id, level = (None if ended else event["event_id"]), event["level"]
                changes = {"event_id": event_id, "alarm": ON if level == "alarm" and not ended else OFF}
                self._change_state(event["camera"], changes | {"notice": OFF if ended else ON})
                payload = json.dumps({"type": message["change"], "event": event})
                self._events.append((f"{self.prefix}/{event['camera']}/events", payload))
                while len(self._events) > MAX_EVENTS:
                    self._events.popleft()
                    self.dropped += 1
        self._loop.call_soon_threadsafe(self._wake.set)

    def close(self, timeout=10.0):
        """Send what waits while the broker is there, say ``offline`` and disconnect."""
        self._closed = True
        self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(timeout)

    def _change_state(self, camera, changes):
        state = self._states.setdefault(camera, _first_state())
        state |= changes
        state["problem"] = OFF if state["state"] in FINE and state["health"] == "ok" else ON
        self._retain_state(camera)

    def _retain_state(self, camera):
        self._retained[f"{self.prefix}/{camera}/state"] = json.dumps(self._states[camera])

    async def _run(self):
        failures = 0
        while not self._closed:
            try:
                async with self._aiomqtt.Client(**self._options) as client:
                    failures, self.problem = 0, ""
                    await self._serve(client)
            except (self._aiomqtt.MqttError, OSError, TimeoutError) as error:
                self.problem = f"{type(error).__name__}: {error}"
            if not self._closed:
                failures += 1
                await self._sleep(pause_sec(failures, *self.backoff_sec))

    async def _sleep(self, seconds):
        """Wait, unless ``close`` is called."""
        end = time.monotonic() + seconds
        while not self._closed and time.monotonic() < end:
            await asyncio.sleep(min(0.1, seconds))

    async def _serve(self, client):
        """Publish everything that is retained, then what comes, until the connection is lost or closed."""
        with self._lock:
            sent = {}
            first = self._discovery | self._retained | {f"{self.prefix}/status": ONLINE}
        for topic, payload in first.items():
            await client.publish(topic, payload, qos=1, retain=True)
            sent[topic] = payload
        self.connections += 1
        listener, sender = asyncio.ensure_future(self._listen(client)), asyncio.ensure_future(self._send(client, sent))
        done, waiting = await asyncio.wait({listener, sender}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in done:
            task.result()

    @staticmethod
    async def _listen(client):
        """Notice that the connection is lost, also when there is nothing to send."""
        async for _ in client.messages:
            pass

    async def _send(self, client, sent):
        while True:
            self._wake.clear()
            with self._lock:
                events, states = list(self._events), dict(self._retained)
                scores, pause = self._due_scores()
            for topic, payload in states.items():
                if sent.get(topic) != payload:
                    await client.publish(topic, payload, qos=1, retain=True)
                    sent[topic] = payload
            for event in events:
                await client.publish(*event, qos=1)
                with self._lock:
                    if self._events and self._events[0] is event:  # else it was dropped while it was sent
                        self._events.popleft()
            for camera, score in scores:
                await client.publish(f"{self.prefix}/{camera}/score", score)
            if self._closed and not self._events:
                await client.publish(f"{self.prefix}/status", OFFLINE, qos=1, retain=True)
                return
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    def _due_scores(self):
        """Take the scores whose time has come; return them and the seconds until the next one, None: there is none."""
        now, due, pause = time.monotonic(), [], None
        for camera in list(self._scores):
            wait = self._score_times.get(camera, -self.score_sec) + self.score_sec - now
            if wait <= 0:
                self._score_times[camera] = now
                due.append((camera, self._scores.pop(camera)))
            else:
                pause = min(wait, pause or wait)
        return due, pause


def _first_state():
    return {
        "state": "connecting",
        "health": "ok",
        "reason": "",
        "time": None,
        "alarm": OFF,
        "notice": OFF,
        "problem": OFF,
        "event_id": None,
    }


def _discovery(prefix, discovery_prefix, cameras):
    """Yield topic and payload of each entity of Home Assistant."""
    for camera in cameras:
        node = f"{prefix.replace('/', '_')}_{camera}"
        available = {"payload_available": ONLINE, "payload_not_available": OFFLINE}
        shared = {
            "availability": [{"topic": f"{prefix}/status"} | available],
            "device": {"identifiers": [node], "name": camera, "manufacturer": "vad_keras", "model": "watched camera"},
            "origin": {"name": "vad_keras"},
        }
        states = {"state_topic": f"{prefix}/{camera}/state", "json_attributes_topic": f"{prefix}/{camera}/state"}
        entities: dict[tuple[str, str], dict] = {
            ("binary_sensor", "alarm"): states | {"device_class": "safety"},
            ("binary_sensor", "notice"): states | {"device_class": "motion"},
            ("binary_sensor", "problem"): states | {"device_class": "problem", "entity_category": "diagnostic"},
            ("sensor", "state"): states | {"entity_category": "diagnostic"},
            ("sensor", "score"): {
                "state_topic": f"{prefix}/{camera}/score",
                "state_class": "measurement",
                "expire_after": SCORE_EXPIRES_SEC,
            },
        }
        for (component, name), entity in entities.items():
            own = {"name": name, "unique_id": f"{node}_{name}"}
            if name != "score":
                own["value_template"] = f"{{{{ value_json.{name} }}}}"
            yield f"{discovery_prefix}/{component}/{node}_{name}/config", json.dumps(shared | entity | own)
