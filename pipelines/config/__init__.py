"""The configuration of a run: its sections, and how their values are read and checked."""

from pipelines.config.sections import (
    Config,
    all_settings,
    change_config,
    choices,
    config_to_dict,
    deciding_settings,
    load_config,
)
from pipelines.config.values import UserError

__all__ = [
    "Config",
    "UserError",
    "all_settings",
    "change_config",
    "choices",
    "config_to_dict",
    "deciding_settings",
    "load_config",
]
