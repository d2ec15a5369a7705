"""Train the full model and published rivals on the same folds with several seeds (``vad compare``)."""

from pathlib import Path

from pipelines.experiments.repeats import run_systems
from pipelines.experiments.systems import full_model, read_rivals
from pipelines.run.folder import RunFolder


def run(config) -> Path:
    """Train the full model and ``compare.rivals``; write ``comparison/`` and return its ``metrics.json``.

    Args:
        config: The run's ``Config``.

    Raises:
        UserError: A rival is unknown.
    """
    systems = [full_model(config), *read_rivals(config, config.compare.rivals)]
    return run_systems(config, systems, "compare", RunFolder.of(config).comparison, published_facts(systems))


def published_facts(systems):
    """Return the published frame AUC of each system as a column: UCF-Crime / ShanghaiTech, in percent."""
    return {system.name: {"published (%)": _published(system.published)} for system in systems if system.published}


def _published(percents):
    """Return ``"75.41 / –"`` for ``{"ucf_crime": 75.41}``."""
    return " / ".join(f"{percents[name]:.2f}" if name in percents else "–" for name in ("ucf_crime", "shanghaitech"))
