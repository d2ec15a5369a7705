"""Snippets for the training of the extractor: random ones with balanced labels, evenly spaced ones for validation."""

import numpy as np
import tensorflow as tf

from vad_keras.spec import ABNORMAL, NORMAL


def snippet_batches(source, snippets, batch_size):
    """Return batches of ``({"frames" or "maps", "mask"}, label)`` for ``fit``.

    Args:
        source: ``Clips`` or ``MapCache``.
        snippets: Function that returns an iterator of ``(video, snippet index)``, the same at each call.
        batch_size: Number of snippets per batch.
    """
    inputs = source.dataset(lambda: ((video.video_id, snippet) for video, snippet in snippets()))
    inputs = inputs.map(lambda clip: {key: clip[key] for key in ("frames", "maps", "mask") if key in clip})
    labels = tf.data.Dataset.from_generator(
        lambda: (video.label for video, _ in snippets()), output_signature=tf.TensorSpec([], tf.int64)
    )
    batches = tf.data.Dataset.zip(inputs, labels).batch(batch_size)
    return batches.map(_maps_in_float32, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _maps_in_float32(inputs, label):
    return {key: tf.cast(value, tf.float32) if key == "maps" else value for key, value in inputs.items()}, label


def random_snippets(clips, videos, options, seed, first_epoch=0):
    """Endless random snippets, normal and abnormal ones in turn. Each epoch has its own seed.

    Args:
        clips: ``Clips``.
        videos: Training videos of both labels.
        options: ``TrainExtractorConfig``.
        seed: Seed of all epochs.
        first_epoch: Epoch at which the training resumes; 0 for a new one.

    Returns:
        Function that returns an iterator of ``(video, snippet index)``, and the number of batches per epoch.
    """
    by_label = [[video for video in videos if video.label == label] for label in (NORMAL, ABNORMAL)]
    counts = [sum(min(options.snippets_per_video, clips.num_snippets(v)) for v in group) for group in by_label]
    num_steps = -(-2 * max(counts) // options.batch_size)

    def snippets():
        epoch = first_epoch
        while True:
            rng = np.random.default_rng([seed, epoch])
            pairs = zip(*(_random_of_label(clips, group, options, rng) for group in by_label), strict=False)
            alternating = (snippet for pair in pairs for snippet in pair)
            yield from (snippet for snippet, _ in zip(alternating, range(num_steps * options.batch_size), strict=False))
            epoch += 1

    return snippets, num_steps


def _random_of_label(clips, videos, options, rng):
    """Random snippets of the videos of one label, round after round, each round in a new order."""
    while True:
        snippets = []
        for video in videos:
            count = clips.num_snippets(video)
            chosen = rng.choice(count, min(options.snippets_per_video, count), replace=False)
            snippets += [(video, int(snippet)) for snippet in chosen]
        for position in rng.permutation(len(snippets)):
            yield snippets[position]


def even_snippets(clips, videos, snippets_per_video):
    """Return up to ``snippets_per_video`` evenly spaced snippets per video, a list of ``(video, snippet index)``."""
    chosen = []
    for video in videos:
        count = clips.num_snippets(video)
        used = min(snippets_per_video, count)
        chosen += [(video, (2 * i + 1) * count // (2 * used)) for i in range(used)]
    return chosen
