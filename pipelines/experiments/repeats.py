"""Retrain systems in several folds and with several seeds; the folds are the same for all systems (``vad repeat``).

Neither the detector nor the extractor that scores a test video was trained on it. The scores of all folds of a seed are
pooled and evaluated once. Finished trainings are kept: an interrupted command resumes, and another system, seed or
command reuses them.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict
from pipelines.data.listing.manifest import read_manifest
from pipelines.experiments.fold import Fold
from pipelines.experiments.systems import full_model, read_rivals
from pipelines.report.evaluation.location import with_patch_scores
from pipelines.report.evaluation.report import write_report
from pipelines.report.terminal.progress import format_duration
from pipelines.report.terminal.summary import write_summary
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance
from pipelines.run.workers import in_own_process, usable_cores
from pipelines.stages import import_features, prepare
from pipelines.stages.evaluate import as_evaluated

SYSTEMS_PER_PROCESS = 6  # trained one after the other, before the process ends and frees its memory
FACTS = {"parameters": "parameters", "training_seconds": "training (s)", "inference_ms": "1,000 frames (ms)"}


def run(config) -> Path:
    """Train in ``repeat.folds`` folds, or on the dataset's own split (0), with ``repeat.seeds`` seeds.

    Args:
        config: The run's ``Config``; ``repeat.rivals`` are trained on the same folds.

    Returns:
        Path of ``repeats/metrics.json``.
    """
    rivals = read_rivals(config, config.repeat.rivals) if config.repeat.rivals else []
    return run_systems(config, [full_model(config), *rivals], "repeat", RunFolder.of(config).repeats)


def run_systems(config, systems, command, folder, facts=None):
    """Train each system in each fold with each seed, evaluate all on the same videos and write one report.

    Args:
        config: The run's ``Config``, with its data and ``[repeat]``.
        systems: ``System`` objects; paired differences are taken to the first.
        command: Name of the command, for the summary.
        folder: Folder of the report.
        facts: ``{name: {column: value}}``, further columns.

    Returns:
        Path of ``metrics.json``.
    """
    start, origin = time.monotonic(), provenance()  # the commit now: the trainings may take days
    records = import_features.run(config) if config.features.root else prepare.run(config)
    manifest = read_manifest(records)
    videos = [video for video in manifest.videos if video.label is not None]
    seeds = range(config.seed, config.seed + config.repeat.seeds)
    folds = {seed: _folds(config, records, manifest, videos, seed) for seed in seeds}
    twins = _twins(systems)
    _train(config, [fold for of_seed in folds.values() for fold in of_seed], list(dict.fromkeys(twins.values())))
    results = {
        system: [[fold.result_of(twin) for fold in of_seed] for of_seed in folds.values()]
        for system, twin in twins.items()
    }
    runs = {
        system: [[fold.run_of(twin) for fold in of_seed] for of_seed in folds.values()]
        for system, twin in twins.items()
    }
    origin |= {"data": config.data.root, "split": split_name(config), "seed": list(seeds)}
    _write_report(config, folder, results, runs, manifest, origin, facts or {})
    count = f"{len(videos)} videos, {split_name(config)}, {len(systems)} systems"
    write_summary(config, command, count, output=folder, seconds=time.monotonic() - start)
    return folder / "metrics.json"


def split_name(config):
    """Return in words how the videos are split."""
    options = config.repeat
    seeds = f"{options.seeds} seed{'s' if options.seeds > 1 else ''}"
    return f"{options.folds}-fold cross-validation, {seeds}" if options.folds else f"own split, {seeds}"


def draw_folds(videos, folds, seed):
    """Return the test ids of each fold, stratified by class; with ``folds = 0`` those of the dataset's own split.

    The videos of each class are shuffled and assigned to the folds in turn. The next class starts at the fold after the
    last assigned one, so that the sizes of two folds differ by at most one video, as a whole and in each class.

    Raises:
        UserError: There is a single fold, there are more folds than videos of a label, or no own test videos.
    """
    if not folds:
        test = {video.video_id for video in videos if video.subset == "test"}
        if not test or len(test) == len(videos):
            raise UserError("the dataset has no split of its own into `train` and `test`. Use `--folds 5`.")
        return [test]
    counts = [sum(video.label == label for video in videos) for label in (0, 1)]
    if folds < 2 or min(counts) < folds:
        raise UserError(
            f"`repeat.folds` must lie in 2..{min(counts)}, the number of videos of the rarer label. Received: {folds}. "
            "0 takes the dataset's own split."
        )
    random = np.random.default_rng([seed, folds])
    groups = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        groups.setdefault((video.label, video.class_name), []).append(video.video_id)
    shuffled = [name for group in sorted(groups) for name in random.permutation(groups[group])]
    return [set(shuffled[fold::folds]) for fold in range(folds)]


def _folds(config, records, manifest, videos, seed):
    tests = draw_folds(videos, config.repeat.folds, seed)
    plan = f"{config.repeat.folds}fold" if config.repeat.folds else "own"
    folders = [RunFolder.of(config).folds / f"{plan}-seed{seed}-{number}" for number in range(len(tests))]
    return [
        Fold(folder.resolve(), seed, records.resolve(), manifest, frozenset(test))
        for folder, test in zip(folders, tests, strict=True)
    ]


def _twins(systems):
    """Map each system to the first one with the same settings, which is trained for all of them."""
    first = {}
    return {system: first.setdefault(repr(system.config), system) for system in systems}


def _train(config, folds, systems):
    """Train what has no result yet, ``repeat.jobs`` groups of systems with the same nodes at a time."""
    jobs = []
    for fold in folds:
        groups = {}
        for system in systems:
            if fold.result_of(system) is None:
                groups.setdefault(fold.group_of(system).path, []).append(system)
        jobs += [(fold, group) for group in groups.values()]
    at_once = config.repeat.jobs
    threads = max(1, usable_cores() // at_once) if at_once > 1 else 0
    total = sum(len(group) for _, group in jobs)
    print(f"{total} trainings to run, {len(folds) * len(systems) - total} finished earlier", flush=True)
    backend = config.repeat.backend
    if jobs:  # computes the maps of a frozen backbone, which all share
        in_own_process(jobs[0][0].make_nodes, jobs[0][1][0])
    with ThreadPoolExecutor(at_once) as pool:
        sizes = {pool.submit(_train_group, *job, threads=threads, backend=backend): len(job[1]) for job in jobs}
        start, done = time.monotonic(), 0
        try:
            for future in as_completed(sizes):
                future.result()
                done += sizes[future]
                left = (time.monotonic() - start) / done * (total - done)
                print(f"{done} of {total} trainings done, about {format_duration(left)} left", flush=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _train_group(fold, systems, threads, backend):
    names = ", ".join(system.name for system in systems)
    print(f"{fold.folder.name}: {names}", flush=True)
    in_own_process(fold.make_nodes, systems[0], threads=threads)
    for first in range(0, len(systems), SYSTEMS_PER_PROCESS):
        chunk = systems[first : first + SYSTEMS_PER_PROCESS]
        in_own_process(fold.train_and_score, chunk, threads=threads, backend=backend)
    fold.remove_nodes(systems[0])


def _write_report(config, folder, results, runs, manifest, origin, facts):
    """Write the report of ``{system: results}``; results and runs are by seed and fold, see ``Fold``."""
    scored, columns, trained = {}, {}, set()
    for system, of_system in results.items():
        scored[system.title] = [_pooled(manifest, *of_seed) for of_seed in zip(of_system, runs[system], strict=True)]
        columns[system.title] = _mean_facts(of_system) | facts.get(system.name, {})
        trained |= {found.get("trained", "unknown") for of_seed in of_system for found, _ in of_seed}
    origin["trained"] = sorted(trained)  # commits and backends; some trainings may be older than this command
    origin["runs"] = {
        system.title: [[os.path.relpath(run.path, folder.resolve()) for run in of_seed] for of_seed in of_system]
        for system, of_system in runs.items()
    }
    write_report(
        folder,
        scored,
        f"{config.data_name}, {split_name(config)}",
        origin | {"config": config_to_dict(config)},
        threshold=config.alarms.threshold,
        facts=columns,
        smoothing_sec=config.evaluate.smoothing_sec,
        images=config.evaluate.images,
    )


def _pooled(manifest, results, runs):
    """Return the scored test videos of all folds of a seed."""
    scores = {key: value for _, of_fold in results for key, value in of_fold.items()}
    videos = [as_evaluated(manifest.by_id[key], scores[key]) for key in sorted(scores)]
    for run in runs:
        videos = with_patch_scores(videos, run.evaluation_patch_scores)
    return videos


def _mean_facts(results):
    """Return the measurements of the trainings as columns: means over folds and seeds, rounded to whole numbers."""
    facts = [facts for of_seed in results for facts, _ in of_seed]
    return {title: round(float(np.mean([fact[key] for fact in facts]))) for key, title in FACTS.items()}
