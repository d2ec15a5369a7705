"""Tests of pipelines.config.sections_live: how cameras are watched decides no result."""

import pytest

from pipelines.config import UserError, load_config
from pipelines.config.sections import find_settings


def test_watching_decides_nothing():
    assert not any(setting.decides for setting in find_settings("watch"))


@pytest.mark.parametrize("override", ["watch.lag=-2", "watch.timeout_sec=0", "watch.keep_days=-1"])
def test_a_value_out_of_range_is_refused(override):
    with pytest.raises(UserError, match=override.partition("=")[0]):
        load_config(overrides=[override])
