"""MQTT against a real mosquitto on loopback, which is killed and restarted."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from pipelines.config import UserError

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin")
QUICK = (0.01, 0.05)

aiomqtt = pytest.importorskip("aiomqtt")
from pipelines.live.sinks.mqtt import MAX_EVENTS, Mqtt  # noqa: E402


def event(number, change="new", level="alarm", camera="door"):
    stored = {"event_id": f"{number:032x}", "camera": camera, "level": level, "start": 1.0, "end": None}
    return {"type": "event", "change": change, "event": stored}


def state(state="live", health="ok"):
    return {"type": "state", "camera": "door", "time": 5.0, "state": state, "health": health, "reason": ""}


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


class Broker:
    """mosquitto without persistence on a free port."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.process = None

    def start(self):
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.config)], stderr=subprocess.DEVNULL)
        until(lambda: self.accepts())

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Subscriber:
    """Collects ``(topic, payload, retained)`` of everything from now on."""

    def __init__(self, port):
        self.port, self.found, self._ready, self._stop = port, [], threading.Event(), False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._collect()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _collect(self):
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            await client.subscribe("#", qos=1)
            self._ready.set()
            task = asyncio.ensure_future(self._read(client))
            while not self._stop:
                await asyncio.sleep(0.005)
            task.cancel()

    async def _read(self, client):
        async for message in client.messages:
            self.found.append((str(message.topic), message.payload.decode(), message.retain))

    def of(self, topic):
        return [payload for name, payload, _ in self.found if name == topic]

    def close(self):
        self._stop = True
        self._thread.join()


@pytest.fixture
def broker(tmp_path):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


def test_states_and_discovery_are_there_for_whoever_comes_later(broker):
    broker.start()
    sink = Mqtt("127.0.0.1", broker.port, ["door", "yard"], backoff_sec=QUICK)
    sink.publish(state())
    sink.publish(event(1))
    until(lambda: sink.connections == 1 and not sink._events)
    late = Subscriber(broker.port)
    until(lambda: len(late.found) >= 13)
    assert all(retained for _, _, retained in late.found) and late.of("vad/status") == ["online"]
    door = json.loads(late.of("vad/door/state")[0])
    assert (door["state"], door["alarm"], door["notice"], door["event_id"]) == ("live", "ON", "ON", f"{1:032x}")
    configs = {topic: json.loads(payload) for topic, payload, _ in late.found if topic.startswith("homeassistant/")}
    assert len(configs) == 10 and len({config["unique_id"] for config in configs.values()}) == 10
    alarm = configs["homeassistant/binary_sensor/vad_door_alarm/config"]
    assert (alarm["device_class"], alarm["state_topic"], alarm["availability"][0]["topic"]) == (
        "safety",
        "vad/door/state",
        "vad/status",
    )
    assert configs["homeassistant/sensor/vad_door_score/config"]["expire_after"] == 60
    sink.close()
    until(lambda: late.of("vad/status")[-1] == "offline")
    late.close()


def test_events_come_once_in_order_and_scores_at_a_limited_rate(broker):
    broker.start()
    found = Subscriber(broker.port)
    sink = Mqtt("127.0.0.1", broker.port, ["door"], backoff_sec=QUICK, score_sec=30.0)
    for change, level in (("new", "notice"), ("update", "alarm"), ("end", "alarm")):
        sink.publish(event(1, change, level))
    for number in range(50):
        sink.publish({"type": "score", "camera": "door", "time": number, "score": number / 100})
    sink.publish(state("live", "black"))
    until(lambda: len(found.of("vad/door/events")) == 3 and found.of("vad/door/score"))
    sink.close()
    assert [json.loads(one)["type"] for one in found.of("vad/door/events")] == ["new", "update", "end"]
    assert len(found.of("vad/door/score")) <= 2
    last = json.loads(found.of("vad/door/state")[-1])
    assert (last["alarm"], last["notice"], last["problem"], last["event_id"]) == ("OFF", "OFF", "ON", None)
    found.close()


def test_after_a_restart_of_the_broker_everything_is_there_again_and_nobody_waited(broker):
    broker.start()
    sink = Mqtt("127.0.0.1", broker.port, ["door"], backoff_sec=QUICK)
    sink.publish(state())
    until(lambda: sink.connections == 1)
    broker.kill()
    start = time.perf_counter()
    for number in range(MAX_EVENTS + 50):
        sink.publish(event(number, "end"))
    sink.publish(state("lost"))
    assert time.perf_counter() - start < 1.0, "publish() waited"
    broker.start()
    until(lambda: sink.connections == 2 and not sink._events)
    late = Subscriber(broker.port)
    until(lambda: len(late.found) >= 7)
    assert json.loads(late.of("vad/door/state")[0])["state"] == "lost" and late.of("vad/status") == ["online"]
    assert sum(topic.startswith("homeassistant/") for topic, _, _ in late.found) == 5 and sink.dropped >= 50
    late.close()
    sink.close()


def test_a_killed_process_is_offline_by_its_last_will(broker):
    broker.start()
    found = Subscriber(broker.port)
    code = f"""
import sys, time
from pipelines.live.sinks.mqtt import Mqtt
sink = Mqtt("127.0.0.1", {broker.port}, ["door"])
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: found.of("vad/status") == ["online"], 30)
    process.kill()
    process.wait()
    until(lambda: found.of("vad/status")[-1] == "offline")
    found.close()


def test_a_broker_that_is_away_or_hangs_delays_neither_publish_nor_close():
    with socket.create_server(("127.0.0.1", 0)) as hung:
        for port in (1, hung.getsockname()[1]):
            sink = Mqtt("127.0.0.1", port, ["door"], backoff_sec=QUICK)
            start = time.perf_counter()
            for number in range(100):
                sink.publish(event(number))
            sink.close(0.2)
            assert time.perf_counter() - start < 1.0
            assert len(sink._events) == 100


def test_without_its_package_mqtt_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    with pytest.raises(UserError, match=r"pip install 'vad-keras\[mqtt\]'"):
        Mqtt("127.0.0.1")


@pytest.mark.parametrize("prefix", ["", "vad/#", "a+b", "/vad"])
def test_a_prefix_that_is_no_topic_is_refused(prefix):
    with pytest.raises(UserError, match="a prefix of MQTT topics has letters"):
        Mqtt("127.0.0.1", prefix=prefix)
