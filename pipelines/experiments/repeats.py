"""Train and test systems again and again: folds over videos, several seeds, the same folds for all of them.

Every test video is scored by a model that has never seen it, nor has its extractor; the scores of all folds of a seed
are pooled and measured once. What is finished is kept, so that a stopped command goes on, and another system, seed or
command adds to what is there.
"""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict
from pipelines.data.listing.manifest import read_manifest
from pipelines.experiments.fold import Fold
from pipelines.experiments.systems import full_model, read_rivals
from pipelines.report.evaluation.report import write_report
from pipelines.report.terminal.progress import format_duration
from pipelines.report.terminal.summary import write_summary
from pipelines.run.provenance import provenance
from pipelines.run.workers import in_own_process, usable_cores
from pipelines.stages import import_features, prepare
from pipelines.stages.evaluate import as_evaluated

SYSTEMS_A_PROCESS = 6  # trained one after the other in one process, before its memory is given back
FACTS = {"parameters": "parameters", "training_seconds": "training (s)", "inference_ms": "1,000 frames (ms)"}


def run(config) -> Path:
    """Cross-validate (`repeat.folds`) or repeat the own split (`folds = 0`) with `repeat.seeds` seeds.

    Args:
        config: The run's `Config`; `repeat.rivals` are trained on the same folds.

    Returns:
        Path of `evaluation/metrics.json`.
    """
    rivals = read_rivals(config, config.repeat.rivals) if config.repeat.rivals else []
    return run_systems(config, [full_model(config), *rivals], "evaluate")


def run_systems(config, systems, command, folder="evaluation", facts=None):
    """Train each system in each fold of each seed, measure all on the same videos and write one report.

    Args:
        config: The run's `Config`: its data, folds, seeds and `repeat.jobs`.
        systems: `System`s; paired differences are taken to the first.
        command: Name of the command, for the summary.
        folder: Name of the folder of the report in the run's folder.
        facts: `{name: {column: value}}`, further columns.

    Returns:
        Path of `metrics.json`.
    """
    start, origin = time.monotonic(), provenance()  # what runs, not what was committed meanwhile
    records = import_features.run(config) if config.features.root else prepare.run(config)
    manifest = read_manifest(records)
    videos = [video for video in manifest.videos if video.label is not None]
    seeds = range(config.seed, config.seed + num_seeds(config))
    folds = {seed: _folds(config, records, manifest, videos, seed) for seed in seeds}
    twins = _twins(systems)
    _train(config, [fold for of_seed in folds.values() for fold in of_seed], list(dict.fromkeys(twins.values())))
    scored, measured, trained = {}, {}, set()
    for system, twin in twins.items():
        results = [[fold.result_of(twin) for fold in of_seed] for of_seed in folds.values()]
        scored[system.title] = [_pooled(manifest, of_seed) for of_seed in results]
        trained |= {facts.get("trained", "not noted") for of_seed in results for facts, _ in of_seed}
        measured[system.title] = _mean_facts(results) | (facts or {}).get(system.name, {})
    origin |= {"data": config.data.root, "split": split_name(config), "seed": list(seeds)}
    origin["trained"] = sorted(trained)  # commit and backend of each training: some may be kept from earlier
    target = config.work_path / folder
    options = config.evaluate
    write_report(
        target,
        scored,
        f"{config.data_name}, {split_name(config)}",
        origin | {"config": config_to_dict(config)},
        samples=options.bootstrap_samples,
        seed=config.seed,
        threshold=config.alarms.threshold,
        facts=measured,
        smoothing_sec=options.smoothing_sec,
        images=options.images,
    )
    count = f"{len(videos)} videos, {split_name(config)}, {len(systems)} systems"
    write_summary(config, command, count, output=target, seconds=time.monotonic() - start)
    return target / "metrics.json"


def num_seeds(config):
    """Seeds of the repeats; folds alone mean one."""
    return config.repeat.seeds


def split_name(config):
    """In words: how the videos were split."""
    seeds = f"{num_seeds(config)} seed{'s' if num_seeds(config) > 1 else ''}"
    return f"{config.repeat.folds}-fold cross-validation, {seeds}" if config.repeat.folds else f"own split, {seeds}"


def draw_folds(videos, folds, seed):
    """Test ids of each fold, stratified by class; with `folds = 0` the one set of the data's own test videos.

    The videos of each class are shuffled and dealt out in turn, going on where the class before stopped, so that folds
    differ by at most one video in size and in every class.

    Raises:
        UserError: for a single fold, more folds than videos of a label, or no own test videos.
    """
    if not folds:
        test = {video.video_id for video in videos if video.subset == "test"}
        if not test or len(test) == len(videos):
            raise UserError("the data has no split of its own into `train` and `test`. Use `--folds 5`.")
        return [test]
    counts = [sum(video.label == label for video in videos) for label in (0, 1)]
    if folds < 2 or min(counts) < folds:
        raise UserError(
            f"`repeat.folds` must lie in 2..{min(counts)}, the videos of the rarer label. Received: {folds}. "
            "0 takes the data's own split."
        )
    random = np.random.default_rng([seed, folds])
    groups = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        groups.setdefault((video.label, video.class_name), []).append(video.video_id)
    dealt = [name for group in sorted(groups) for name in random.permutation(groups[group])]
    return [set(dealt[fold::folds]) for fold in range(folds)]


def _folds(config, records, manifest, videos, seed):
    tests = draw_folds(videos, config.repeat.folds, seed)
    plan = f"{config.repeat.folds}fold" if config.repeat.folds else "own"
    folders = [config.work_path / "folds" / f"{plan}-seed{seed}-{number}" for number in range(len(tests))]
    return [
        Fold(folder.resolve(), seed, records.resolve(), manifest, frozenset(test))
        for folder, test in zip(folders, tests, strict=True)
    ]


def _twins(systems):
    """Each system and the first one with the same settings: it is trained once."""
    first = {}
    return {system: first.setdefault(repr(system.config), system) for system in systems}


def _train(config, folds, systems):
    """Train what has no result yet, `repeat.jobs` groups of systems with the same nodes at a time."""
    jobs = []
    for fold in folds:
        groups = {}
        for system in systems:
            if fold.result_of(system) is None:
                groups.setdefault(fold.group_of(system), []).append(system)
        jobs += [(fold, group) for group in groups.values()]
    at_once = config.repeat.jobs
    threads = max(1, usable_cores() // at_once) if at_once > 1 else 0
    total = sum(len(group) for _, group in jobs)
    print(f"{total} trainings to do, {len(folds) * len(systems) - total} finished before", flush=True)
    backend = config.repeat.backend
    if jobs:  # fills the maps of a frozen backbone, which all share
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
    for first in range(0, len(systems), SYSTEMS_A_PROCESS):
        chunk = systems[first : first + SYSTEMS_A_PROCESS]
        in_own_process(fold.train_and_score, chunk, threads=threads, backend=backend)
    fold.remove_nodes(systems[0])


def _pooled(manifest, results):
    """The scored test videos of all folds of a seed."""
    scores = {key: value for _, of_fold in results for key, value in of_fold.items()}
    return [as_evaluated(manifest.by_id[key], scores[key]) for key in sorted(scores)]


def _mean_facts(results):
    """Columns of what a training measured, the mean over all folds and seeds, rounded to whole numbers."""
    facts = [facts for of_seed in results for facts, _ in of_seed]
    return {title: round(float(np.mean([fact[key] for fact in facts]))) for key, title in FACTS.items()}
