"""Stage 5: how good the detector is on the test videos, with every figure that puts the headline right."""

import hashlib
import json
import time
from pathlib import Path

import keras
import numpy as np

import vad_keras.models  # noqa: F401 - registers the detectors for load_model
from pipelines.config import UserError, config_to_dict
from pipelines.data.bags import segment_bounds, whole_bags
from pipelines.data.clips import Clips
from pipelines.data.listing.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.records import expand_to_frames
from pipelines.report.evaluation.pictures import draw_heat_maps, draw_timelines
from pipelines.report.evaluation.report import write_report
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary
from pipelines.run.provenance import provenance
from vad_keras import spec

KEPT = (spec.ANOMALY_SCORE, spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY)


def run(config) -> Path:
    """Score the test videos of `nodes/` with `detector.keras`; write `evaluation/` and return `metrics.json`.

    Every figure is over all original frames at their true count. No figure of this stage flows back into a choice.

    Args:
        config: The run's `Config`.

    Returns:
        Path of `metrics.json`; beside it `report.md`, `videos.csv`, `scores.npz` and, with `evaluate.images`, pictures.

    Raises:
        UserError: when there is no detector, no test video, or none with a label.
    """
    start, origin = time.monotonic(), provenance()  # what runs, not what was committed meanwhile
    folder = config.work_path / "evaluation"
    scored = write_scores(config)
    videos = [as_evaluated(video, outputs[spec.ANOMALY_SCORE]) for video, outputs in scored]
    origin |= {"data": config.data.root, "split": "own", "seed": config.seed, "config": config_to_dict(config)}
    origin["split_fingerprint"] = _split_fingerprint(read_manifest(config.work_path / "nodes"))
    options, threshold = config.evaluate, config.alarms.threshold
    content = write_report(
        folder,
        {config.train_detector.model: [videos]},
        f"{config.data_name}, own split",
        origin,
        samples=options.bootstrap_samples,
        seed=config.seed,
        threshold=threshold,
        smoothing_sec=options.smoothing_sec,
        images=options.images,
    )
    left_out = _draw(config, folder, scored, threshold) if options.images else ""
    figures = content["systems"][config.train_detector.model]["figures"]
    done = f"{len(videos)} test videos, frame AUC {figures['frame_auc']['mean']:.3f}, inside abnormal videos "
    done += f"{figures['frame_auc_abnormal_videos']['mean']:.3f}{left_out}"
    write_summary(config, "evaluate", done, output=folder, seconds=time.monotonic() - start)
    return folder / "metrics.json"


def write_scores(config):
    """Score the test videos and write `evaluation/scores.npz`, `{video_id: (num_frames,)}`.

    Returns:
        List of `(VideoInfo, outputs)`, see `score_videos`.
    """
    scored = list(score_videos(config))
    folder = config.work_path / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "scores.npz", **{video.video_id: outputs[spec.ANOMALY_SCORE] for video, outputs in scored})
    return scored


def as_evaluated(video, scores):
    """A `VideoInfo` and its scores, `(num_frames,)`, as `evaluate_videos` and `write_report` take them."""
    return {
        "video_id": video.video_id,
        "label": video.label,
        "class_name": video.class_name,
        "fps": video.fps,
        "frame_labels": video.frame_label_array(),
        "scores": scores,
    }


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
            "labels.csv, or run `vad repeat --folds 5`."
        )
    detector = load_detector(config)
    segments = config.train_detector.bag_frames if config.train_detector.sampling == "segment_mean" else 0
    bags = whole_bags(nodes, videos, batch_size=1, segments=segments)
    for inputs, _, origin in track(bags, "Scoring videos", total=len(videos)):
        video = manifest.by_id[origin["video_id"].numpy()[0].decode()]
        indices = origin["frame_indices"].numpy()[0]
        outputs = detector.predict_on_batch({key: value.numpy() for key, value in inputs.items()})
        outputs = {key: value[0] for key, value in outputs.items() if key in KEPT}
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
    detector = keras.models.load_model(path, compile=False)
    detector.jit_compile = keras.backend.backend() == "jax"  # elsewhere each length of a video would compile anew
    return detector


def _draw(config, folder, scored, threshold):
    """Timelines, and heat maps where the model has a CRF and the clips are still there; says it where not."""
    draw_timelines(folder, scored, threshold, "Test videos")
    if not all(spec.MARGINALS in outputs for _, outputs in scored):
        return ""
    if config.features.root or not (config.work_path / "clips" / MANIFEST_NAME).exists():
        return "; no heat maps, for want of clips to lay them over"
    clips = Clips(config.work_path / "clips", config.data.clip_frames, config.data.image_size_px)
    draw_heat_maps(folder / "heat_maps.png", scored, clips.read_frame, config.extractor.scales)
    return ""


def _split_fingerprint(manifest):
    """Of what was trained and tested on: two runs with another one cannot be compared."""
    facts = sorted([video.video_id, video.subset, video.label] for video in manifest.videos if video.label is not None)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
