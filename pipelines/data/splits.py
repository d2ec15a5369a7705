"""Split a list of videos into parts."""

import numpy as np

from pipelines.config import UserError
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


def training_problem(videos, config):
    """Say why no training is possible with the videos of a list; ``""`` when one is.

    Args:
        videos: ``ListedVideo`` entries.
        config: The run's ``Config``; its validation fractions count.
    """
    training = [video for video in videos if video.subset != "test" and video.label is not None and not video.missing]
    sections = (config.train_detector,) if config.features.root else (config.train_extractor, config.train_detector)
    for options in sections:
        left = split_videos(training, options.validation_fraction, config.seed)[0]
        if len({video.label for video in left}) < 2:
            break
    else:
        return ""
    counts = [sum(video.label == label for video in training) for label in (NORMAL, ABNORMAL)]
    if min(counts):
        remedy = "One of each is held out for validation: add videos, or set `train_extractor.validation_fraction` and "
        remedy += "`train_detector.validation_fraction` to 0."
    else:
        remedy = "Add videos of the other label, or correct the columns `label` and `subset`."
    return (
        f"training needs normal and abnormal videos. Received: {counts[0]} normal and {counts[1]} abnormal training "
        f"videos. {remedy}"
    )


def draw_folds(videos, folds, seed, key="repeat.folds"):
    """Return the test ids of each fold, stratified by class; with ``folds = 0`` those of the dataset's own split.

    The videos of each class are shuffled and assigned to the folds in turn. The next class starts at the fold after the
    last assigned one, so that the sizes of two folds differ by at most one video, as a whole and in each class.

    Args:
        videos: ``VideoInfo`` entries with known labels.
        folds: Number of folds; 0: the own split.
        seed: Seed of the shuffling.
        key: Setting that holds the number, for errors.

    Raises:
        UserError: There is a single fold, there are more folds than videos of a label, or no own test videos.
    """
    if not folds:
        test = {video.video_id for video in videos if video.subset == "test"}
        if not test or len(test) == len(videos):
            raise UserError("the dataset has no split of its own into `train` and `test`. Use `--folds 5`.")
        return [test]
    counts = [sum(video.label == label for video in videos) for label in (0, 1)]
    if folds < 2 or min(counts) < folds:
        otherwise = "0: no search." if key == "search.inner_folds" else "0 takes the dataset's own split."
        raise UserError(
            f"`{key}` must lie in 2..{min(counts)}, the number of videos of the rarer label. Received: {folds}. "
            f"{otherwise}"
        )
    random = np.random.default_rng([seed, folds])
    groups = {}
    for video in sorted(videos, key=lambda video: video.video_id):
        groups.setdefault((video.label, video.class_name), []).append(video.video_id)
    shuffled = [name for group in sorted(groups) for name in random.permutation(groups[group])]
    return [set(shuffled[fold::folds]) for fold in range(folds)]
