"""Receivers of messages: each has ``publish(message)``, which returns at once, and ``close(timeout)``.

The messages are those of ``LiveView.subscribe``.
"""

import os
from pathlib import Path

from pipelines.config import UserError
from pipelines.live.sinks.json_lines import JsonLines
from pipelines.live.sinks.mqtt import Mqtt
from pipelines.live.sinks.webhook import Webhook

WEBHOOK_SECRET = "VAD_WEBHOOK_SECRET"
MQTT_PASSWORD = "VAD_MQTT_PASSWORD"
MQTT_PORT, MQTT_TLS_PORT = 1883, 8883


def open_sinks(options, folder, cameras):
    """Open the receivers of the settings ``[notify]``.

    Args:
        options: ``config.notify``.
        folder: Folder of the store; ``events.jsonl`` and the queue of the webhook lie in it.
        cameras: Names of the cameras.

    Returns:
        List of receivers.

    Raises:
        UserError: An address is none, or the package for MQTT is missing.
    """
    folder = Path(folder)
    sinks: list[Mqtt | Webhook | JsonLines] = []
    if options.mqtt:
        host, _, port = options.mqtt.partition(":")
        port = port or str(MQTT_TLS_PORT if options.mqtt_tls else MQTT_PORT)
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise UserError(f"`notify.mqtt` must be HOST or HOST:PORT, as 10.0.0.5:1883. Received: {options.mqtt}.")
        password = os.environ.get(MQTT_PASSWORD, "")
        topics = {"prefix": options.mqtt_prefix, "discovery_prefix": options.mqtt_discovery}
        sinks.append(Mqtt(host, int(port), cameras, options.mqtt_user, password, options.mqtt_tls, **topics))
    if options.webhook:
        sinks.append(Webhook(options.webhook, folder / "webhook.sqlite", os.environ.get(WEBHOOK_SECRET, "")))
    if options.json_lines:
        sinks.append(JsonLines(folder / "events.jsonl", options.json_lines_megabytes * 1_000_000))
    return sinks
