"""Options that several subcommands of ``vad`` share, their shell completion, and the configuration they ask for."""

import difflib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipelines.config import Config, UserError, all_settings, load_config
from pipelines.experiments.systems import system_names

BUNDLED_CONFIGS = Path(__file__).parents[1] / "configs"


class StageGroup(TyperGroup):
    """Accept ``train_extractor`` for ``train-extractor``."""

    def get_command(self, ctx, cmd_name):
        return super().get_command(ctx, cmd_name.replace("_", "-"))


def bundled_names() -> list[str]:
    """Return the names of the bundled configurations."""
    return sorted(path.stem for path in BUNDLED_CONFIGS.glob("*.toml"))


def completing(names):
    """Return a completion function that offers those of ``names()`` that begin with what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _print_version(wanted: bool):
    if wanted:
        try:
            print(f"vad {version('vad-keras')}")
        except PackageNotFoundError:
            print("vad (not installed)")
        raise typer.Exit


FLAG = ""  # `metavar` of an option without a value, for which Typer would show <bool>
VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", metavar=FLAG, callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="TOML file, or the name of a bundled one, such as demo.",
        autocompletion=completing(bundled_names),
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting, such as detector.key_dim=32. Repeatable.",
        autocompletion=completing(lambda: [f"{key}=" for key in all_settings()]),
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", metavar=FLAG, help="Only say what would be done; write nothing.")
]
AnnotateOption = Annotated[
    bool,
    typer.Option(
        "--annotate", metavar=FLAG, help="Also write each video with its score, patches and alarms drawn over it."
    ),
]
FoldsOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Cross-validate with N folds. 0: the dataset's own split.")
]
SeedsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Retrain with N seeds (rivals included).")]
JobsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Run N trainings at the same time; they share the cores.")
]
WithoutClassOption = Annotated[
    list[str] | None,
    typer.Option("--without-class", metavar="CLASS", help="Leave out the videos of a class. Repeatable."),
]
InnerFoldsOption = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Choose learning rate and steps by N inner folds. 0: as configured."),
]
ModelOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Exported model, or one version of it. Default: the run's export.")
]
RivalsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RIVAL",
        help="Published methods, such as sultani rtfm. Default: all.",
        autocompletion=completing(lambda: system_names("rivals")),
    ),
]
RowsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROW",
        help="Rows of the table, such as trn causal. Default: all.",
        autocompletion=completing(lambda: system_names("ablations")),
    ),
]


def load_named(name, overrides) -> Config:
    """Return the configuration of a file, of a bundled name such as ``demo``, or of the defaults.

    Raises:
        UserError: There is no such file, or it or an override is wrong.
    """
    return load_config(None if name is None else _config_path(name), overrides or ())


def _config_path(name):
    if Path(name).is_file() or Path(name).parent != Path():
        return name
    stem, bundled = name.removesuffix(".toml"), bundled_names()
    if stem in bundled:
        return BUNDLED_CONFIGS / f"{stem}.toml"
    close = difflib.get_close_matches(stem, bundled, n=1)
    if close:
        raise UserError(f"no configuration file at {name}. Did you mean the bundled `{close[0]}`?")
    if stem == name:
        raise UserError(f"no configuration file at {name}. Bundled configurations: {', '.join(bundled)}.")
    return name


def repeat_overrides(overrides, folds, seeds, jobs, inner_folds):
    """Return the overrides with those of the options that say how often training is repeated, and what is searched."""
    given = {"repeat.folds": folds, "repeat.seeds": seeds, "repeat.jobs": jobs, "search.inner_folds": inner_folds}
    return [*(overrides or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)]
