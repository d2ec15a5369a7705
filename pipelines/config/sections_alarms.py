"""Sections on who is told of alarms, and on the calibration of their threshold. They decide no result."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pipelines.config import settings
from pipelines.config.settings import Fraction, NonNegativeFloat, PositiveInt
from pipelines.config.values import at_least

setting = partial(settings.setting, decides=False)


@dataclass(frozen=True)
class NotifyConfig:
    """Who is told of events. Secrets are no settings: VAD_WEBHOOK_SECRET and VAD_MQTT_PASSWORD in the environment."""

    json_lines: bool = setting(True, "Append events and states to events.jsonl in the store")
    json_lines_megabytes: PositiveInt = setting(10, "Size at which events.jsonl is rotated; five are kept", "MB")
    webhook: str = setting("", "http:// or https:// address that gets events and states; empty: none")
    mqtt: str = setting("", "HOST or HOST:PORT of an MQTT broker; empty: none")
    mqtt_user: str = setting("", "User of the broker; empty: none")
    mqtt_tls: bool = setting(False, "Encrypt the connection to the broker")
    mqtt_prefix: str = setting("vad", "Prefix of the topics; another one for each machine on a broker")
    mqtt_discovery: str = setting("homeassistant", "Discovery prefix of Home Assistant; empty: none")


@dataclass(frozen=True)
class CalibrateConfig:
    """The threshold for a wanted number of false alarms, from normal footage of a camera."""

    inputs: tuple[str, ...] = setting((), "Videos, folders of them, or results of vad score (.json)")
    cameras: str = setting("", "cameras.toml to write the threshold into; empty: only print it")
    camera: str = setting("", "Camera in cameras.toml; empty: its only one")
    false_alarms: Annotated[float, at_least(1e-3)] = setting(1.0, "Wanted false alarms per camera-day")
    confidence: Fraction = setting(0.95, "How surely the promise holds, below 1; 0: on average")
    block_sec: NonNegativeFloat = setting(60.0, "Alarms in one block count once; 0: each video is a block", "s")
