"""Stage 4: bags of nodes -> ``detector.keras``, by contrastive multi-instance learning (Sec 3.4, 4.2)."""

import dataclasses
import difflib
import functools
import inspect
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.config.values import parse_override
from pipelines.data.bags import (
    check_batch,
    check_training,
    node_shape,
    normal_priors,
    steps_per_epoch,
    training_bags,
    untuned,
    whole_bags,
)
from pipelines.data.listing.manifest import read_manifest
from pipelines.data.splits import split_videos
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.folder import RunFolder
from pipelines.training.board import LearnedState, checked_profile_steps, training_callbacks
from pipelines.training.callbacks import use_xla, validation_warning
from pipelines.training.checkpoints import HISTORY_NAME, best_epoch, first_epoch, read_history
from pipelines.training.images import score_images
from pipelines.training.input_wait import with_wait
from pipelines.training.memory import fill_memory
from pipelines.training.optimizer import build_optimizer
from pipelines.training.state import TrainingState, training_fingerprint, training_videos
from vad_keras import spec
from vad_keras.metrics import frame_auc
from vad_keras.models import AnomalyDetector
from vad_keras.models.baselines import BASELINES, Baseline

STAGE = "train_detector"
VALIDATION_BATCH = 4
IMAGES_PER_TRAINING = 10


def run(config) -> Path:
    """Train the detector on the training videos of ``nodes/`` and write ``detector.keras``.

    The validation videos are drawn from the training videos and select the epoch. Test videos are not read. A stopped
    training resumes after its last whole epoch. A finished training with the same settings and nodes is kept.

    Args:
        config: ``Config`` of the run.

    Returns:
        Path of ``detector.keras``.

    Raises:
        UserError: The nodes or one of the two labels are missing.
    """
    start = time.monotonic()
    state, videos = _state(config)
    if state.is_finished:
        state.remove_backup()
        write_summary(config, STAGE, "already trained with these nodes and settings", output=state.output)
        return state.output
    training, validation = split_videos(videos, config.train_detector.validation_fraction, config.seed)
    options = config.train_detector
    check_training(RunFolder.of(config).nodes, training, options.batch_size, options.sampling)
    keras.utils.set_random_seed(config.seed)
    detector = build_detector(config)
    state.discard_other()  # after all checks: a wrong setting costs no finished training
    _fit(config, detector, training, validation, state)
    state.save(detector)
    done = _describe(options, training, validation, state.history)
    write_summary(config, STAGE, done, output=state.output, seconds=time.monotonic() - start)
    return state.output


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the detector is trained.

    Raises:
        UserError: The nodes are missing.
    """
    state, videos = _state(config)
    return state.plan(config.train_detector.epochs, videos)


def _state(config):
    """Return the ``TrainingState`` of the run and its training videos."""
    run_folder = RunFolder.of(config)
    manifest = read_manifest(run_folder.nodes)
    videos, sections = training_videos(manifest), (config.detector, config.train_detector)
    settings = training_fingerprint(config.seed, sections, manifest.fingerprint, videos)
    return TrainingState(run_folder, STAGE, run_folder.detector, settings), videos


def check_settings(config):
    """Build the model and check what the batches need, before the nodes exist.

    Raises:
        UserError: Settings contradict each other.
    """
    check_batch(config.train_detector.batch_size)
    checked_profile_steps(config)
    build_detector(config)


def build_detector(config):
    """Return the configured model, compiled."""
    options = config.train_detector
    if options.model in BASELINES:
        model = _build_baseline(options.model, options.model_options, options.late_prior)
    else:
        if options.late_prior:
            raise UserError("`train_detector.late_prior` is for baselines only.")
        if options.model_options:
            raise UserError(
                "`train_detector.model_options` is for baselines only; the anomaly detector has the sections "
                f"[detector] and [train_detector]. Received: {list(options.model_options)}."
            )
        loss_options = {
            key: getattr(options, key) for key in ("sparsity_weight", "smoothness_weight", "contrast_weight")
        }
        loss_options |= {"contrast_form": options.contrast_form, "margin": options.margin, "k": options.top_k}
        loss_options["normalize_embeddings"] = options.normalize_embeddings
        try:
            model = AnomalyDetector(**dataclasses.asdict(config.detector), loss_options=loss_options)
        except ValueError as error:  # settings that do not go together
            raise UserError(f"detector: {error}") from None
    model.compile(build_optimizer(options), jit_compile=use_xla())
    return model


def _build_baseline(name, options, late_prior):
    """Return a baseline with its published settings, changed by the options ``"key=value"``."""
    arguments = {"late_prior": late_prior} | dict(parse_override(option, {}) for option in options)
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


def _fit(config, detector, training, validation, state):
    options = config.train_detector
    monitor = options.monitor if validation else None
    callbacks = training_callbacks(config, state, "Training detector", monitor, options.patience_epochs)
    every = max(1, options.epochs // IMAGES_PER_TRAINING)
    images = validation and config.evaluate.images
    read_batches = (lambda: whole_batches(config, detector, validation)) if images else None
    callbacks.append(LearnedState(state.logs / "learned", read_batches, every))
    if images:
        callbacks.append(score_images(config, training, validation, state.logs, every))
    fit_detector(config, detector, training, validation, callbacks)


def fit_detector(config, detector, training, validation, callbacks):
    """Train a detector of ``build_detector`` on some videos of ``nodes/``.

    Args:
        config: ``Config`` of the run.
        detector: The model, not built yet.
        training: Training videos of both labels.
        validation: Validation videos; empty: none.
        callbacks: Keras callbacks.
    """
    options, nodes = config.train_detector, RunFolder.of(config).nodes
    detector.build({spec.NODES: (None, None, *node_shape(nodes))})
    prior = detector.uses_prior
    if prior:
        detector.adapt_prior(normal_priors(nodes, training))
    elif detector.memory is not None:
        prior = fill_memory(detector, nodes, training, validation, config.seed)
    num_steps = options.steps_per_epoch or steps_per_epoch(training, options.batch_size)
    start = first_epoch(callbacks, detector, options.epochs)
    detector.fit(
        with_wait(callbacks, _training_bags(config, training, prior, skip=start * num_steps)),
        epochs=options.epochs,
        initial_epoch=start,
        steps_per_epoch=num_steps,
        validation_data=_in_memory(whole_batches(config, detector, validation, prior)) if validation else None,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def _training_bags(config, videos, prior=False, skip=0):
    options = config.train_detector
    how = options.batch_size, options.bag_frames, options.sampling, config.seed, options.cache_nodes
    return training_bags(RunFolder.of(config).nodes, videos, *how, prior, skip=skip)


def steps_trained(config):
    """Return the number of steps of the weights in ``detector.keras``: up to the best epoch, or all."""
    run_folder, options = RunFolder.of(config), config.train_detector
    videos = training_videos(read_manifest(run_folder.nodes))
    training, validation = split_videos(videos, options.validation_fraction, config.seed)
    epochs = options.epochs
    if validation:
        epochs = best_epoch(read_history(run_folder.state_of(STAGE) / HISTORY_NAME), options.monitor)[0] + 1
    return epochs * (options.steps_per_epoch or steps_per_epoch(training, options.batch_size))


def bag_auc(detector, bags):
    """Return the exact AUC of videos, each with the highest of its scores; 0 if a score is not a number.

    Args:
        detector: The model.
        bags: Batches of ``whole_batches``.
    """
    labels, highest = [], []
    for inputs, of_batch in bags:
        outputs = detector.predict_on_batch({key: value.numpy() for key, value in inputs.items()})
        highest.append(outputs[spec.ANOMALY_SCORE].max(axis=1))  # padding scores 0
        labels.append(of_batch.numpy())
    highest = np.concatenate(highest)
    return float(frame_auc(np.concatenate(labels), highest)) if np.isfinite(highest).all() else 0.0


def training_bag_auc(config, detector):
    """Return the AUC of the training videos, cut as in training: segments with ``segment_mean``, else whole videos."""
    options, nodes = config.train_detector, RunFolder.of(config).nodes
    segments = options.bag_frames if options.sampling == "segment_mean" else 0
    bags = whole_bags(nodes, training_videos(read_manifest(nodes)), 1, segments, detector.uses_prior)
    return bag_auc(detector, ((inputs, labels) for inputs, labels, _ in bags))


def _describe(options, training, validation, history):
    """In words. A training AUC near 0.5 shows that this epoch came before the training videos were learned."""
    text = f"{counted(len(training), 'video')}, {len(validation)} for validation"
    if not validation:
        return f"{text}, all {options.epochs} epochs"
    epoch, value = best_epoch(history, options.monitor)
    best, auc = history[epoch], history[epoch]["val_bag_auc"]
    text += f", best epoch {epoch + 1} of {len(history)} by {options.monitor} {value:.3f} (AUC of training videos "
    return f"{text}{best['bag_auc']:.3f}, of validation videos {auc:.3f}){validation_warning(validation, auc)}"


def validation_batches(videos, batch_size):
    """Group videos so that each batch holds both labels, for losses between videos, and few padded frames.

    Returns:
        List of lists of about ``batch_size`` videos; fewer and larger ones when a label is rare.
    """
    by_length = sorted(videos, key=lambda video: video.num_sampled)
    by_label = [[video for video in by_length if video.label == label] for label in (spec.NORMAL, spec.ABNORMAL)]
    count = max(1, min(-(-len(videos) // batch_size), *map(len, by_label)))
    parts = [np.array_split(np.arange(len(group)), count) for group in by_label]
    return [
        [group[i] for group, part in zip(by_label, parts, strict=True) for i in part[number]] for number in range(count)
    ]


def whole_batches(config, detector, videos, prior=None):
    """Yield batches of whole videos, ``(inputs, labels)``.

    A model that scores segments gets segments, so that each counts once in its loss, unless a prior has every frame.

    Args:
        config: ``Config`` of the run.
        detector: The model.
        videos: Videos of both labels.
        prior: As for ``whole_bags``; None: what the model takes.
    """
    nodes, prior = RunFolder.of(config).nodes, detector.uses_prior if prior is None else prior
    segments = 0 if detector.uses_prior else getattr(detector, "segments", 0)
    for batch in validation_batches(videos, VALIDATION_BATCH):
        inputs, labels, _ = next(iter(whole_bags(nodes, batch, len(batch), segments, prior)))
        yield inputs, labels


def _in_memory(batches):
    """Batches as a dataset that keeps them in memory."""
    datasets = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    return untuned(functools.reduce(lambda first, second: first.concatenate(second), datasets))
