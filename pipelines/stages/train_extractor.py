"""Stage 2: clips -> `extractor.keras`: backbone, gate and temporal relations under the videos' labels (Sec 3.2)."""

import dataclasses
import hashlib
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.clips import Clips
from pipelines.data.map_cache import MapCache
from pipelines.data.splits import split_videos
from pipelines.report.terminal.progress import track
from pipelines.report.terminal.summary import write_summary
from pipelines.training.callbacks import best_epoch, clear_other_state, read_history, training_callbacks, use_xla
from vad_keras.models import RelationAwareExtractor
from vad_keras.spec import ABNORMAL, NORMAL

STAGE = "train_extractor"


def run(config) -> Path:
    """Train the extractor on the training videos of `clips/` and write `extractor.keras`.

    A training that was killed goes on after its last whole epoch; a finished one with the same settings is kept.

    Args:
        config: The run's `Config`.

    Raises:
        UserError: The clips are missing, one of the two labels is, or the backbone's weights cannot be loaded.
    """
    start = time.monotonic()
    output = config.work_path / "extractor.keras"
    manifest = open_clips(config).manifest
    videos = [video for video in manifest.videos if video.subset != "test" and video.label is not None]
    settings = _fingerprint(config, manifest.fingerprint, videos)
    marker = _state(config.work_path) / "finished"
    if output.exists() and marker.exists() and marker.read_text() == settings:
        write_summary(config, STAGE, "already trained with these clips and settings", output=output)
        return output
    extractor = fit_extractor(config, videos, config.work_path)
    temporary = output.with_name(".extractor.tmp.keras")
    extractor.save(temporary)
    os.replace(temporary, output)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(settings)
    done = _describe(config, videos, read_history(marker.parent / "history.jsonl"))
    write_summary(config, STAGE, done, output=output, seconds=time.monotonic() - start)
    return output


def fit_extractor(config, train_videos, work_dir):
    """Train an extractor on some of the videos of `clips/`.

    With `extractor.train_backbone = false` the maps of all clips are computed once into `maps/` of the run and shared
    by every later training, whatever its videos, its seed or its settings of gate and relations.

    Args:
        config: The run's `Config`; its `work_dir` holds the clips and the maps.
        train_videos: `VideoInfo`s with known labels; the validation part is drawn from them.
        work_dir: Where the logs and the state to resume from go; another one for each fold.

    Returns:
        The `RelationAwareExtractor` of the best validation loss, not compiled.
    """
    work_dir, options = Path(work_dir), config.train_extractor
    keras.utils.set_random_seed(config.seed)
    training, validation = split_videos(train_videos, options.validation_fraction, config.seed)
    _check_labels(training)
    clips, extractor = open_clips(config), build_extractor(config)
    source = clips if config.extractor.train_backbone else _filled_maps(config, clips, extractor)
    clear_other_state(work_dir, STAGE, _fingerprint(config, clips.manifest.fingerprint, train_videos))
    if options.epochs:  # 0: the backbone as it is
        _fit(config, extractor, clips, source, training, validation, work_dir)
    trained = RelationAwareExtractor.from_config(extractor.get_config())
    trained.set_weights(extractor.get_weights())
    return trained


def open_clips(config):
    """The prepared snippets of a run."""
    return Clips(config.work_path / "clips", config.data.clip_frames, config.data.image_size_px)


def open_maps(config, clips, extractor):
    """The cache of the feature maps of a run, which may not be filled yet."""
    return MapCache(config.work_path / "maps", clips, extractor)


def _filled_maps(config, clips, extractor):
    def show(snippets, total):
        return track(snippets, "Computing feature maps", total, "snippets")

    return open_maps(config, clips, extractor).fill(extractor, show)


def build_extractor(config):
    """The configured `RelationAwareExtractor`, with the backbone's weights.

    Raises:
        UserError: The weights cannot be loaded, or a setting does not fit the model.
    """
    options = dataclasses.asdict(config.extractor)
    if options["weights"] == "none":
        options["weights"] = None
    data = config.data
    try:
        return RelationAwareExtractor(
            **options, image_size=data.image_size_px, clip_frames=data.clip_frames, seed=config.seed
        )
    except (ValueError, OSError) as error:
        raise UserError(f"extractor: {error}") from error
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if "URL fetch failure" not in str(error):
            raise
        raise UserError(
            f"extractor.weights = {config.extractor.weights!r} cannot be downloaded ({error}). "
            "Give the path of a weights file, or none."
        ) from error


def _fit(config, extractor, clips, source, training, validation, work_dir):
    options = config.train_extractor
    callbacks = training_callbacks(
        dataclasses.replace(config, work_dir=str(work_dir)),
        STAGE,
        "Training extractor",
        "val_loss" if validation else None,
        options.patience_epochs,
    )
    callbacks.insert(0, keras.callbacks.LearningRateScheduler(_warm_up(options)))
    optimizer = keras.optimizers.SGD(
        options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay or None,
        clipnorm=options.clip_norm or None,
    )
    extractor.compile(optimizer, metrics=[keras.metrics.AUC(name="auc")], jit_compile=use_xla())
    first_epoch = len(read_history(_state(work_dir) / "history.jsonl"))
    draw, num_steps = training_draw(clips, training, options, config.seed, first_epoch)
    held_out = None
    if validation:
        chosen = even_draw(clips, validation, options.snippets_per_video)
        num_batches = -(-len(chosen) // options.batch_size)
        held_out = snippet_batches(source, lambda: iter(chosen), options.batch_size)
        held_out = held_out.apply(tf.data.experimental.assert_cardinality(num_batches))
    extractor.fit(
        snippet_batches(source, draw, options.batch_size),
        epochs=options.epochs,
        steps_per_epoch=num_steps,
        validation_data=held_out,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )


def snippet_batches(source, draw, batch_size):
    """Batches of `({"frames" or "maps", "mask"}, label)` for `fit`.

    Args:
        source: `Clips` or `MapCache`.
        draw: Function that returns an iterator of `(video, snippet index)`.
        batch_size: Snippets.
    """
    snippets = source.dataset(lambda: ((video.video_id, snippet) for video, snippet in draw()))
    snippets = snippets.map(lambda clip: {key: clip[key] for key in ("frames", "maps", "mask") if key in clip})
    labels = tf.data.Dataset.from_generator(
        lambda: (video.label for video, _ in draw()), output_signature=tf.TensorSpec([], tf.int64)
    )
    batches = tf.data.Dataset.zip(snippets, labels).batch(batch_size)
    return batches.map(_maps_in_float32, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _maps_in_float32(inputs, label):
    return {key: tf.cast(value, tf.float32) if key == "maps" else value for key, value in inputs.items()}, label


def training_draw(clips, videos, options, seed, first_epoch=0):
    """Endless random snippets, as many normal as abnormal ones, each epoch from its own seed.

    Args:
        clips: `Clips`.
        videos: Training videos of both labels.
        options: `TrainExtractorConfig`.
        seed: Of all epochs.
        first_epoch: 0, or the epoch at which a resumed training goes on.

    Returns:
        Function that returns an iterator of `(video, snippet index)`, and the number of batches of an epoch.
    """
    by_label = [[video for video in videos if video.label == label] for label in (NORMAL, ABNORMAL)]
    counts = [sum(min(options.snippets_per_video, clips.num_snippets(v)) for v in group) for group in by_label]
    num_steps = -(-2 * max(counts) // options.batch_size)

    def draw():
        epoch = first_epoch
        while True:
            rng = np.random.default_rng([seed, epoch])
            pairs = zip(*(_draw_label(clips, group, options, rng) for group in by_label), strict=False)
            alternating = (place for pair in pairs for place in pair)
            yield from (place for place, _ in zip(alternating, range(num_steps * options.batch_size), strict=False))
            epoch += 1

    return draw, num_steps


def _draw_label(clips, videos, options, rng):
    """Random snippets of the videos of one label, round after round, each round in a new order."""
    while True:
        places = []
        for video in videos:
            count = clips.num_snippets(video)
            chosen = rng.choice(count, min(options.snippets_per_video, count), replace=False)
            places += [(video, int(snippet)) for snippet in chosen]
        for position in rng.permutation(len(places)):
            yield places[position]


def even_draw(clips, videos, snippets_per_video):
    """At most so many snippets of each video, evenly spaced: a list of `(video, snippet index)`."""
    chosen = []
    for video in videos:
        count = clips.num_snippets(video)
        used = min(snippets_per_video, count)
        chosen += [(video, (2 * i + 1) * count // (2 * used)) for i in range(used)]
    return chosen


def _warm_up(options):
    """Linear warm-up to the base rate over the first epochs, as in Sec 4.2."""

    def rate(epoch, _=None):
        return options.learning_rate * min(1.0, (epoch + 1) / max(1, options.warmup_epochs))

    return rate


def _check_labels(videos):
    missing = {NORMAL: "normal", ABNORMAL: "abnormal"}
    for video in videos:
        missing.pop(video.label, None)
    if missing:
        raise UserError(
            f"no {' and no '.join(missing.values())} video is left to train on ({len(videos)} training videos). "
            "Add some, or lower train_extractor.validation_fraction."
        )


def _state(work_dir):
    return Path(work_dir) / "state" / STAGE


def _fingerprint(config, clips_fingerprint, videos):
    facts = [config.seed, dataclasses.asdict(config.extractor), dataclasses.asdict(config.train_extractor)]
    facts += [clips_fingerprint, [(video.video_id, video.label) for video in videos]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _describe(config, videos, history):
    training, validation = split_videos(videos, config.train_extractor.validation_fraction, config.seed)
    text = f"{len(training)} videos, {len(validation)} for validation"
    if not history or not validation:
        return f"{text}, {config.train_extractor.epochs} epochs"
    epoch, loss = best_epoch(history, "val_loss")
    return f"{text}, best epoch {epoch + 1} of {len(history)} (validation loss {loss:.3f})"
