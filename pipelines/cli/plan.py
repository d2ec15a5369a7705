"""Say what a command would do, and write nothing (``--dry-run``)."""

import importlib

from pipelines.cli.inputs import check_inputs
from pipelines.report.terminal.tables import print_table
from pipelines.run.folder import RunFolder
from pipelines.run.workers import load_tensorflow_quietly

COLUMNS = {"stage": "stage", "would": "would"}
FINISHED = "do nothing: finished"
READ_BY_NO_STAGE = ("evaluate",)


def print_plan(modules, config, trainings=(), tensorflow=True):
    """Print what each stage of a command would do.

    The function ``plan`` of a stage returns that in words, or ``""`` if its result is up to date. A stage after one
    that has work to do is not asked: its input does not exist yet, or will change.

    Args:
        modules: Their names below ``pipelines``, such as ``"stages.prepare"``.
        config: The run's ``Config``.
        trainings: Those of the modules whose settings are checked, although their input may not exist yet.
        tensorflow: Whether a stage needs TensorFlow.

    Raises:
        UserError: The command would refuse to start.
    """
    check_inputs(modules[0], config)
    if tensorflow:
        load_tensorflow_quietly(announce=True)
    stages = {name: importlib.import_module(f"pipelines.{name}") for name in modules}
    for name in trainings:
        stages[name].check_settings(config)
    rows, first = [], ""
    for name, module in stages.items():
        stage = name.rpartition(".")[2]
        todo = f"run after {first}" if first else module.plan(config)
        rows.append({"stage": stage, "would": todo or FINISHED})
        if todo and stage not in READ_BY_NO_STAGE:
            first = first or stage
    print_table(rows, COLUMNS, f"Dry run of {RunFolder.of(config).path}: nothing is written.")
