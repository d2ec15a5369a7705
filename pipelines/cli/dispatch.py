"""Run the modules behind a command: the run's lock, ``config.json``, the closing table and the exit status."""

import contextlib
import importlib
import os
import shutil
import sys

from rich.console import Console

from pipelines.cli import EXIT_DONE, EXIT_INTERRUPTED, EXIT_SKIPPED
from pipelines.cli.inputs import check_inputs
from pipelines.report.terminal.summary import print_closing_table, read_summaries, summary_stamps
from pipelines.run.folder import RunFolder
from pipelines.run.lock import LOCK_NAME, run_lock
from pipelines.run.workers import load_tensorflow_quietly

TRAININGS = {"stages.train_extractor", "stages.train_detector"}
WITHOUT_TENSORFLOW = ("stages.calibrate", "stages.collect")


def run(modules, config, *arguments, modifies_run=True, dry_run=False) -> int:
    """Run modules one after the other and return the exit status.

    What the first one reads is checked before anything is loaded or written. If a training follows other stages, its
    settings are checked before these spend hours.

    Args:
        modules: Their names below ``pipelines``, such as ``"stages.prepare"``. A module, and the frameworks it needs,
            is imported when its turn comes.
        config: The run's ``Config``.
        arguments: Further arguments of the modules' function ``run``.
        modifies_run: Lock the run's folder and write ``config.json`` into it.
        dry_run: Only print what the stages would do.
    """
    trainings = TRAININGS.intersection(modules[1:])
    tensorflow = any(_needs_tensorflow(name, config) for name in modules)
    if dry_run:
        from pipelines.cli.plan import print_plan  # loads NumPy

        print_plan(modules, config, trainings, tensorflow)
        return EXIT_DONE
    check_inputs(modules[0], config, *arguments)
    before = summary_stamps(config)
    with _using(RunFolder.of(config), config) if modifies_run else contextlib.nullcontext():
        try:
            if tensorflow:
                load_tensorflow_quietly(announce=True)
            for name in trainings:
                importlib.import_module(f"pipelines.{name}").check_settings(config)
            for name in modules:
                importlib.import_module(f"pipelines.{name}").run(config, *arguments)
        except KeyboardInterrupt:
            print("\ninterrupted: run the same command again to resume", file=sys.stderr)
            return EXIT_INTERRUPTED
    summaries = read_summaries(config, before)
    if len(modules) > 1:
        print_closing_table(summaries, Console())
    return EXIT_SKIPPED if any(summary["skipped"] for summary in summaries) else EXIT_DONE


def _needs_tensorflow(name, config):
    return not config.score.server if name == "stages.score" else name not in WITHOUT_TENSORFLOW


@contextlib.contextmanager
def _using(folder, config):
    """Lock a run's folder and write its settings. If the block fails, remove the folders that it left empty.

    A new run's folder in which nothing but the lock and the settings is left is removed, too.
    """
    created = [path for path in (folder.path, *folder.path.parents) if not path.exists()]
    try:
        with run_lock(folder.path):
            try:
                folder.write_config(config)
                yield
            except BaseException as error:
                if isinstance(error, OSError) and error.errno and error.filename is None:
                    error.filename = str(folder.path)
                with contextlib.suppress(OSError):
                    _remove_empty_folders(folder.path)
                raise
            finally:
                if created and _is_unused(folder):
                    shutil.rmtree(folder.path, ignore_errors=True)
    finally:
        for path in created:
            with contextlib.suppress(OSError):  # one with content stays; another command may use a parent by now
                path.rmdir()


def _remove_empty_folders(folder):
    for path, names, _ in os.walk(folder, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):  # it has content, or is a link
                os.rmdir(os.path.join(path, name))


def _is_unused(folder):
    """Whether a run's folder holds no file but the lock and the settings."""
    own = {folder.config, folder.path / LOCK_NAME}
    return all(path in own or (path.is_dir() and not path.is_symlink()) for path in folder.path.rglob("*"))
