"""Pictures of scored videos: pages of timelines, and heat maps around the highest score before and after the CRF."""

from pathlib import Path

import numpy as np

from pipelines.report.plots.canvas import format_time
from pipelines.report.plots.heat_map import plot_heat_maps
from pipelines.report.plots.timeline import plot_timelines
from vad_keras import spec
from vad_keras.metrics import frame_auc

VIDEOS_A_PAGE = 18
PICTURED_VIDEOS = 6


def draw_timelines(folder, scored, threshold, title=""):
    """Write `timelines.png` and, where a page does not hold all videos, `timelines_2.png` and so on (as Fig. 6 and 7).

    Args:
        folder: Where to; pages of an earlier evaluation that are too many are removed.
        scored: list of `(VideoInfo, outputs)` with one row of outputs for each original frame.
        threshold: A score at or above it is an alarm.
        title: Of the pages.

    Returns:
        Paths of the pages.
    """
    folder, shown = Path(folder), found_first(scored)
    pages = [shown[first : first + VIDEOS_A_PAGE] for first in range(0, len(shown), VIDEOS_A_PAGE)]
    for old in folder.glob("timelines*.png"):
        old.unlink()
    paths = []
    for number, page in enumerate(pages, start=1):
        path = folder / ("timelines.png" if number == 1 else f"timelines_{number}.png")
        heading = f"{title}, page {number} of {len(pages)}" if len(pages) > 1 else title
        paths.append(plot_timelines(path, [_timeline(*pair) for pair in page], threshold, title=heading))
    return paths


def draw_heat_maps(path, scored, read_frame, scales):
    """Three moments of the first videos, patch by patch, before and after the CRF (as Fig. 5).

    Args:
        path: PNG to write.
        scored: as for `draw_timelines`, from a model with a CRF.
        read_frame: function of a `VideoInfo` and an original frame index that returns the picture, `(H, W, 3)`.
        scales: of the patches.
    """
    frames, before, after, titles = [], [], [], []
    for video, outputs in found_first(scored)[:PICTURED_VIDEOS]:
        scores = outputs[spec.ANOMALY_SCORE]
        for number, (name, frame) in enumerate(moments(scores)):
            frames.append(read_frame(video, frame))
            before.append(outputs[spec.UNARY_PROBABILITY][frame])
            after.append(outputs[spec.MARGINALS][frame, :, spec.ABNORMAL])
            moment = f"{format_time(frame / video.fps, video.num_frames / video.fps)}"
            moment += " s" if video.num_frames / video.fps < 60 else ""
            heading = _short(video.video_id) if not number else ""
            titles.append(f"{heading}\n{name}, {moment}: {scores[frame]:.2f}")
    plot_heat_maps(path, frames, np.stack(before), np.stack(after), scales, titles)


def moments(scores):
    """The frame of the highest score and one on either side, an eighth of the video away, in their order.

    Where the video does not reach so far on a side, both others lie on the other one.

    Example:
    >>> moments([0.1, 0.2, 0.3, 0.4, 0.9, 0.4, 0.3, 0.2])
    [('before', 3), ('peak', 4), ('after', 5)]
    >>> moments([0.9] + 15 * [0.1])
    [('peak', 0), ('after', 2), ('after', 4)]
    """
    peak, step = int(np.argmax(scores)), len(scores) // 8
    start = peak - step
    start += step if start < 0 else -step if peak + step >= len(scores) else 0
    names = {-1: "before", 0: "peak", 1: "after"}
    chosen = dict.fromkeys(start + step * number for number in range(3))
    return [(names[int(np.sign(frame - peak))], frame) for frame in chosen]


def found_first(scored):
    """The same pairs: abnormal videos from the best told to the worst, then normal ones from the calmest."""
    return sorted(scored, key=_order)


def _order(pair):
    video, outputs = pair
    scores = outputs[spec.ANOMALY_SCORE]
    if not video.label:
        return 1, float(np.max(scores)), video.video_id
    area = _own_auc(video, scores)
    return 0, 2.0 if np.isnan(area) else -area, video.video_id


def _own_auc(video, scores):
    labels = video.frame_label_array()
    return frame_auc(labels, scores) if labels is not None and len(np.unique(labels)) == 2 else float("nan")


def _timeline(video, outputs):
    scores = outputs[spec.ANOMALY_SCORE]
    area = _own_auc(video, scores)
    return {
        "title": _short(video.video_id) + ("" if np.isnan(area) else f"  AUC {area:.2f}"),
        "times_sec": np.arange(video.num_frames) / video.fps,
        "scores": scores,
        "frame_labels": video.frame_label_array(),
    }


def _short(video_id, most=34):
    return video_id if len(video_id) <= most else f"{video_id[: most // 2 - 1]}…{video_id[-most // 2 :]}"
