"""Stage 4: bags of nodes -> `detector.keras`, by contrastive multi-instance learning (Sec 3.4, 4.2)."""

import dataclasses
import difflib
import functools
import hashlib
import inspect
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.config.values import parse_override
from pipelines.data.bags import node_shape, steps_per_epoch, training_bags, untuned, whole_bags
from pipelines.data.clips import Clips
from pipelines.data.listing.manifest import MANIFEST_NAME, read_manifest
from pipelines.data.splits import split_videos
from pipelines.report.terminal.summary import write_summary
from pipelines.training.callbacks import best_epoch, clear_other_state, read_history, training_callbacks, use_xla
from pipelines.training.images import ReportImages
from vad_keras import spec
from vad_keras.models import AnomalyDetector
from vad_keras.models.baselines import BASELINES
from vad_keras.models.baselines.baseline import Baseline

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
    done = _describe(config.train_detector, training, validation, history)
    write_summary(config, STAGE, done, output=output, seconds=time.monotonic() - start)
    return output


def build_detector(config):
    """The configured model, compiled."""
    options = config.train_detector
    if options.model in BASELINES:
        model = _build_baseline(options.model, options.model_options)
    else:
        if options.model_options:
            raise UserError(
                "`train_detector.model_options` is for baselines; the anomaly detector has sections of its own, "
                f"[detector] and [train_detector]. Received: {list(options.model_options)}."
            )
        loss_options = {
            key: getattr(options, key) for key in ("sparsity_weight", "smoothness_weight", "contrast_weight")
        }
        loss_options |= {"contrast_form": options.contrast_form, "margin": options.margin, "k": options.top_k}
        loss_options["normalize_embeddings"] = options.normalize_embeddings
        model = AnomalyDetector(**dataclasses.asdict(config.detector), loss_options=loss_options)
    model.compile(build_optimizer(options), jit_compile=use_xla())
    return model


def _build_baseline(name, options):
    """A baseline with its published settings, but for the options `"key=value"`."""
    arguments = dict(parse_override(option, {}) for option in options)
    parameters = inspect.signature(BASELINES[name]).parameters | inspect.signature(Baseline).parameters
    known = [key for key in parameters if key != "kwargs"]
    for key in arguments:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"It takes: {', '.join(known)}."
            raise UserError(f"{name} has no argument `{key}` in `train_detector.model_options`. {hint}")
    try:
        return BASELINES[name](**arguments)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def build_optimizer(options):
    """The configured optimizer. Adagrad starts from empty accumulators, as that of [1] did.

    Keras fills them with 0.1 today: gradients far below that then hardly move anything, and Sultani's network keeps its
    first scores through hundreds of epochs.
    """
    optimizer, settings = {
        "adam": (keras.optimizers.AdamW, {}),
        "adagrad": (keras.optimizers.Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-12}),
        "rmsprop": (keras.optimizers.RMSprop, {}),
        "sgd": (keras.optimizers.SGD, {"momentum": 0.9}),
    }[options.optimizer]
    no_decay = 0.0 if optimizer is keras.optimizers.AdamW else None  # AdamW refuses None
    return optimizer(options.learning_rate, weight_decay=options.weight_decay or no_decay, **settings)


def segments_of(config):
    """Parts a whole video is averaged over for validation and scoring; 0: every frame."""
    return config.train_detector.bag_frames if config.train_detector.sampling == "segment_mean" else 0


def _fit(config, detector, nodes, training, validation):
    options = config.train_detector
    batches = training_bags(
        nodes, training, options.batch_size, options.bag_frames, options.sampling, config.seed, options.cache_nodes
    )
    callbacks = training_callbacks(
        config, STAGE, "Training detector", options.monitor if validation else None, options.patience_epochs
    )
    held_out = None
    if validation:
        held_out = _validation_bags(config, nodes, validation)
        if config.evaluate.images:
            callbacks.append(_report_images(config, nodes, validation))
    detector.build({spec.NODES: (None, None, *node_shape(nodes))})
    detector.fit(
        batches,
        epochs=options.epochs,
        steps_per_epoch=steps_per_epoch(training, options.batch_size),
        validation_data=held_out,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    return read_history(config.work_path / "state" / STAGE / "history.jsonl")


def _describe(options, training, validation, history):
    """In words. A `bag_auc` near 0.5 tells of an epoch before the training videos were learned."""
    text = f"{len(training)} videos, {len(validation)} for validation"
    if not validation:
        return f"{text}, all {options.epochs} epochs"
    epoch, value = best_epoch(history, options.monitor)
    figures = f"{options.monitor} {value:.3f}, bag_auc {history[epoch]['bag_auc']:.3f}"
    return f"{text}, best epoch {epoch + 1} of {len(history)} ({figures})"


def validation_batches(videos, batch_size):
    """Videos dealt out so that each batch holds both labels, for losses between videos, and few padded frames.

    Returns:
        List of lists of about `batch_size` videos; fewer, larger ones where a label is rare.
    """
    by_length = sorted(videos, key=lambda video: video.num_sampled)
    by_label = [[video for video in by_length if video.label == label] for label in (spec.NORMAL, spec.ABNORMAL)]
    count = max(1, min(-(-len(videos) // batch_size), *map(len, by_label)))
    parts = [np.array_split(np.arange(len(group)), count) for group in by_label]
    return [
        [group[i] for group, part in zip(by_label, parts, strict=True) for i in part[number]] for number in range(count)
    ]


def _validation_bags(config, nodes, videos):
    """Whole validation videos, kept in memory."""
    batches = []
    for batch in validation_batches(videos, VALIDATION_BATCH):
        inputs, labels, _ = next(iter(whole_bags(nodes, batch, len(batch), segments_of(config))))
        batches.append(tf.data.Dataset.from_tensors((inputs, labels)))
    return untuned(functools.reduce(lambda first, second: first.concatenate(second), batches))


def _report_images(config, nodes, validation):
    """TensorBoard pictures of a few validation videos, abnormal ones first."""
    pictured = sorted(validation, key=lambda video: -video.label)[:PICTURED_VIDEOS]
    return ReportImages(
        config.work_path / "logs" / STAGE / "images",
        lambda: [_picture_of(config, nodes, video) for video in pictured],
        every_epochs=max(1, config.train_detector.epochs // PICTURES_PER_TRAINING),
        scales=() if config.features.root else config.extractor.scales,
        threshold=config.alarms.threshold,
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
