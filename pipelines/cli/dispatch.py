"""Run the modules behind a command: the run's lock, ``config.json``, the closing table and the exit status."""

import contextlib
import importlib
import shutil
import sys
import time

from rich.console import Console

from pipelines.report.terminal.summary import print_closing_table, read_summaries
from pipelines.run.folder import RunFolder
from pipelines.run.lock import LOCK_NAME, run_lock
from pipelines.run.workers import load_tensorflow_quietly

EXIT_DONE = 0
EXIT_SKIPPED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run(modules, config, *arguments, modifies_run=True) -> int:
    """Run modules one after the other and return the exit status.

    Args:
        modules: Their names below ``pipelines``, such as ``"stages.prepare"``. A module, and the frameworks it needs,
            is imported when its turn comes.
        config: The run's ``Config``.
        arguments: Further arguments of the modules' function ``run``.
        modifies_run: Lock the run's folder and write ``config.json`` into it.
    """
    start = time.time()
    with _using(RunFolder.of(config), config) if modifies_run else contextlib.nullcontext():
        try:
            load_tensorflow_quietly()
            for name in modules:
                importlib.import_module(f"pipelines.{name}").run(config, *arguments)
        except KeyboardInterrupt:
            print("\ninterrupted: run the same command again to resume", file=sys.stderr)
            return EXIT_INTERRUPTED
    summaries = read_summaries(config, since=start)
    if len(modules) > 1:
        print_closing_table(summaries, Console())
    return EXIT_SKIPPED if any(summary["skipped"] for summary in summaries) else EXIT_DONE


@contextlib.contextmanager
def _using(folder, config):
    """Lock a run's folder and write its settings. If the block leaves nothing in a new folder, remove it again."""
    created = [path for path in (folder.path, *folder.path.parents) if not path.exists()]
    with run_lock(folder.path):
        folder.write_config(config)
        try:
            yield
        finally:
            if created and _is_unused(folder):
                shutil.rmtree(folder.path)
                with contextlib.suppress(OSError):  # another command may use a parent by now
                    for parent in created[1:]:
                        parent.rmdir()


def _is_unused(folder):
    """Whether a run's folder holds no file but the lock and the settings."""
    own = {folder.config, folder.path / LOCK_NAME}
    return all(path in own or (path.is_dir() and not path.is_symlink()) for path in folder.path.rglob("*"))
