"""The memory of normal nodes of a detector, filled from the records of a run."""

import functools
import itertools

from pipelines.config import UserError
from pipelines.data.bags import read_bags
from pipelines.report.terminal.progress import track
from vad_keras import spec


def fill_memory(detector, folder, training, validation=(), seed=0):
    """Keep nodes of the normal training videos in a detector, and return the prior of all videos.

    The prior of a normal training video is its distance to the others: its own nodes in the memory would make it small.

    Args:
        detector: Built ``AnomalyDetector`` with ``memory_nodes``.
        folder: Folder of ``nodes-*.tfrecord``.
        training: Training videos.
        validation: Validation videos.
        seed: Of the draw.

    Returns:
        ``{video_id: float32 (T, G)}``.

    Raises:
        UserError: There are fewer than two normal training videos.
    """
    normal = [video for video in training if video.label == spec.NORMAL]
    if len(normal) < 2:
        raise UserError(
            f"`detector.memory_nodes` needs at least two normal training videos, and there are {len(normal)}. Add some "
            "to labels.csv, or set it to 0."
        )
    nodes = {_name(bag): bag[spec.NODES].numpy() for bag in read_bags(folder, normal)}
    show = functools.partial(track, description="Comparing normal videos")
    priors = dict(zip(nodes, detector.adapt_memory(list(nodes.values()), seed, show), strict=True))
    others = [video for video in itertools.chain(training, validation) if video.video_id not in priors]
    for bag in track(read_bags(folder, others), "Comparing other videos", total=len(others)):
        priors[_name(bag)] = detector.memory_prior(bag[spec.NODES].numpy())
    return priors


def _name(bag):
    return bag["video_id"].numpy().decode()
