"""Stage 2: clips -> ``extractor.keras``: backbone, gate and temporal relations, trained on video labels (Sec 3.2)."""

import dataclasses
import time
from pathlib import Path

import keras
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.clips import open_clips
from pipelines.data.map_cache import MapCache
from pipelines.data.splits import split_videos
from pipelines.data.window_maps import past_only
from pipelines.report.terminal.progress import print_line, track
from pipelines.report.terminal.summary import counted, write_summary
from pipelines.run.disk import check_space
from pipelines.run.folder import RunFolder
from pipelines.training.board import checked_profile_steps, training_callbacks
from pipelines.training.callbacks import use_xla, validation_warning, warm_up
from pipelines.training.checkpoints import best_epoch, first_epoch
from pipelines.training.input_wait import with_wait
from pipelines.training.snippets import even_snippets, random_snippets, snippet_batches
from pipelines.training.state import TrainingState, training_fingerprint, training_videos
from vad_keras.models import RelationAwareExtractor
from vad_keras.models.video_networks import VIDEO_BACKBONES
from vad_keras.spec import ABNORMAL, NORMAL

STAGE = "train_extractor"


def run(config) -> Path:
    """Train the extractor on the training videos of ``clips/`` and write ``extractor.keras``.

    A stopped training resumes after its last whole epoch. A finished training with the same settings is kept.

    Args:
        config: ``Config`` of the run.

    Raises:
        UserError: The clips or one of the two labels are missing, or the weights of the backbone cannot be loaded.
    """
    start, clips = time.monotonic(), open_clips(config)
    videos = training_videos(clips.manifest)
    state = _state(config, clips.manifest, videos)
    if state.is_finished:
        state.remove_backup()
        write_summary(config, STAGE, "already trained with these clips and settings", output=state.output)
        return state.output
    state.save(fit_extractor(config, clips, videos, state))
    done = _describe(config, videos, state.history)
    write_summary(config, STAGE, done, output=state.output, seconds=time.monotonic() - start)
    return state.output


def plan(config):
    """Return what ``run`` would do, in words; ``""`` if the extractor is trained.

    Raises:
        UserError: The clips are missing.
    """
    manifest = open_clips(config).manifest
    videos = training_videos(manifest)
    return _state(config, manifest, videos).plan(config.train_extractor.epochs, videos)


def _state(config, manifest, videos):
    run_folder, sections = RunFolder.of(config), (config.extractor, config.train_extractor)
    records = manifest.fingerprint + (":past" if has_video_network(config) and past_only(config) else "")
    settings = training_fingerprint(config.seed, sections, records, videos)
    return TrainingState(run_folder, STAGE, run_folder.extractor, settings)


def fit_extractor(config, clips, videos, state):
    """Train an extractor.

    With ``extractor.train_backbone = false`` the feature maps of all clips are computed once into ``maps/`` of the run.
    All later trainings read them, with any videos, seed and settings of gate and relations.

    Args:
        config: ``Config`` of the run.
        clips: ``Clips`` of the run.
        videos: ``VideoInfo``s with known labels. The validation videos are drawn from them.
        state: ``TrainingState`` of this stage.

    Returns:
        ``RelationAwareExtractor`` with the weights of the lowest validation loss, not compiled.
    """
    keras.utils.set_random_seed(config.seed)
    training, validation = split_videos(videos, config.train_extractor.validation_fraction, config.seed)
    _check_labels(training)
    extractor = build_extractor(config)
    state.discard_other()  # after all checks: a wrong setting costs no finished training
    with clips.naming_damage():
        source = clips if config.extractor.train_backbone else _filled_maps(config, clips, extractor)
        if config.train_extractor.epochs:  # 0: the backbone as it is
            _fit(config, extractor, clips, source, training, validation, state)
    trained = RelationAwareExtractor.from_config(extractor.get_config())
    trained.set_weights(extractor.get_weights())
    return trained


def open_maps(config, clips, extractor):
    """Open the cache of the feature maps of a run, which may not be filled yet."""
    return MapCache(RunFolder.of(config).maps, clips, extractor, past_only(config))


def _filled_maps(config, clips, extractor):
    def show(snippets, total):
        return track(snippets, "Computing feature maps", total, "snippets")

    maps = open_maps(config, clips, extractor)
    if maps.missing_bytes:
        remedy = "lower `data.frames_per_sec` or `data.image_size_px`."
        print_line(check_space(RunFolder.of(config).maps, maps.missing_bytes, "maps/", remedy))
    return maps.fill(extractor, show)


def check_settings(config):
    """Build the model with the weights of its backbone, before the clips exist.

    Raises:
        UserError: The weights cannot be loaded, or settings contradict each other.
    """
    checked_profile_steps(config)
    build_extractor(config)


def build_extractor(config):
    """Return the configured ``RelationAwareExtractor`` with the weights of its backbone.

    Raises:
        UserError: The weights cannot be loaded, or a setting does not fit the model.
    """
    options = dataclasses.asdict(config.extractor)
    for key in ("weights", "video_backbone", "video_weights", "backbone_layer"):
        options[key] = None if options[key] == "none" else options[key]
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
            "Set it to the path of a weights file, or to none."
        ) from error


def has_video_network(config):
    """Whether a video network computes maps, alone or beside an image backbone."""
    return not {config.extractor.backbone, config.extractor.video_backbone}.isdisjoint(VIDEO_BACKBONES)


def _fit(config, extractor, clips, source, training, validation, state):
    options = config.train_extractor
    monitor = "val_loss" if validation else None
    optimizer = keras.optimizers.SGD(
        options.learning_rate,
        momentum=options.momentum,
        weight_decay=options.weight_decay or None,
        clipnorm=options.clip_norm or None,
    )
    extractor.compile(optimizer, metrics=[keras.metrics.AUC(name="auc")], jit_compile=use_xla())
    callbacks = training_callbacks(config, state, "Training extractor", monitor, options.patience_epochs)
    start = first_epoch(callbacks, extractor, options.epochs)
    snippets, num_steps = random_snippets(clips, training, options, config.seed, first_epoch=start)
    extractor.fit(
        with_wait(callbacks, snippet_batches(source, snippets, options.batch_size)),
        epochs=options.epochs,
        initial_epoch=start,
        steps_per_epoch=num_steps,
        validation_data=_validation_batches(clips, source, validation, options),
        callbacks=[warm_up(options.learning_rate, options.warmup_epochs), *callbacks],
        shuffle=False,
        verbose=0,
    )


def _validation_batches(clips, source, videos, options):
    """Batches of the validation videos, whose number ``fit`` knows; None without such videos."""
    if not videos:
        return None
    chosen = even_snippets(clips, videos, options.snippets_per_video)
    batches = snippet_batches(source, lambda: iter(chosen), options.batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(-(-len(chosen) // options.batch_size)))


def _check_labels(videos):
    missing = {NORMAL: "normal", ABNORMAL: "abnormal"}
    for video in videos:
        missing.pop(video.label, None)
    if missing:
        raise UserError(
            f"no {' and no '.join(missing.values())} video is left to train on ({len(videos)} training videos). "
            "Add some, or lower train_extractor.validation_fraction."
        )


def _describe(config, videos, history):
    training, validation = split_videos(videos, config.train_extractor.validation_fraction, config.seed)
    text = f"{counted(len(training), 'video')}, {len(validation)} for validation"
    if not history or not validation:
        return f"{text}, {config.train_extractor.epochs} epochs"
    epoch, loss = best_epoch(history, "val_loss")
    text += f", best epoch {epoch + 1} of {len(history)} (validation loss {loss:.3f})"
    return text + validation_warning(validation)
