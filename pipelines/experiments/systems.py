"""Systems that are compared: the configuration of the run, and lists of changes to it.

``configs/systems/*.toml`` names them: one table per system with its ``title``, the changes ``set``, as for ``--set``,
and the frame AUC in percent that was ``published`` for it. The ``common`` changes of a file are applied first.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config import Config, UserError, change_config
from pipelines.config.values import read_toml

FOLDER = Path(__file__).parents[1] / "configs" / "systems"
FULL_MODEL = "anomaly_detector"
COMMON = "common"


@dataclass(frozen=True, eq=False)
class System:
    """One row of a comparison.

    Args:
        name: Name on the command line.
        title: Name in the table.
        config: What is trained.
        published: Dataset -> published frame AUC in percent.
    """

    name: str
    title: str
    config: Config
    published: dict = field(default_factory=dict)


def full_model(config):
    """Return the configuration of the run as a system."""
    return System(FULL_MODEL, "full model", config, {"ucf_crime": 85.0, "shanghaitech": 96.85})


def system_names(kind) -> list[str]:
    """Return the names of the systems of ``configs/systems/<kind>.toml``."""
    return [name for name in _tables(kind) if name != COMMON]


def read_systems(kind, config, names=()):
    """Return systems of ``configs/systems/<kind>.toml``, in the order of ``names`` or, without names, of the file.

    Args:
        kind: ``"rivals"`` or ``"ablations"``.
        config: The run's ``Config``, to which the changes are applied.
        names: Names in the file; empty: all.

    Raises:
        UserError: A name is not in the file.
    """
    tables = _tables(kind)
    common = tables.pop(COMMON, [])
    for name in names:
        if name not in tables:
            close = difflib.get_close_matches(name, tables, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"Expected one of: {', '.join(tables)}."
            raise UserError(f"unknown {kind.removesuffix('s')} `{name}`. {hint}")
    return [_system(name, tables[name], common, config, f"{kind}.toml") for name in names or tables]


def read_rivals(config, names=()):
    """Return rivals; none has a batch or bag above ``compare.max_batch_size`` and ``compare.max_bag_frames``."""
    return [
        dataclasses.replace(system, config=_limited(system.config, config.compare))
        for system in read_systems("rivals", config, names)
    ]


def _tables(kind):
    return read_toml(FOLDER / f"{kind}.toml")


def _limited(config, limits):
    options = config.train_detector
    changes = {}
    for key, limit in (("batch_size", limits.max_batch_size), ("bag_frames", limits.max_bag_frames)):
        if limit:
            changes[key] = min(getattr(options, key), limit)
    return dataclasses.replace(config, train_detector=dataclasses.replace(options, **changes))


def _system(name, table, common, config, source):
    changed = change_config(config, [*common, *table["set"]], f"[{name}] of {source}")
    return System(name, table["title"], changed, table.get("published", {}))
