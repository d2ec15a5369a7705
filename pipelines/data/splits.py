"""Split a list of videos into parts."""

import numpy as np

from vad_keras.spec import ABNORMAL, NORMAL


def split_videos(videos, validation_fraction, seed):
    """Split videos at random into a training and a validation part, stratified by label.

    Args:
        videos: ``VideoInfo`` entries with known labels.
        validation_fraction: Fraction of the videos of each label; above 0, at least one video per label.
        seed: Seed of the random split.

    Returns:
        Two lists. Within a label, each keeps the order of ``videos``.
    """
    training, validation = [], []
    for label in (NORMAL, ABNORMAL):
        chosen = [video for video in videos if video.label == label]
        order = np.random.default_rng([seed, label]).permutation(len(chosen))
        count = max(1, round(validation_fraction * len(chosen))) if validation_fraction else 0
        validation += [chosen[position] for position in sorted(order[:count])]
        training += [chosen[position] for position in sorted(order[count:])]
    return training, validation
