"""The configuration of a run: its sections, and how their values are read and checked."""

from pipelines.config.sections import Config, UserError, change_config, config_to_dict, load_config

__all__ = ["Config", "UserError", "change_config", "config_to_dict", "load_config"]
