"""Train Tables 1 and 2 of the paper, and other readings of its unclear passages (``vad ablate``)."""

from pathlib import Path

from pipelines.experiments.compare import published_facts
from pipelines.experiments.repeats import run_systems
from pipelines.experiments.systems import full_model, left_out, read_systems
from pipelines.run.folder import RunFolder


def run(config) -> Path:
    """Train the full model and ``ablate.rows``; write ``ablation/`` and return its ``metrics.json``.

    Args:
        config: The run's ``Config``.

    Raises:
        UserError: A row is unknown, or needs what the configuration lacks, such as a prior.
    """
    skipped = [] if config.ablate.rows else left_out("ablations", config)
    if skipped:
        print(f"rows left out, which need a setting that this configuration lacks: {', '.join(skipped)}", flush=True)
    systems = [full_model(config), *read_systems("ablations", config, config.ablate.rows)]
    return run_systems(config, systems, "ablate", RunFolder.of(config).ablation, published_facts(systems))
