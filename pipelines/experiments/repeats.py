"""Retrain systems in several folds and with several seeds; the folds are the same for all systems (``vad repeat``).

Neither the detector nor the extractor that scores a test video was trained on it. The scores of all folds of a seed are
pooled and evaluated once. Finished trainings are kept: an interrupted command resumes, and another system, seed or
command reuses them.
"""

import dataclasses
import os
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict
from pipelines.data.datasets import load_dataset
from pipelines.data.listing.manifest import read_manifest
from pipelines.data.splits import draw_folds
from pipelines.experiments.fold import Fold
from pipelines.experiments.systems import full_model, read_rivals
from pipelines.report.evaluation.location import with_patch_scores
from pipelines.report.evaluation.report import write_report
from pipelines.report.plots.search_curves import plot_search_curves
from pipelines.report.terminal.progress import format_duration
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance
from pipelines.run.workers import in_own_process, usable_cores
from pipelines.stages import import_features, prepare, train_detector, train_extractor
from pipelines.stages.evaluate import as_evaluated
from pipelines.training.trials import write_trials

SYSTEMS_PER_PROCESS = 6  # trained one after the other, before the process ends and frees its memory
FACTS = {
    "parameters": "parameters",
    "steps": "steps",
    "training_seconds": "training (s)",
    "search_seconds": "search (s)",
    "inference_ms": "1,000 frames (ms)",
}
LEARNED = 0.9  # least AUC of the training bags of a system that learns and is compared with the first one


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
    twins = _twins(systems)
    check_experiment(config, list(dict.fromkeys(twins.values())))
    records = import_features.run(config) if config.features.root else prepare.run(config)
    manifest = read_manifest(records)
    videos = [video for video in manifest.videos if video.label is not None]
    seeds = range(config.seed, config.seed + config.repeat.seeds)
    folds = {seed: _folds(config, records, manifest, videos, seed) for seed in seeds}
    _train(config, [fold for of_seed in folds.values() for fold in of_seed], list(dict.fromkeys(twins.values())))
    trainings = {
        system: [
            [(fold.run_of(twin), *fold.result_of(twin)) for fold in of_seed]
            for of_seed in folds.values()
            if _trains(of_seed[0], twin)
        ]
        for system, twin in twins.items()
    }
    origin |= {"data": config.data.root, "split": split_name(config), "seed": list(seeds)}
    _write_report(config, folder, trainings, manifest, origin, facts or {})
    count = f"{counted(len(videos), 'video')}, {split_name(config)}, {counted(len(systems), 'system')}"
    write_summary(config, command, count, output=folder, seconds=time.monotonic() - start)
    return folder / "metrics.json"


def check_experiment(config, systems):
    """Draw the folds and build the models before hours are spent on the videos.

    Raises:
        UserError: The listed videos do not fill the folds, or settings of a system contradict each other.
    """
    if config.data.dataset != "synthetic":  # generated, with both labels
        labelled = [video for video in load_dataset(config) if video.label is not None]
        draw_folds(labelled, config.repeat.folds, config.seed)
    in_own_process(check_models, systems)


def check_models(systems):
    """Build the extractor and the detector of each system, once for equal settings."""
    checked = set()
    for system in systems:
        config = system.config
        parts: dict = {train_detector: (config.detector, config.train_detector)}
        if not config.features.root:
            parts[train_extractor] = (config.extractor, config.data, config.train_extractor)
        for stage, sections in parts.items():
            if (stage, repr(sections)) in checked:
                continue
            checked.add((stage, repr(sections)))
            try:
                stage.check_settings(config)
            except UserError as error:
                raise UserError(f"{system.title}: {error}") from None


def split_name(config):
    """Return in words how the videos are split."""
    options = config.repeat
    seeds = counted(options.seeds, "seed")
    return f"{options.folds}-fold cross-validation, {seeds}" if options.folds else f"own split, {seeds}"


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


def _trains(fold, system):
    """Whether a system is trained with the seed of a fold: some rivals have fewer seeds."""
    return fold.seed < system.config.seed + system.config.repeat.seeds


def _train(config, folds, systems):
    """Train what has no result yet, ``repeat.jobs`` groups of systems with the same nodes at a time."""
    jobs, wanted = [], 0
    for fold in folds:
        groups = {}
        for system in systems:
            wanted += _trains(fold, system)
            if _trains(fold, system) and fold.result_of(system) is None:
                groups.setdefault(fold.group_of(system).path, []).append(system)
        jobs += [(fold, group) for group in groups.values()]
    at_once = config.repeat.jobs
    threads = max(1, usable_cores() // at_once) if at_once > 1 else 0
    total = sum(len(group) for _, group in jobs)
    print(f"{total} trainings to run, {wanted - total} finished earlier", flush=True)
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
    titles = ", ".join(system.title for system in systems)
    print(f"{fold.folder.name}: {titles}", flush=True)
    in_own_process(fold.make_nodes, systems[0], threads=threads)
    for first in range(0, len(systems), SYSTEMS_PER_PROCESS):
        chunk = systems[first : first + SYSTEMS_PER_PROCESS]
        in_own_process(fold.train_and_score, chunk, threads=threads, backend=backend)
    fold.remove_nodes(systems[0])


def _write_report(config, folder, trainings, manifest, origin, facts):
    """Write the report of ``{system: trainings}``, by seed and fold: run folder, facts and scores, see ``Fold``."""
    scored, folders, columns, curves, unranked, trained = {}, {}, {}, {}, [], set()
    for system, of_system in trainings.items():
        found = [of_fold for of_seed in of_system for _, of_fold, _ in of_seed]
        learned = not system.learns or np.mean([of_fold["training_bag_auc"] for of_fold in found]) >= LEARNED
        title = system.title if learned else f"{system.title} (not learned)"
        unranked += [] if learned else [title]
        scored[title] = [_pooled(manifest, of_seed) for of_seed in of_system]
        folders[title] = [[os.path.relpath(run.path, folder.resolve()) for run, *_ in of_seed] for of_seed in of_system]
        columns[title] = _columns(found) | facts.get(system.name, {})
        curves[title] = _mean_curves(found)
        trained |= {of_fold.get("trained", "unknown") for of_fold in found}
    origin["trained"] = sorted(trained)  # commits and backends; some trainings may be older than this command
    origin["runs"] = folders
    if unranked:
        origin["not learned, not compared"] = f"AUC of the training bags below {LEARNED}: {', '.join(unranked)}"
    figures = []
    if config.search.inner_folds and config.evaluate.images:
        plot_search_curves(folder / "search.png", curves, config.search.every_steps)
        figures = [("search.png", "Search: mean video AUC of held-out training videos, by learning rate")]
    content = write_report(
        folder,
        scored,
        f"{config.data_name}, {split_name(config)}",
        origin | {"config": config_to_dict(config)},
        threshold=config.alarms.threshold,
        facts=columns,
        smoothing_sec=config.evaluate.smoothing_sec,
        images=config.evaluate.images,
        more_figures=figures,
        unranked=unranked,
    )
    write_trials(folder / "hparams", _trials(trainings, content["systems"].values()))


def _trials(trainings, measured):
    """Return settings and metrics of each system and seed, for TensorBoard."""
    return {
        f"{system.name}-seed{system.config.seed + number}": (
            dataclasses.replace(system.config, seed=system.config.seed + number),
            {metric: entry["seeds"][number] for metric, entry in found["metrics"].items()},
        )
        for (system, of_system), found in zip(trainings.items(), measured, strict=True)
        for number in range(len(of_system))
    }


def _pooled(manifest, trainings):
    """Return the scored test videos of all folds of a seed."""
    scores = {key: value for *_, of_fold in trainings for key, value in of_fold.items()}
    videos = [as_evaluated(manifest.by_id[key], scores[key]) for key in sorted(scores)]
    for run, *_ in trainings:
        videos = with_patch_scores(videos, run.evaluation_patch_scores)
    return videos


def _columns(found):
    """Return the measurements of the trainings as columns: means over folds and seeds; learning rates are listed."""
    rates = sorted({of_fold["learning_rate"] for of_fold in found})
    columns: dict[str, object] = {"learning rate": " / ".join(f"{rate:g}" for rate in rates)}
    for key, title in FACTS.items():
        if key in found[0]:
            columns[title] = round(float(np.mean([of_fold[key] for of_fold in found])))
    return columns | {"training-bag AUC": f"{np.mean([of_fold['training_bag_auc'] for of_fold in found]):.3f}"}


def _mean_curves(found):
    """Return the curves of the search, means over folds and seeds."""
    rates = found[0].get("curves", {})
    return {rate: np.mean([of_fold["curves"][rate] for of_fold in found], axis=0).tolist() for rate in rates}
