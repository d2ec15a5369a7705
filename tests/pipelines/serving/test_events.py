"""Events and their rules."""

import pytest

from pipelines.config import Config, UserError, load_config
from pipelines.serving.events import AlarmRules, Event


def test_an_event_survives_its_dict():
    event = Event("door", "notice", 1.0, None, 2.0, 0.75)
    assert Event.from_dict(event.to_dict() | {"verdict": None}) == event
    assert len(event.event_id) == 32 and int(event.event_id, 16) >= 0


def test_impossible_rules_are_refused():
    with pytest.raises(UserError, match=r"must be at most the threshold 0.5 of an alarm. Received: 0.6"):
        AlarmRules(0.5, notice_threshold=0.6)
    with pytest.raises(UserError, match=r"`alarms.cooldown_sec` must be a number of at least 0. Received: -1"):
        AlarmRules(0.5, cooldown_sec=-1)


def test_the_rules_of_the_settings_have_notices_only_if_they_are_set():
    rules = AlarmRules.of(Config().alarms)
    assert (rules.threshold, rules.notice_threshold, rules.lowest) == (0.5, None, 0.5)
    settings = load_config(overrides=["alarms.notice_threshold=0.2", "alarms.cooldown_sec=7"]).alarms
    assert (AlarmRules.of(settings).lowest, AlarmRules.of(settings).cooldown_sec) == (0.2, 7.0)


def test_a_recorded_video_has_no_notices_and_no_cool_down():
    settings = load_config(overrides=["alarms.notice_threshold=0.2", "alarms.merge_gap_sec=7"]).alarms
    assert AlarmRules.of_recording(settings, 0.6) == AlarmRules(0.6, None, 0.05, 1.0, 7.0, 0.0)
