"""Stage 4: bags of nodes -> `detector.keras`, by contrastive multi-instance learning (Sec 3.4, 4.2)."""

import dataclasses
import hashlib
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines.data.bags import node_shape, steps_per_epoch, training_bags, whole_bags
from pipelines.data.clips import Clips
from pipelines.data.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.splits import split_videos
from pipelines.report.summary import write_summary
from pipelines.report.tensorboard import ReportImages
from pipelines.report.training import best_epoch, clear_other_state, read_history, training_callbacks, use_xla
from vad_keras import spec
from vad_keras.models import AnomalyDetector, SultaniRanker

STAGE = "train_detector"
VALIDATION_BATCH = 4
PICTURED_VIDEOS = 2
PICTURES_PER_TRAINING = 10


def run(config) -> Path:
    """Train the detector on the training videos of `nodes/` and write `detector.keras`.

    The validation part is drawn from the training videos and chooses the epoch; test videos are not opened. A training
    that was killed goes on after its last whole epoch; a finished one with the same settings and nodes is kept.

    Args:
        config: The run's `Config`.

    Returns:
        Path of `detector.keras`.

    Raises:
        UserError: when the nodes are missing or one of the two labels is.
    """
    start = time.monotonic()
    nodes, output = config.work_path / "nodes", config.work_path / "detector.keras"
    manifest = read_manifest(nodes)
    videos = [video for video in manifest.videos if video.subset != "test" and video.label is not None]
    settings = _fingerprint(config, manifest.fingerprint, videos)
    state = config.work_path / "state" / STAGE
    if output.exists() and (state / "finished").exists() and (state / "finished").read_text() == settings:
        write_summary(config, STAGE, "already trained with these nodes and settings", output=output)
        return output
    clear_other_state(config.work_path, STAGE, settings)
    training, validation = split_videos(videos, config.train_detector.validation_fraction, config.seed)
    keras.utils.set_random_seed(config.seed)
    detector = build_detector(config)
    history = _fit(config, detector, nodes, training, validation)
    temporary = output.with_name(".detector.tmp.keras")
    detector.save(temporary)
    os.replace(temporary, output)
    (state / "finished").write_text(settings)
    best = best_epoch(history, "val_loss") if validation else (len(history) - 1, float("nan"))
    done = f"{len(training)} videos, {len(validation)} for validation, best epoch {best[0] + 1} of {len(history)}"
    write_summary(config, STAGE, done, output=output, seconds=time.monotonic() - start)
    return output


def build_detector(config):
    """The configured model, compiled."""
    options = config.train_detector
    if options.model == "sultani":
        model = SultaniRanker(sparsity_weight=options.sparsity_weight, smoothness_weight=options.smoothness_weight)
    else:
        loss_options = {
            key: getattr(options, key) for key in ("sparsity_weight", "smoothness_weight", "contrast_weight")
        }
        loss_options |= {"contrast_form": options.contrast_form, "margin": options.margin, "k": options.top_k}
        loss_options["normalize_embeddings"] = options.normalize_embeddings
        model = AnomalyDetector(**dataclasses.asdict(config.detector), loss_options=loss_options)
    model.compile(build_optimizer(options), jit_compile=use_xla())
    return model


def build_optimizer(options):
    """The configured optimizer. Adagrad starts from empty accumulators, as that of [1] did.

    Keras fills them with 0.1 today: gradients far below that then hardly move anything, and Sultani's network keeps its
    first scores through hundreds of epochs.
    """
    if options.optimizer == "adam":
        return keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay or None)
    return keras.optimizers.Adagrad(
        options.learning_rate, initial_accumulator_value=0.0, epsilon=1e-12, weight_decay=options.weight_decay or None
    )


def segments_of(config):
    """Parts a whole video is averaged over for validation and scoring; 0: every frame."""
    return config.train_detector.bag_frames if config.train_detector.sampling == "segment_mean" else 0


def _fit(config, detector, nodes, training, validation):
    options = config.train_detector
    batches = training_bags(
        nodes, training, options.batch_size, options.bag_frames, options.sampling, config.seed, options.cache_nodes
    )
    callbacks = training_callbacks(
        config, STAGE, "Training detector", "val_loss" if validation else None, options.patience_epochs
    )
    held_out = None
    if validation:
        whole = whole_bags(nodes, validation, VALIDATION_BATCH, segments_of(config))
        held_out = whole.map(lambda inputs, label, _: (inputs, label)).cache()
        held_out = held_out.apply(tf.data.experimental.assert_cardinality(-(-len(validation) // VALIDATION_BATCH)))
        callbacks.append(_report_images(config, nodes, validation))
    detector.build({spec.NODES: (None, None, *node_shape(nodes))})
    fitted = detector.fit(
        batches,
        epochs=options.epochs,
        steps_per_epoch=steps_per_epoch(training, options.batch_size),
        validation_data=held_out,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    history = read_history(config.work_path / "state" / STAGE / "history.jsonl")
    return history or [{"epoch": epoch} for epoch in fitted.epoch]


def _report_images(config, nodes, validation):
    """TensorBoard pictures of a few validation videos, abnormal ones first."""
    pictured = sorted(validation, key=lambda video: -video.label)[:PICTURED_VIDEOS]
    return ReportImages(
        config.work_path / "logs" / STAGE / "images",
        lambda: [_picture_of(config, nodes, video) for video in pictured],
        every_epochs=max(1, config.train_detector.epochs // PICTURES_PER_TRAINING),
        scales=() if config.features.root else config.extractor.scales,
        threshold=config.export.threshold,
    )


def _picture_of(config, nodes, video):
    """Nodes, times and, where the clips are still there, frames of one video."""
    inputs, _, origin = next(iter(whole_bags(nodes, [video])))
    picture = {
        "title": video.video_id,
        "nodes": inputs["nodes"].numpy()[0],
        "times_sec": origin["frame_indices"].numpy()[0] / video.fps,
    }
    if not config.features.root and (config.work_path / "clips" / MANIFEST_NAME).exists():
        clips = Clips(config.work_path / "clips", config.data.clip_frames, config.data.image_size_px)
        places = [(video.video_id, snippet) for snippet in range(clips.num_snippets(video))]
        frames = [clip["frames"].numpy() for clip in clips.dataset(lambda: iter(places))]
        picture["frames"] = np.concatenate(frames)[: video.num_sampled]
    return picture


def _fingerprint(config, nodes_fingerprint, videos):
    facts = [config.seed, dataclasses.asdict(config.detector), dataclasses.asdict(config.train_detector)]
    facts += [nodes_fingerprint, [(video.video_id, video.label) for video in videos]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
