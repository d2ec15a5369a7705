"""Systems that are compared: the configuration of the run, and lists of changes to it.

``configs/systems/*.toml`` names them: one table per system with its ``title``, the changes ``set``, as for ``--set``,
the frame AUC in percent that was ``published`` for it, and what it ``needs`` of the configuration, one of ``NEEDS``.
The ``common`` changes of a file are applied first.
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


def has_prior(config):
    """Whether the nodes of a configuration have a prior."""
    return bool(config.features.prior_root if config.features.root else config.extractor.prior_labels)


NEEDS = {  # what a system may need: whether a configuration has it, and how to get it
    "prior": (
        has_prior,
        "a prior. Set `features.prior_root` for feature files, `extractor.prior_labels` and `extractor.prior_abnormal` "
        "for videos.",
    ),
    "context": (lambda config: config.detector.context_frames, "context. Set `detector.context_frames` above 0."),
    "potts_weight": (
        lambda config: config.detector.potts_weight != 1,
        "another Potts weight than 1. Set `detector.potts_weight`.",
    ),
}


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

    @property
    def learns(self):
        """Whether video labels teach the score. They do not teach one that is the prior, at most spread by the CRF."""
        options = self.config.detector
        is_prior = options.unary_from == "prior" and options.score_from == "marginals" and not options.context_frames
        return self.config.train_detector.model != FULL_MODEL or not is_prior


def full_model(config):
    """Return the configuration of the run as a system; another ``train_detector.model`` has its own name as title."""
    if config.train_detector.model != FULL_MODEL:
        return System(FULL_MODEL, config.train_detector.model, config)
    return System(FULL_MODEL, "full model", config, {"ucf_crime": 85.0, "shanghaitech": 96.85})


def system_names(kind) -> list[str]:
    """Return the names of the systems of ``configs/systems/<kind>.toml``."""
    return [name for name in _tables(kind) if name != COMMON]


def read_systems(kind, config, names=()):
    """Return systems of ``configs/systems/<kind>.toml``, in the order of ``names`` or, without names, of the file.

    Args:
        kind: ``"rivals"`` or ``"ablations"``.
        config: The run's ``Config``, to which the changes are applied.
        names: Names in the file; empty: all whose needs the configuration meets.

    Raises:
        UserError: A name is not in the file, or the configuration lacks what it needs.
    """
    tables = _tables(kind)
    common = tables.pop(COMMON, [])
    _check_names(kind, names, tables)
    lacking = _lacking(tables, config)
    for name in names:
        if name in lacking:
            raise UserError(f"the {kind.removesuffix('s')} `{name}` needs {NEEDS[tables[name]['needs']][1]}")
    chosen = names or [name for name in tables if name not in lacking]
    return [_system(name, tables[name], common, config, f"{kind}.toml") for name in chosen]


def left_out(kind, config) -> list[str]:
    """Return the names of the systems that need what the configuration lacks."""
    return _lacking({name: table for name, table in _tables(kind).items() if name != COMMON}, config)


def _lacking(tables, config):
    return [name for name, table in tables.items() if "needs" in table and not NEEDS[table["needs"]][0](config)]


def _check_names(kind, names, known):
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"Expected one of: {', '.join(known)}."
            raise UserError(f"unknown {kind.removesuffix('s')} `{name}`. {hint}")


def read_rivals(config, names=()):
    """Return rivals with the limits of ``[compare]``.

    None has a batch or bag above ``compare.max_batch_size`` and ``compare.max_bag_frames``, nor more seeds than
    ``compare.fewer_seeds`` gives it. From feature files each takes the mean over crops.
    """
    seeds = dict(_seeds_of(entry) for entry in config.compare.fewer_seeds)
    return [
        dataclasses.replace(system, config=_limited(system.config, seeds.get(system.name)))
        for system in read_systems("rivals", config, names)
    ]


def _seeds_of(entry):
    """Return name and number of an entry of ``compare.fewer_seeds``."""
    name, _, number = entry.partition("=")
    if not number.isdigit() or not int(number):
        raise UserError(f'`compare.fewer_seeds` must hold rivals and numbers, such as "rtfm=1". Received: "{entry}".')
    _check_names("rivals", [name], system_names("rivals"))
    return name, int(number)


def _tables(kind):
    return read_toml(FOLDER / f"{kind}.toml")


def _limited(config, seeds):
    options, limits = config.train_detector, config.compare
    changes = {}
    for key, limit in (("batch_size", limits.max_batch_size), ("bag_frames", limits.max_bag_frames)):
        if limit:
            changes[key] = min(getattr(options, key), limit)
    if config.features.root and not any(option.startswith("patches=") for option in options.model_options):
        changes["model_options"] = ("patches=mean", *options.model_options)
    repeat = dataclasses.replace(config.repeat, seeds=min(seeds or config.repeat.seeds, config.repeat.seeds))
    return dataclasses.replace(config, train_detector=dataclasses.replace(options, **changes), repeat=repeat)


def _system(name, table, common, config, source):
    changed = change_config(config, [*common, *table["set"]], f"[{name}] of {source}")
    return System(name, table["title"], changed, table.get("published", {}))
