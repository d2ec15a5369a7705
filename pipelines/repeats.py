"""Train and test again and again: folds over videos, several seeds, and rivals on the same folds.

One repeat is a work folder of its own under `folds/`, in which the ordinary stages run unchanged; its records are links
to those of the main run, its manifest says which videos are test videos this time. A repeat that has its scores is not
run again.
"""

import dataclasses
import json
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from pipelines.config import UserError, config_to_dict
from pipelines.data.manifest import MANIFEST_NAME, read_manifest, write_json, write_manifest
from pipelines.report.evaluation import comparison_table
from pipelines.report.quiet import load_tensorflow_quietly
from pipelines.report.summary import write_summary
from pipelines.stages import evaluate, extract, prepare, train_detector, train_extractor
from vad_keras.metrics import evaluate_videos

DETECTOR = "anomaly_detector"
RIVALS = {
    # Sultani et al. [1] on globally averaged features of the frozen backbone: 32 segments, Adagrad 0.001, 30 + 30 bags.
    "sultani": {
        "extractor": {"gate_dim": 0, "scales": (1,), "pooling": "average", "train_backbone": False},
        "train_extractor": {"epochs": 0},
        "train_detector": {
            "model": "sultani",
            "sampling": "segment_mean",
            "bag_frames": 32,
            "batch_size": 60,
            "optimizer": "adagrad",
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "epochs": 200,
            "patience_epochs": 30,
        },
    }
}


def run(config) -> Path:
    """Cross-validate (`evaluate.folds`) or repeat the own split (`folds = 0`) with `evaluate.seeds` seeds.

    Folds are drawn over videos, stratified by class, anew for each seed. Each test video is scored by a model that has
    never seen it, nor has its extractor; the scores of all folds of a seed are pooled and measured once.

    Args:
        config: The run's `Config`; `evaluate.rivals` are trained on the same folds.

    Returns:
        Path of `evaluation/metrics.json`.
    """
    start, origin = time.monotonic(), evaluate.provenance()  # what runs, not what was committed meanwhile
    clips = prepare.run(config)
    manifest = read_manifest(clips)
    videos = [video for video in manifest.videos if video.label is not None]
    reports = {name: [] for name in (DETECTOR, *config.evaluate.rivals)}
    for seed in range(config.seed, config.seed + num_seeds(config)):
        test_sets = draw_folds(videos, config.evaluate.folds, seed)
        for name in reports:
            scores = {}
            for fold, test_ids in enumerate(test_sets):
                folder = config.work_path / "folds" / name / f"seed{seed}-fold{fold}"
                print(f"{name}: seed {seed}, fold {fold + 1} of {len(test_sets)}", flush=True)
                scores |= run_repeat(
                    repeat_config(config, name, folder, seed), clips, config.work_path, manifest, test_ids
                )
            reports[name].append(evaluate_videos([_scored(manifest.by_id[key], scores[key]) for key in sorted(scores)]))
    folder = config.work_path / "evaluation"
    origin |= {"data": config.data.root, "split": split_name(config), "config": config_to_dict(config)}
    path = write_json(folder / "metrics.json", {"repeats": reports, **origin})
    comparison_table(folder / "table.md", reports, split_name(config))
    count = f"{len(videos)} videos, {split_name(config)}, {', '.join(reports)}"
    write_summary(config, "evaluate", count, output=folder, seconds=time.monotonic() - start)
    return path


def num_seeds(config):
    """Seeds of the repeats; folds alone mean one."""
    return max(1, config.evaluate.seeds)


def split_name(config):
    """In words: how the videos were split."""
    seeds = f"{num_seeds(config)} seed{'s' if num_seeds(config) > 1 else ''}"
    return f"{config.evaluate.folds}-fold cross-validation, {seeds}" if config.evaluate.folds else f"own split, {seeds}"


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
            f"`evaluate.folds` must lie in 2..{min(counts)}, the videos of the rarer label. Received: {folds}. "
            "0 takes the data's own split."
        )
    random = np.random.default_rng([seed, folds])
    groups = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        groups.setdefault((video.label, video.class_name), []).append(video.video_id)
    dealt = [name for group in sorted(groups) for name in random.permutation(groups[group])]
    return [set(dealt[fold::folds]) for fold in range(folds)]


def repeat_config(config, name, folder, seed):
    """The configuration of one repeat of one system."""
    changes = {"work_dir": str(folder), "seed": seed, "evaluate": dataclasses.replace(config.evaluate, images=False)}
    changes["evaluate"] = dataclasses.replace(changes["evaluate"], bootstrap_samples=0)
    for section, values in RIVALS.get(name, {}).items():
        changes[section] = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **changes)


def run_repeat(config, clips, main_folder, manifest, test_ids):
    """Scores of the test videos of one repeat: `{video_id: (num_frames,)}`."""
    folder = config.work_path
    done = folder / "evaluation" / "scores.npz"
    asked = folder / "repeat.json"
    settings = config_to_dict(config) | {"test": sorted(test_ids), "clips": manifest.fingerprint}
    if not (done.exists() and asked.exists() and _deciding(asked.read_text()) == _deciding(_text(settings))):
        asked.unlink(missing_ok=True)  # from here on the scores are not those of the old settings
        _link_records(clips, main_folder, folder, manifest, test_ids)
        in_own_process(run_stages, config)
        shutil.rmtree(folder / "nodes")
        asked.write_text(_text(settings))
    with np.load(done) as scores:
        return dict(scores)


def run_stages(config):
    """The stages of one repeat, from training the extractor to the scores."""
    for stage in (train_extractor, extract, train_detector, evaluate):
        stage.run(config)


def in_own_process(function, *arguments):
    """Call in a fresh process: what a training took of the memory goes back with it, however many repeats follow.

    Raises:
        UserError: The process died. Its other errors are raised here as they are.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=load_tensorflow_quietly) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise UserError(
                "the process of a repeat was killed, perhaps for want of memory. Give the same command again: "
                "finished repeats are kept, and this one goes on after its last whole epoch."
            ) from error


def _text(settings):
    return json.dumps(settings, sort_keys=True)


def _deciding(text):
    """The settings without those that change no score, so that another seed or rival may be added later."""
    return {key: value for key, value in json.loads(text).items() if key not in ("evaluate", "export", "score")}


def _link_records(clips, main_folder, folder, manifest, test_ids):
    """`clips/` of a repeat: links to the shards, and a manifest with the subsets of this fold; `maps/` is shared."""
    target = folder / "clips"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(clips.iterdir()):
        if path.name != MANIFEST_NAME and not path.name.startswith("."):
            os.symlink(path.resolve(), target / path.name)
    videos = [
        dataclasses.replace(video, subset="test" if video.video_id in test_ids else "train")
        for video in manifest.videos
    ]
    write_manifest(target, videos, fingerprint=manifest.fingerprint)
    maps = main_folder / "maps"
    maps.mkdir(exist_ok=True)
    if not (folder / "maps").exists():
        os.symlink(maps.resolve(), folder / "maps")


def _scored(video, scores):
    return {
        "video_id": video.video_id,
        "label": video.label,
        "class_name": video.class_name,
        "frame_labels": video.frame_label_array(),
        "scores": scores,
    }
