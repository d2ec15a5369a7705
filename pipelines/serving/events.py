"""Events of a camera, and the rules that make them."""

import dataclasses
import uuid
from dataclasses import dataclass

from pipelines.config import UserError

LEVELS = ("notice", "alarm")
RECORDING_RULES = ("hysteresis", "min_length_sec", "merge_gap_sec")  # that count in a recorded video


@dataclass(frozen=True)
class AlarmRules:
    """Rules that turn scores into events. The defaults are the threshold alone.

    A score counts from its time until the next score. The rules apply in this order:

    1. **Threshold and hysteresis.** A stretch starts with a score at or above the lower threshold (``notice_threshold``
       if there is one, else ``threshold``). It continues while scores are at or above that threshold less
       ``hysteresis``. It ends at the time of the first score below, which belongs to it no more.
    2. **Gaps in time.** When the next score comes more than ``max_gap_sec`` later, the camera was lost: the stretch has
       ended with the last score before the gap.
    3. **Merging.** A stretch that starts less than ``merge_gap_sec`` after the end of the one before continues it.
    4. **Minimum length.** A merged stretch is an event once it has lasted ``min_length_sec``, merged gaps included.
    5. **Level.** The event is an alarm if rules 1 to 4, with ``threshold`` in place of the lower threshold, find a
       stretch inside it; else it is a notice. A notice may become an alarm; an alarm stays one until it ends.
    6. **Cool-down.** For ``cooldown_sec`` after the end of an alarm no event starts. After a notice only an alarm may
       start: a score at or above ``threshold``. What is still high when the cool-down ends starts an event then.

    Args:
        threshold: A score at or above it is an alarm.
        notice_threshold: A score at or above it is a notice, at most ``threshold``; None: there are no notices.
        hysteresis: How far below a threshold a score may fall before its stretch ends.
        min_length_sec, merge_gap_sec, cooldown_sec, max_gap_sec: See above.
    """

    threshold: float
    notice_threshold: float | None = None
    hysteresis: float = 0.0
    min_length_sec: float = 0.0
    merge_gap_sec: float = 0.0
    cooldown_sec: float = 0.0
    max_gap_sec: float = 10.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if value is not None and not (value >= 0):
                raise UserError(f"`alarms.{name}` must be a number of at least 0. Received: {value!r}.")
        if self.lowest > self.threshold:
            raise UserError(
                f"`alarms.notice_threshold` must be at most the threshold {self.threshold:g} of an alarm. "
                f"Received: {self.notice_threshold:g}."
            )

    @classmethod
    def of(cls, config):
        """Return the rules of the settings ``[alarms]``; there, a notice threshold of 0 means that there is none."""
        values = {field.name: getattr(config, field.name) for field in dataclasses.fields(cls)}
        return cls(**values | {"notice_threshold": config.notice_threshold or None})

    @classmethod
    def of_recording(cls, config, threshold):
        """Return the rules of ``[alarms]`` for a recorded video: one threshold, no cool-down.

        Args:
            config: ``AlarmsConfig``.
            threshold: Taken in place of its threshold, such as that of the model.
        """
        return cls(threshold, **{name: getattr(config, name) for name in RECORDING_RULES})

    @property
    def lowest(self):
        """The threshold at which events start."""
        return self.threshold if self.notice_threshold is None else self.notice_threshold


@dataclass
class Event:
    """A stretch of high scores of one camera.

    Args:
        camera: Name of the camera.
        level: ``"notice"`` or ``"alarm"``, the highest that it has reached.
        start: Time of its first score: Unix seconds of a camera, seconds of a video.
        end: Time of its end, exclusive; None while it is open.
        peak_time, peak_score: Its highest score so far, and the time of it.
        event_id: 32 hexadecimal digits.
    """

    camera: str
    level: str
    start: float
    end: float | None
    peak_time: float
    peak_score: float
    event_id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    def to_dict(self):
        """Return the fields as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Return the event that ``to_dict`` wrote; further keys are ignored."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})
