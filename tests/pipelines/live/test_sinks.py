"""The receivers of the settings."""

import dataclasses

import pytest

from pipelines.config import Config, UserError
from pipelines.live.sinks import open_sinks


def opened(folder, **values):
    return open_sinks(dataclasses.replace(Config().notify, **values), folder, ["door"])


def test_by_default_events_are_written_as_json_lines_only(tmp_path):
    (sink,) = opened(tmp_path)
    assert sink.path == tmp_path / "events.jsonl" and sink.max_bytes == 10_000_000
    sink.close()
    assert opened(tmp_path, json_lines=False) == []


def test_secrets_come_from_the_environment(tmp_path, monkeypatch):
    pytest.importorskip("aiomqtt")
    monkeypatch.setenv("VAD_WEBHOOK_SECRET", "shared")
    monkeypatch.setenv("VAD_MQTT_PASSWORD", "pass")
    values = {"mqtt": "127.0.0.1:1", "mqtt_user": "vad", "webhook": "http://127.0.0.1:1/", "mqtt_tls": False}
    mqtt, webhook, lines = opened(tmp_path, **values)
    assert (mqtt._options["username"], mqtt._options["password"], mqtt._options["port"]) == ("vad", "pass", 1)
    assert webhook.secret == "shared" and (tmp_path / "webhook.sqlite").is_file()
    for sink in (mqtt, webhook, lines):
        sink.close(1.0)


@pytest.mark.parametrize("mqtt", [":1883", "host:port", "host:99999", "mqtt://host"])
def test_a_broker_that_is_no_address_is_refused(tmp_path, mqtt):
    with pytest.raises(UserError, match=r"`notify.mqtt` must be HOST or HOST:PORT"):
        opened(tmp_path, mqtt=mqtt)
