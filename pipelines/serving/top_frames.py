"""The frames of a video to look at first: those with the highest scores, apart from each other."""

import numpy as np


def find_top_frames(scores, times_sec, count):
    """Return the positions of up to ``count`` frames with the highest scores, in the order of time.

    Neighbours of a chosen frame look like it and are skipped: the gap is a fraction of the duration of the video.

    Args:
        scores: ``(T,)``.
        times_sec: ``(T,)``, rising.
        count: Maximum number of frames.

    Example:

    >>> find_top_frames([0.1, 0.9, 0.8, 0.2, 0.3, 0.7], times_sec=[0, 0.2, 0.4, 2, 3, 4], count=2)
    [1, 5]
    """
    scores, times_sec = np.asarray(scores, float), np.asarray(times_sec, float)
    gap_sec = (times_sec[-1] - times_sec[0]) / (3 * max(count, 1))
    chosen = []
    for position in np.argsort(-scores, kind="stable"):
        if len(chosen) == count:
            break
        if all(abs(times_sec[position] - times_sec[other]) > gap_sec for other in chosen):
            chosen.append(int(position))
    return sorted(chosen)
