"""Settings of receivers and of the calibration."""

import pytest

from pipelines.config import UserError, load_config
from pipelines.config.sections import find_settings


@pytest.mark.parametrize("section", ["notify", "calibrate"])
def test_who_is_told_and_what_is_calibrated_decides_no_score(section):
    assert not any(setting.decides for setting in find_settings(section))


def test_secrets_are_no_settings():
    assert not [one.key for one in find_settings("notify") if "secret" in one.key or "password" in one.key]


def test_a_wish_for_no_false_alarm_at_all_is_refused():
    with pytest.raises(UserError, match=r"calibrate.false_alarms.*at least 0.001"):
        load_config(overrides=["calibrate.false_alarms=0"])
