"""Frames of a video for another process: in snippets, or only those that are wanted. No TensorFlow is needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.data.encode import Failed
from pipelines.data.snippets import in_snippets, padded
from pipelines.data.video import VideoError, VideoReader
from pipelines.run.failures import describe


@dataclass(frozen=True)
class FrameRequest:
    """What to read of a video.

    Args:
        path: The file.
        frames_per_sec, size_px, crop: As for ``VideoReader``.
        clip_frames: Frames per snippet, K.
        wanted: Original indices of the frames to return, no others; None: all sampled frames.
    """

    path: Path
    frames_per_sec: float
    size_px: int
    crop: bool
    clip_frames: int
    wanted: frozenset | None = None


class VideoFacts(NamedTuple):
    """What is known of a video that was read to its end, or to the last wanted frame; see ``VideoReader``."""

    fps: float
    width: int
    height: int
    num_frames: int
    times_sec: np.ndarray  # float64 (num_frames,)
    warning: str


def read_frames(request, settings, on_frame=lambda: None):
    """Decode a video and yield its frames in snippets, and then what it is.

    Args:
        request: The ``FrameRequest``.
        settings: Not used; see ``DecodePool``.
        on_frame: Called after each sampled frame, as a sign of progress.

    Yields:
        ``Snippet``s. At the end one ``VideoFacts``, or ``Failed``.
    """
    reader = VideoReader(request.path, request.frames_per_sec, request.size_px, crop=request.crop)
    try:
        for frames in in_snippets(_wanted(reader, request.wanted, on_frame), request.clip_frames):
            yield padded(frames, request.clip_frames)
        times_sec = np.asarray(reader.frame_times_sec)
        yield VideoFacts(reader.fps, reader.width, reader.height, reader.num_frames, times_sec, reader.warning)
    except VideoError as error:
        yield Failed(error.reason)
    except Exception as error:  # a decoder may raise anything; the other videos must not suffer
        yield Failed(describe(error))


def _wanted(reader, wanted, on_frame):
    left = None if wanted is None else len(wanted)
    for frame in reader if left != 0 else ():
        on_frame()
        if wanted is None or frame.frame_index in wanted:
            yield frame
            left = None if left is None else left - 1
        if left == 0:
            return
