"""Stage 5: how good the detector is on the test videos, with every figure that puts the headline right."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import vad_keras.models  # noqa: F401 - registers the detectors for load_model
from pipelines.config import UserError, config_to_dict
from pipelines.data.bags import segment_bounds, whole_bags
from pipelines.data.clips import Clips
from pipelines.data.manifest import MANIFEST_NAME, read_manifest, write_json
from pipelines.data.records import expand_to_frames
from pipelines.report.evaluation import FIGURES, draw_evaluation, draw_heat_maps, metrics_table
from pipelines.report.progress import track
from pipelines.report.summary import write_summary
from vad_keras import spec
from vad_keras.metrics import bootstrap_videos, evaluate_videos

KEPT = (spec.ANOMALY_SCORE, spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY)


def run(config) -> Path:
    """Score the test videos of `nodes/` with `detector.keras`; write `evaluation/` and return `metrics.json`.

    Every figure is over all original frames at their true count. No figure of this stage flows back into a choice.

    Args:
        config: The run's `Config`.

    Returns:
        Path of `metrics.json`; beside it `table.md`, `videos.csv`, `scores.npz` and, with `evaluate.images`, pictures.

    Raises:
        UserError: when there is no detector, no test video, or none with a label.
    """
    start, origin = time.monotonic(), provenance()  # what runs, not what was committed meanwhile
    folder = config.work_path / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    scored = list(score_videos(config))
    videos = [
        {
            "video_id": video.video_id,
            "label": video.label,
            "class_name": video.class_name,
            "frame_labels": video.frame_label_array(),
            "scores": outputs[spec.ANOMALY_SCORE],
        }
        for video, outputs in scored
    ]
    np.savez(folder / "scores.npz", **{video["video_id"]: video["scores"] for video in videos})
    threshold = config.export.threshold
    report = evaluate_videos(videos, threshold)
    intervals = bootstrap_intervals(videos, config.evaluate.bootstrap_samples, config.seed)
    origin |= {"data": config.data.root, "split": "own", "seed": config.seed, "config": config_to_dict(config)}
    path = write_json(folder / "metrics.json", {"metrics": report, "intervals_95": intervals, **origin})
    _write_video_table(folder / "videos.csv", videos)
    metrics_table(folder / "table.md", report, intervals)
    left_out = _draw(config, folder, scored, threshold) if config.evaluate.images else ""
    done = f"{len(videos)} test videos, frame AUC {report['frame_auc']:.3f}, inside abnormal videos "
    done += f"{report['frame_auc_abnormal_videos']:.3f}{left_out}"
    write_summary(config, "evaluate", done, output=folder, seconds=time.monotonic() - start)
    return path


def score_videos(config, subset="test"):
    """Outputs of the detector for each original frame of each video of a subset.

    Yields:
        `(VideoInfo, dict)`; the dict holds `anomaly_score` `(num_frames,)`, `patch_score` and `unary_probability`
        `(num_frames, G)` and `marginals` `(num_frames, G, 2)` where the model gives them.
    """
    nodes = config.work_path / "nodes"
    manifest = read_manifest(nodes)
    videos = [video for video in manifest.videos if video.subset == subset and video.label is not None]
    if not videos:
        raise UserError(
            f"no labelled video of subset `{subset}` is in {nodes}. Give some videos `test` in the column `subset` of "
            "labels.csv, or evaluate with `--folds 5`."
        )
    detector = load_detector(config)
    segments = config.train_detector.bag_frames if config.train_detector.sampling == "segment_mean" else 0
    predict = tf.function(
        lambda inputs: {key: value for key, value in detector(inputs).items() if key in KEPT}, reduce_retracing=True
    )
    bags = whole_bags(nodes, videos, batch_size=1, segments=segments)
    for inputs, _, origin in track(bags, "Scoring videos", total=len(videos)):
        video = manifest.by_id[origin["video_id"].numpy()[0].decode()]
        indices = origin["frame_indices"].numpy()[0]
        outputs = {key: value.numpy()[0] for key, value in predict(inputs).items()}
        if segments:
            part = (
                np.searchsorted(segment_bounds(len(indices), segments).numpy(), np.arange(len(indices)), side="right")
                - 1
            )
            outputs = {key: value[np.minimum(part, segments - 1)] for key, value in outputs.items()}
        yield video, {key: expand_to_frames(value, indices, video.num_frames) for key, value in outputs.items()}


def load_detector(config):
    """The trained detector of a run."""
    path = config.work_path / "detector.keras"
    if not path.exists():
        raise UserError(f"{path} does not exist. Run `vad train-detector` first, or `vad train` for all stages.")
    return keras.models.load_model(path, compile=False)


def _draw(config, folder, scored, threshold):
    """The pictures, heat maps included where the model has a CRF and the clips are still there; says it where not."""
    draw_evaluation(folder, scored, threshold, config.train_detector.model)
    if not all(spec.MARGINALS in outputs for _, outputs in scored):
        return ""
    if config.features.root or not (config.work_path / "clips" / MANIFEST_NAME).exists():
        return "; no heat maps, for want of clips to lay them over"
    clips = Clips(config.work_path / "clips", config.data.clip_frames, config.data.image_size_px)
    draw_heat_maps(folder / "heat_maps.png", scored, clips.read_frame, config.extractor.scales)
    return ""


def bootstrap_intervals(videos, samples, seed):
    """95 % intervals over videos of the figures of `FIGURES`: `{name: [low, high]}`."""
    if not samples:
        return {}

    def figures(drawn):
        report = evaluate_videos(drawn)
        return [report[name] for name in FIGURES]

    interval = bootstrap_videos(videos, figures, samples, seed)
    return {name: [float(interval["low"][i]), float(interval["high"][i])] for i, name in enumerate(FIGURES)}


def provenance():
    """Commit (`-dirty`: with uncommitted changes; empty outside a git checkout) and command of this run."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"commit": commit, "command": " ".join(["vad", *sys.argv[1:]])}


def _write_video_table(path, videos):
    """One line a video: label, length, highest and mean score."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "label", "class", "num_frames", "num_abnormal_frames", "max_score", "mean_score"])
        for video in videos:
            labels = video["frame_labels"]
            abnormal = "" if labels is None else int(labels.sum())
            scores = video["scores"]
            row = [video["video_id"], video["label"], video["class_name"], len(scores), abnormal]
            writer.writerow([*row, f"{scores.max():.4f}", f"{scores.mean():.4f}"])
