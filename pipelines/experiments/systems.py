"""Systems that are trained side by side: the configuration at hand, and lists of changes to it.

`configs/systems/*.toml` names them: a table a system with its `title`, the changes `set`, as for `--set`, and the frame
AUC in percent that was `published` for it. `common` changes of a file come first.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config import Config, UserError, change_config
from pipelines.config.values import read_toml

FOLDER = Path(__file__).parents[1] / "configs" / "systems"
FULL_MODEL = "anomaly_detector"


@dataclass(frozen=True, eq=False)
class System:
    """One row of a comparison.

    Args:
        name: As it is asked for.
        title: As the table shows it.
        config: What is trained.
        published: Dataset -> published figure in percent.
    """

    name: str
    title: str
    config: Config
    published: dict = field(default_factory=dict)


def full_model(config):
    """The configuration at hand as a system."""
    return System(FULL_MODEL, "full model", config, {"ucf_crime": 85.0, "shanghaitech": 96.85})


def read_systems(kind, config, names=()):
    """Systems of `configs/systems/<kind>.toml`, in the order of `names` or, without names, of the file.

    Raises:
        UserError: A name is not in the file.
    """
    tables = read_toml(FOLDER / f"{kind}.toml")
    common = tables.pop("common", [])
    for name in names:
        if name not in tables:
            close = difflib.get_close_matches(name, tables, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"There are: {', '.join(tables)}."
            raise UserError(f"`{name}` is none of the {kind}. {hint}")
    return [_system(name, tables[name], common, config, f"{kind}.toml") for name in names or tables]


def read_rivals(config, names=()):
    """Rivals for the data at hand: no batch and no bag larger than `compare.max_batch_size` and `.max_bag_frames`."""
    return [
        dataclasses.replace(system, config=_limited(system.config, config.compare))
        for system in read_systems("rivals", config, names)
    ]


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
