"""Parts of a list of videos."""

import numpy as np

from vad_keras.spec import ABNORMAL, NORMAL


def split_videos(videos, validation_fraction, seed):
    """Training and validation part, drawn from each label alike.

    Args:
        videos: `VideoInfo`s with known labels.
        validation_fraction: Share of the videos of each label; at least one of each when it is above 0.
        seed: Of the draw.

    Returns:
        Two lists, each in the order of `videos` within a label.
    """
    training, validation = [], []
    for label in (NORMAL, ABNORMAL):
        chosen = [video for video in videos if video.label == label]
        order = np.random.default_rng([seed, label]).permutation(len(chosen))
        count = max(1, round(validation_fraction * len(chosen))) if validation_fraction else 0
        validation += [chosen[position] for position in sorted(order[:count])]
        training += [chosen[position] for position in sorted(order[count:])]
    return training, validation
