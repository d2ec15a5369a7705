"""Section on watching cameras. It decides no result."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pipelines.config import settings
from pipelines.config.settings import NonNegativeFloat, PositiveInt
from pipelines.config.values import at_least

setting = partial(settings.setting, decides=False)


@dataclass(frozen=True)
class WatchConfig:
    """Watching cameras with an exported model. The model is that of [score], unless a camera has its own."""

    sources: tuple[str, ...] = setting((), "Files, folders, devices, and rtsp:// or http(s):// addresses")
    cameras: str = setting("", "cameras.toml with names, sources, thresholds and zones; empty: watch.sources")
    store: str = setting("", "Folder of events, clips and scores; empty: live/ in work_dir")
    lag: Annotated[int, at_least(-1)] = setting(
        -1, "Frames to wait for before a frame is scored; -1: as many as its score depends on", "frames"
    )
    pace: bool = setting(True, "Play files as fast as their time stamps say; false: as fast as possible")
    timeout_sec: Annotated[float, at_least(1)] = setting(10.0, "A connection that is silent so long is reopened", "s")
    clip_before_sec: NonNegativeFloat = setting(5.0, "Seconds of a clip before its event", "s")
    clip_after_sec: NonNegativeFloat = setting(5.0, "Seconds of a clip after its event", "s")
    clip_longest_sec: Annotated[float, at_least(1)] = setting(60.0, "Longest part of an event that a clip holds", "s")
    picture_px: PositiveInt = setting(640, "Longest side of pictures for people", "pixels")
    quiet_every_min: NonNegativeFloat = setting(
        60.0, "A clip without events so often, for `vad collect`; 0: none", "min"
    )
    web: str = setting("127.0.0.1:8090", "HOST:PORT of the web page; empty: no page")
    web_token_file: str = setting("", "File with the token of the web page, for other addresses than 127.0.0.1")
    web_hosts: tuple[str, ...] = setting((), "Further host names of the web page, such as that of a reverse proxy")
    keep_days: NonNegativeFloat = setting(30.0, "Events without a verdict are deleted after so many days; 0: never")
    keep_gigabytes: NonNegativeFloat = setting(20.0, "Oldest clips are deleted beyond so many gigabytes; 0: no limit")
