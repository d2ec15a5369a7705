"""The scored videos of one or more systems: put in one order, checked to be the same, smoothed."""

import numpy as np

TRUTH = ("label", "class_name", "num_frames", "frame_labels")


def aligned(systems):
    """The same videos of every seed of every system, sorted by their ids; where they stood in a list has no say.

    Args:
        systems: `{name: [videos of a seed, ...]}`, each a list of dicts as `write_report` takes.

    Returns:
        `(systems, truth)`; the truth is what is known of each video, see `truth_of`.

    Raises:
        ValueError: There is no system, seed or video, an id is missing or comes twice, or two lists differ in their
            videos or in what is known of them.
    """
    if not systems or not all(systems.values()) or not all(videos for seeds in systems.values() for videos in seeds):
        counts = {name: [len(videos) for videos in seeds] for name, seeds in (systems or {}).items()}
        raise ValueError(
            f"`systems` must hold at least one system, each with a list of videos for each seed. Received: {counts}."
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
                    f"{difference_of_truths(first, truth)}. Score them on one test set."
                )
    return ordered, first


def truth_of(videos):
    """What is known of each video: `{video_id: {label, class_name, fps, num_frames, frame_labels}}`.

    The frame labels are `[[start, end_exclusive], ...]`, the abnormal frames; None where they are unknown.
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
    """The inverse of `truth_of`: the list of videos, given `{video_id: (num_frames,)}`.

    Raises:
        ValueError: The scores are of other videos, or not one for each frame.
    """
    counts = {name: entry["num_frames"] for name, entry in truth.items()}
    found = {name: int(np.size(scores[name])) for name in scores}
    if counts != found:
        wrong = sorted(name for name in {*counts, *found} if counts.get(name) != found.get(name))
        raise ValueError(
            f"scores and videos must agree. {wrong[0]}: {found.get(wrong[0], 'no')} scores, "
            f"{counts.get(wrong[0], 'no')} frames ({len(wrong)} such videos). Evaluate that run again."
        )
    return [entry | {"video_id": name, "scores": scores[name], **_frames(entry)} for name, entry in truth.items()]


def difference_of_truths(first, other):
    """In words: what differs between two truths."""
    missing, more = sorted(first.keys() - other.keys()), sorted(other.keys() - first.keys())
    parts = [
        f"{len(names)} videos {what}, such as {names[0]}"
        for names, what in ((missing, "less"), (more, "more"))
        if names
    ]
    for name in sorted(first.keys() & other.keys()):
        keys = [key for key in TRUTH if first[name][key] != other[name][key]]
        if keys:
            parts.append(f"{name} has another {keys[0]} ({first[name][keys[0]]} and {other[name][keys[0]]})")
            break
    return "; ".join(parts) or "the frame rate of a video differs"


def smoothed(videos, width_sec):
    """The videos with a centred moving average over their scores, each within itself.

    The window of frame i holds the frames within half the width on either side that the video has, i among them.

    Args:
        videos: dicts with `scores` and `fps`.
        width_sec: of the window.

    Raises:
        ValueError: A video has no `fps`.
    """
    for video in videos:
        if not video.get("fps"):
            raise ValueError(
                f"video {video.get('video_id')} must have `fps`, frames a second, to be smoothed over {width_sec:g} "
                f"seconds. Received: {video.get('fps')!r}. Give it, or set `smoothing_sec=0`."
            )
    return [
        video | {"scores": moving_average(video["scores"], half_width(width_sec, video["fps"]))} for video in videos
    ]


def half_width(width_sec, fps):
    """Frames on either side of the middle one of a window.

    Example:
    >>> half_width(2.0, 30.0), half_width(2.0, 5.0), half_width(0.1, 5.0)
    (30, 5, 0)
    """
    return int(width_sec * fps / 2)


def moving_average(scores, half_frames):
    """Mean of each score and up to `half_frames` on either side, `(num_frames,)`; the ends have fewer.

    It is rounded to float32, so that windows of equal scores stay tied whatever the order of their sums.

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
            f"each video needs a `video_id` of its own. Received in {where}: {twice!r} for {ids.count(twice)} videos."
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
