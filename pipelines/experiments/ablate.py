"""`vad ablate`: Tables 1 and 2 of the paper, and its unclear passages read otherwise, as rows of one table."""

from pathlib import Path

from pipelines.experiments.compare import published_facts
from pipelines.experiments.repeats import run_systems
from pipelines.experiments.systems import full_model, read_systems


def run(config) -> Path:
    """Train the full model and `ablate.rows`; write `ablation/` and return its `metrics.json`.

    Args:
        config: The run's `Config`.

    Raises:
        UserError: A row is unknown.
    """
    systems = [full_model(config), *read_systems("ablations", config, config.ablate.rows)]
    return run_systems(config, systems, "ablate", "ablation", published_facts(systems))
