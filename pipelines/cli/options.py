"""Options that several subcommands of `vad` share, and the configuration they ask for."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from pipelines.config import Config, UserError, load_config

BUNDLED_CONFIGS = Path(__file__).parents[1] / "configs"

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML file, or a bundled one by name, such as demo."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value: detector.key_dim=32. Repeatable."),
]


FoldsOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Cross-validation over videos; 0: the data's own split.")
]
SeedsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Train everything anew with so many seeds.")]
JobsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Trainings at a time; they share the cores.")]


def load_named(name, overrides) -> Config:
    """The configuration of a file, of a bundled one (`demo`), or of the defaults."""
    if name is None:
        return load_config(None, overrides or ())
    bundled = BUNDLED_CONFIGS / f"{name.removesuffix('.toml')}.toml"
    if not Path(name).exists() and not bundled.is_file():
        close = difflib.get_close_matches(bundled.stem, [path.stem for path in BUNDLED_CONFIGS.glob("*.toml")], n=1)
        if close and Path(name).parent == Path():
            raise UserError(f"no configuration file at {name}. Did you mean the bundled `{close[0]}`?")
    return load_config(bundled if not Path(name).exists() and bundled.is_file() else name, overrides or ())


def repeats_overrides(folds, seeds, jobs):
    """Overrides of the options that say how often training is repeated."""
    given = {"folds": folds, "seeds": seeds, "jobs": jobs}
    return [f"repeat.{key}={value}" for key, value in given.items() if value is not None]
