"""Stage 5: measure the detector on the test videos and write the report."""

import time
from pathlib import Path

import keras
import numpy as np

from pipelines.config import UserError, config_to_dict
from pipelines.data.bags import whole_bags
from pipelines.data.clips import open_clips
from pipelines.data.listing.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.listing.masks import MASKS_NAME, PixelMasks
from pipelines.data.snippets import expand_to_frames
from pipelines.report.evaluation.figures import plot_test_timelines, plot_top_heat_maps
from pipelines.report.evaluation.location import with_patch_scores, write_patch_scores
from pipelines.report.evaluation.report import write_report
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.failures import reason_of
from pipelines.run.files import fingerprint, replacing
from pipelines.run.folder import RunFolder
from pipelines.run.provenance import provenance
from pipelines.training.state import load_trained
from pipelines.training.trials import write_trials
from vad_keras import spec

KEPT = (spec.ANOMALY_SCORE, spec.PATCH_SCORE, spec.MARGINALS, spec.UNARY_PROBABILITY)


def run(config) -> Path:
    """Score the test videos of ``nodes/`` with ``detector.keras``, write ``evaluation/`` and return ``metrics.json``.

    Every metric is computed on all original frames. No metric of this stage influences a choice.

    Args:
        config: ``Config`` of the run.

    Returns:
        Path of ``metrics.json``. Beside it are ``report.md``, ``report.html``, ``videos.csv``, ``scores.npz``
        and, with ``evaluate.images``, figures.

    Raises:
        UserError: There is no detector or no labelled test video.
    """
    start, origin = time.monotonic(), provenance()  # of the running code, whatever is committed meanwhile
    run_folder, options, model = RunFolder.of(config), config.evaluate, config.train_detector.model
    skipped = []
    scored = write_scores(config, skipped)
    videos = [as_evaluated(video, outputs[spec.ANOMALY_SCORE]) for video, outputs in scored]
    videos = with_patch_scores(videos, run_folder.evaluation_patch_scores)
    origin |= {"data": config.data.root, "split": "own", "seed": config.seed, "config": config_to_dict(config)}
    origin["split_fingerprint"] = _split_fingerprint(read_manifest(run_folder.nodes))
    figures, note = _plot(config, run_folder.evaluation, scored, skipped) if options.images else ([], "")
    content = write_report(
        run_folder.evaluation,
        {model: [videos]},
        f"{config.data_name}, own split",
        origin,
        threshold=config.alarms.threshold,
        smoothing_sec=options.smoothing_sec,
        images=options.images,
        more_figures=figures,
    )
    means = {name: entry["mean"] for name, entry in content["systems"][model]["metrics"].items()}
    write_trials(run_folder.logs_of("hparams"), {"run": (config, means)})
    done = f"{counted(len(videos), 'test video')}, {_main_metrics(means)}{note}"
    seconds = time.monotonic() - start
    write_summary(config, "evaluate", done, skipped, output=run_folder.evaluation, seconds=seconds)
    return run_folder.evaluation_metrics


def plan(config):
    """Return what ``run`` would do, in words. It is fast, and never kept.

    Raises:
        UserError: The nodes or the detector are missing.
    """
    run_folder = RunFolder.of(config)
    run_folder.need_trained(run_folder.detector)
    number = sum(video.subset == "test" for video in read_manifest(run_folder.nodes).videos)
    return f"score {counted(number, 'test video')} and write {run_folder.evaluation}"


def _main_metrics(means):
    """Return the main metrics in words: of the frames, or of the videos when frame labels are missing."""
    if np.isnan(means["frame_auc"]):
        return f"no frame AUC (frame labels of both kinds are needed), video AUC {means['video_auc']:.3f}"
    return f"frame AUC {means['frame_auc']:.3f}, inside abnormal videos {means['frame_auc_abnormal_videos']:.3f}"


def write_scores(config, skipped=None):
    """Score the test videos and write ``evaluation/scores.npz``, ``{video_id: (num_frames,)}``.

    ``patch_scores.npz`` beside it holds the patch scores of the videos with pixel masks, see ``write_patch_scores``.

    Args:
        config: ``Config`` of the run.
        skipped: As for ``score_videos``.

    Returns:
        List of ``(VideoInfo, outputs)``, see ``score_videos``.

    Raises:
        UserError: No video can be scored.
    """
    scored = list(score_videos(config, skipped=skipped))
    if not scored:
        raise UserError(f"none of the {len(skipped)} test videos can be scored. The first: {': '.join(skipped[0])}.")
    run_folder = RunFolder.of(config)
    with_place = [] if config.features.root else scored  # imported features have no known place in the picture
    masks = _masks(config, read_manifest(run_folder.nodes), skipped) if with_place else None
    write_patch_scores(run_folder.evaluation_patch_scores, with_place, masks, config.extractor.scales)
    with replacing(run_folder.evaluation_scores) as temporary:
        np.savez(temporary, **{video.video_id: outputs[spec.ANOMALY_SCORE] for video, outputs in scored})
    return scored


def _masks(config, manifest, skipped):
    """Return a function of a ``VideoInfo`` that gives its pixel mask, or None; a wrong mask goes to ``skipped``."""
    try:
        masks = PixelMasks(config.data, manifest.videos)
    except UserError as error:
        if skipped is None:
            raise
        skipped.append((MASKS_NAME, str(error)))
        return lambda video: None

    def mask_of(video):
        try:
            return masks.of(video)
        except UserError as error:
            if skipped is None:
                raise
            skipped.append((video.video_id, f"its place is not measured: {error}"))
            return None

    return mask_of


def as_evaluated(video, scores):
    """Return a ``VideoInfo`` and its scores ``(num_frames,)`` as ``evaluate_videos`` and ``write_report`` take them."""
    return {
        "video_id": video.video_id,
        "label": video.label,
        "class_name": video.class_name,
        "fps": video.fps,
        "frame_labels": video.frame_label_array(),
        "scores": scores,
    }


def score_videos(config, subset="test", skipped=None):
    """Score each original frame of each labelled video of a subset.

    Args:
        config: ``Config`` of the run.
        subset: ``"train"`` or ``"test"``.
        skipped: List that takes ``(video_id, reason)`` of a video that fails; None raises its error, for systems that
            must be compared on the same videos.

    Yields:
        ``(VideoInfo, dict)``. The dict holds ``anomaly_score`` ``(num_frames,)`` and, if the model returns them,
        ``patch_score`` and ``unary_probability`` ``(num_frames, G)`` and ``marginals`` ``(num_frames, G, 2)``.

    Raises:
        UserError: There is no detector or no labelled video.
    """
    nodes = RunFolder.of(config).nodes
    manifest = read_manifest(nodes)
    videos = [video for video in manifest.videos if video.subset == subset and video.label is not None]
    if not videos:
        raise UserError(
            f"no labelled video of subset `{subset}` is in {nodes}. Set the column `subset` of labels.csv to `test` "
            "for some videos, or run `vad repeat --folds 5`."
        )
    detector = load_detector(config)
    bags = whole_bags(nodes, videos, batch_size=1, prior=detector.uses_prior)
    for inputs, _, origin in track(bags, "Scoring videos", total=len(videos)):
        video = manifest.by_id[origin["video_id"].numpy()[0].decode()]
        indices = origin["frame_indices"].numpy()[0]
        try:
            outputs = detector.predict_on_batch({key: value.numpy() for key, value in inputs.items()})
            outputs = {key: value[0] for key, value in outputs.items() if key in KEPT}
            outputs = {key: expand_to_frames(value, indices, video.num_frames) for key, value in outputs.items()}
        except Exception as error:
            if skipped is None:
                raise
            skipped.append((video.video_id, reason_of(error)))
        else:
            yield video, outputs


def load_detector(config):
    """Load the trained detector of a run."""
    run_folder = RunFolder.of(config)
    detector = load_trained(run_folder, run_folder.detector)
    detector.jit_compile = keras.backend.backend() == "jax"  # elsewhere each new video length would recompile
    return detector


def _plot(config, folder, scored, skipped):
    """Plot timelines and, if the model has a CRF, heat maps; return the figures and a note if the clips are missing.

    ``skipped`` takes ``(video_id, reason)`` of a video whose picture cannot be read; its heat map lies on grey.
    """
    figures = plot_test_timelines(folder, scored, config.alarms.threshold, "Test videos")
    if not all(spec.MARGINALS in outputs for _, outputs in scored):
        return figures, ""
    if config.features.root or not (RunFolder.of(config).clips / MANIFEST_NAME).exists():
        return figures, "; no heat maps, because the prepared clips are missing"
    clips, unread = open_clips(config), {}

    def read_frame(video, frame):
        try:
            return clips.read_frame(video, frame)
        except Exception as error:
            unread[video.video_id] = f"no picture of it can be read: {reason_of(error)}"
            return np.full((clips.image_size_px, clips.image_size_px, 3), 128, np.uint8)

    path, scales = folder / "heat_maps.png", config.extractor.scales
    plot_top_heat_maps(path, scored, read_frame, scales, config.detector.score_from)
    skipped += unread.items()
    return [*figures, (path.name, "Patch scores, and those before and after the CRF")], ""


def _split_fingerprint(manifest):
    """Fingerprint of the training and test videos. Only runs with the same one can be compared."""
    facts = sorted([video.video_id, video.subset, video.label] for video in manifest.videos if video.label is not None)
    return fingerprint(facts)
