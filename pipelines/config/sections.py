"""The configuration of a run: one frozen dataclass per section, read from a TOML file and from `--set`."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config.sections_alarms import CalibrateConfig, NotifyConfig
from pipelines.config.sections_data import DataConfig, FeaturesConfig, SyntheticConfig
from pipelines.config.sections_live import WatchConfig
from pipelines.config.sections_results import (
    AblateConfig,
    AlarmsConfig,
    BenchConfig,
    CollectConfig,
    CompareConfig,
    EvaluateConfig,
    ExportConfig,
    RepeatConfig,
    ScoreConfig,
)
from pipelines.config.sections_training import (
    DetectorConfig,
    ExtractorConfig,
    SearchConfig,
    TrainDetectorConfig,
    TrainExtractorConfig,
)
from pipelines.config.settings import PositiveInt, Seed, setting, settings_of
from pipelines.config.values import UserError, convert, parse_override, read_toml, unknown_key, unknown_section


@dataclass(frozen=True)
class Config:
    """A whole run."""

    work_dir: str = setting("runs/default", "Folder of the run: everything that its stages write", decides=False)
    seed: Seed = setting(0, "Seed of the training: initial weights, shuffling, validation part")
    profile_steps: tuple[PositiveInt, ...] = setting(
        (), "First and last training step that the profiler of TensorBoard records; empty: none", decides=False
    )
    data: DataConfig = field(default_factory=DataConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    train_extractor: TrainExtractorConfig = field(default_factory=TrainExtractorConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    train_detector: TrainDetectorConfig = field(default_factory=TrainDetectorConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    repeat: RepeatConfig = field(default_factory=RepeatConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    ablate: AblateConfig = field(default_factory=AblateConfig)
    alarms: AlarmsConfig = field(default_factory=AlarmsConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    calibrate: CalibrateConfig = field(default_factory=CalibrateConfig)
    collect: CollectConfig = field(default_factory=CollectConfig)
    bench: BenchConfig = field(default_factory=BenchConfig)

    @property
    def data_name(self):
        """What reports call the dataset: the name of its folder."""
        return Path(self.data.root).resolve().name


@functools.cache
def all_settings() -> dict:
    """Return every ``Setting`` by its dotted key, in the order of the sections."""
    found = settings_of(Config)
    for name, section in section_classes().items():
        found += settings_of(section, f"{name}.")
    return {one.key: one for one in found}


def section_classes() -> dict:
    """Return the dataclass of each section by its name, in order."""
    return {top.name: top.type for top in dataclasses.fields(Config) if dataclasses.is_dataclass(top.type)}


def choices(key) -> tuple:
    """Return the values that a setting with a ``Literal`` type may take.

    Example:
    >>> choices("extractor.pooling")
    ('max', 'average')
    """
    return all_settings()[key].choices


def value_of(config: Config, key: str):
    """Return the value of a setting by its dotted key."""
    return functools.reduce(getattr, key.split("."), config)


def find_settings(name: str) -> list:
    """Return the ``Setting`` with a dotted key, or all of a section, in order.

    Raises:
        UserError: There is no such key and no such section.

    Example:
    >>> [setting.name for setting in find_settings("ablate")]
    ['rows']
    """
    found = [one for key, one in all_settings().items() if name in (key, one.section)]
    if not found:
        raise (unknown_key if "." in name else unknown_section)(name, "the settings", _types())
    return found


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file, then the `--set` overrides, on top of the defaults.

    Args:
        path: TOML file with one table per section; None takes the defaults. Paths in it start at the current folder.
        overrides: Strings `section.key=value`; the value is read as TOML, and a bare word is a string.

    Raises:
        UserError: For a missing or unreadable file, an unknown section or key, a wrong type or a value out of range.

    Example:
    >>> load_config(overrides=["detector.key_dim=32", "data.dataset=synthetic"]).detector.key_dim
    32
    """
    types = _types()
    entries = [] if path is None else list(_entries(read_toml(Path(path)), Path(path).name, types))
    config = change_config(_applied(Config(), entries, types), overrides)
    if config.features.prior_root and not config.features.root:
        raise UserError(
            "`features.prior_root` needs `features.root`: prior files are read with feature files. For videos, set "
            "`extractor.prior_labels` and `extractor.prior_abnormal`."
        )
    return config


def change_config(config: Config, overrides: Sequence[str], source: str = "--set") -> Config:
    """Return the configuration with `section.key=value` overrides applied, checked as those of ``load_config``.

    Args:
        config: What is changed.
        overrides: As for ``load_config``.
        source: Where they stand, for errors.
    """
    types = _types()
    return _applied(config, [(*parse_override(override, types), source) for override in overrides], types)


def config_to_dict(config: Config) -> dict:
    """Return the effective configuration as nested plain values, ready for JSON."""
    return dataclasses.asdict(config)


def deciding_settings(config) -> dict:
    """Return the settings that can change a trained weight or a score, as nested plain values.

    Which they are is marked on each setting (``decides``). Two trainings on the same records that agree in these are
    the same training.

    Args:
        config: ``Config``, or its nested values as a file of an earlier version may hold them: keys that are unknown
            today stay, unless nothing in their section decides. Those that it lacks have their defaults, as lists in
            place of tuples: a new setting does nothing until it is set.

    Example:
    >>> sorted(deciding_settings(Config()))[:4], "root" in deciding_settings(Config())["data"]
    (['data', 'detector', 'extractor', 'features'], False)
    """
    values = _completed(config) if isinstance(config, dict) else config_to_dict(config)
    known = all_settings()
    aside = {key for key, one in known.items() if not one.decides}
    idle = set(section_classes()) - {one.section for one in known.values() if one.decides}
    kept = {}
    for name, value in values.items():
        if isinstance(value, dict) and name not in idle:
            kept[name] = {key: entry for key, entry in value.items() if f"{name}.{key}" not in aside}
        elif not isinstance(value, dict) and name not in aside:
            kept[name] = value
    return kept


def _completed(values):
    """Return nested values with the defaults of absent settings."""
    defaults = json.loads(json.dumps(config_to_dict(Config())))
    sections = {name: default | values.get(name, {}) for name, default in defaults.items() if isinstance(default, dict)}
    return defaults | values | sections


def _types():
    return {key: one.type for key, one in all_settings().items()}


def _applied(config, entries, types):
    """`(dotted key, value, source)` entries checked and put into the configuration."""
    for dotted, value, source in entries:
        if dotted not in types:
            raise unknown_key(dotted, source, types)
        config = _replaced(config, dotted, convert(types[dotted], value, f"`{dotted}` in {source}"))
    return config


def _entries(tables, source, types):
    """The keys of a TOML file as (dotted key, value, source)."""
    for name, value in tables.items():
        if not isinstance(value, dict):
            yield name, value, source
        elif not any(known.startswith(name + ".") for known in types):
            raise unknown_section(name, source, types)
        else:
            for key, entry in value.items():
                yield f"{name}.{key}", entry, source


def _replaced(config, dotted, value):
    section, dot, key = dotted.partition(".")
    if not dot:
        return dataclasses.replace(config, **{section: value})
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **{key: value})})
