"""The scored videos of one or more systems: same order, same videos, smoothing."""

import numpy as np

TRUTH = ("label", "class_name", "num_frames", "frame_labels")


def aligned(systems):
    """Sort the videos of all seeds and systems by id and check that they are the same. Their order does not matter.

    Args:
        systems: ``{name: [videos of a seed, ...]}``, each a list of dicts as ``write_report`` takes them.

    Returns:
        ``(systems, truth)``; the truth holds the labels of each video, see ``truth_of``.

    Raises:
        ValueError: There is no system, seed or video, an id is missing or repeated, or two lists differ in their videos
            or labels.
    """
    if not systems or not all(systems.values()) or not all(videos for seeds in systems.values() for videos in seeds):
        counts = {name: [len(videos) for videos in seeds] for name, seeds in (systems or {}).items()}
        raise ValueError(
            f"`systems` must hold at least one system, each with one list of videos per seed. Received: {counts}."
        )
    first, ordered = None, {}
    for name, seeds in systems.items():
        ordered[name] = [_sorted(videos, f"system {name!r}, seed number {n}") for n, videos in enumerate(seeds)]
        for number, videos in enumerate(ordered[name]):
            truth = truth_of(videos)
            first = truth if first is None else first
            if truth != first:
                raise ValueError(
                    f"all systems and seeds must be scored on the same videos. System {name!r}, seed number {number}: "
                    f"{difference_of_truths(first, truth)}. Score them on the same test set."
                )
    return ordered, first


def truth_of(videos):
    """Return the labels of each video: ``{video_id: {label, class_name, fps, num_frames, frame_labels}}``.

    The frame labels are the abnormal frames as ``[[start, end_exclusive], ...]``; None when unknown.
    """
    return {
        video["video_id"]: {
            "label": int(video["label"]),
            "class_name": video.get("class_name") or "",
            "fps": float(video["fps"]) if video.get("fps") else None,
            "num_frames": int(np.size(video["scores"])),
            "frame_labels": None if video.get("frame_labels") is None else _intervals(video["frame_labels"]),
        }
        for video in videos
    }


def with_scores(truth, scores):
    """Return the list of videos, given the result of ``truth_of`` and ``{video_id: (num_frames,)}``.

    Raises:
        ValueError: The scores belong to other videos, or there is not one per frame.
    """
    counts = {name: entry["num_frames"] for name, entry in truth.items()}
    found = {name: int(np.size(scores[name])) for name in scores}
    if counts != found:
        wrong = sorted(name for name in {*counts, *found} if counts.get(name) != found.get(name))
        raise ValueError(
            f"scores and videos must match. {wrong[0]}: {found.get(wrong[0], 'no')} scores, "
            f"{counts.get(wrong[0], 'no')} frames ({len(wrong)} such videos). Run `vad evaluate` for that run again."
        )
    return [entry | {"video_id": name, "scores": scores[name], **_frames(entry)} for name, entry in truth.items()]


def without_classes(videos, classes):
    """Return the videos whose class is none of ``classes``.

    Raises:
        ValueError: No video has one of the classes.
    """
    known = sorted({video["class_name"] for video in videos if video.get("class_name")})
    unknown = [name for name in classes if name not in known]
    if unknown:
        raise ValueError(f"no test video has the class `{unknown[0]}`. Classes: {', '.join(known) or 'none'}.")
    return [video for video in videos if video.get("class_name") not in classes]


def difference_of_truths(first, other):
    """Describe in words how the labels of two sets of videos differ."""
    missing, more = sorted(first.keys() - other.keys()), sorted(other.keys() - first.keys())
    parts = [
        f"{len(names)} videos {what}, such as {names[0]}"
        for names, what in ((missing, "missing"), (more, "extra"))
        if names
    ]
    for name in sorted(first.keys() & other.keys()):
        keys = [key for key in TRUTH if first[name][key] != other[name][key]]
        if keys:
            parts.append(f"{name} has a different {keys[0]} ({first[name][keys[0]]} and {other[name][keys[0]]})")
            break
    return "; ".join(parts) or "the frame rate of a video differs"


def smoothed(videos, width_sec):
    """Smooth the scores of each video by a centred moving average that never crosses into another video.

    The window of a frame holds the frames up to half the width away on either side, as far as the video has them.

    Args:
        videos: Dicts with ``scores`` and ``fps``.
        width_sec: Width of the window.

    Raises:
        ValueError: A video has no ``fps``.
    """
    for video in videos:
        if not video.get("fps"):
            raise ValueError(
                f"video {video.get('video_id')} must have `fps`, frames per second, to be smoothed over {width_sec:g} "
                f"seconds. Received: {video.get('fps')!r}. Add it, or set `smoothing_sec=0`."
            )
    return [
        video | {"scores": moving_average(video["scores"], half_width(width_sec, video["fps"]))} for video in videos
    ]


def half_width(width_sec, fps):
    """Return the number of frames on either side of the middle of a window.

    Example:
    >>> half_width(2.0, 30.0), half_width(2.0, 5.0), half_width(0.1, 5.0)
    (30, 5, 0)
    """
    return int(width_sec * fps / 2)


def moving_average(scores, half_frames):
    """Return the mean of each score and up to ``half_frames`` scores on either side, ``(num_frames,)``.

    The result is rounded to float32, so that windows of equal scores stay equal in any order of summation.

    Example:
    >>> moving_average([0.0, 3.0, 6.0, 0.0], half_frames=1).tolist()
    [1.5, 3.0, 3.0, 3.0]
    """
    scores, frames = np.asarray(scores, np.float64), np.arange(np.size(scores))
    sums = np.convolve(scores, np.ones(2 * half_frames + 1))[half_frames : half_frames + scores.size]
    lengths = np.minimum(frames, half_frames) + np.minimum(frames[::-1], half_frames) + 1
    return (sums / lengths).astype(np.float32)


def _sorted(videos, where):
    ids = [video.get("video_id") for video in videos]
    if None in ids or len(set(ids)) < len(ids):
        twice = next((name for name in ids if ids.count(name) > 1), None)
        raise ValueError(
            f"each video must have a unique `video_id`. Received in {where}: {twice!r} for {ids.count(twice)} videos."
        )
    return sorted(videos, key=lambda video: video["video_id"])


def _intervals(labels):
    edges = np.diff(np.concatenate([[0], (np.ravel(labels) > 0).astype(np.int8), [0]]))
    return [
        list(pair) for pair in zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True)
    ]


def _frames(entry):
    if entry["frame_labels"] is None:
        return {"frame_labels": None}
    labels = np.zeros(entry["num_frames"], np.uint8)
    for start, end in entry["frame_labels"]:
        labels[start:end] = 1
    return {"frame_labels": labels}
