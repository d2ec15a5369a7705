"""Look at a video without decoding it: whether ``vad prepare`` can use it, and how much it will write."""

import contextlib
from dataclasses import dataclass

import av

from pipelines.data.encode import Failed, jpeg_bytes
from pipelines.data.video import VideoError, VideoReader, known_length, probe
from pipelines.data.video_stream import choose_stream, has_time_stamps, open_container
from pipelines.run.failures import describe

END_TOLERANCE_SEC = 0.5


@dataclass(frozen=True)
class Inspected:
    """A video that can be used.

    Args:
        num_sampled: Number of frames that ``vad prepare`` will write, by the header.
        jpeg_bytes: Size of the first of them.
        warning: What is missing at the end; ``""`` when nothing is.
    """

    num_sampled: int
    jpeg_bytes: int
    warning: str = ""


def inspect_video(video, settings, on_frame=lambda: None, whole=True):
    """Open a video as ``encode_video`` does, but decode its first frame only.

    Args:
        video: The ``ListedVideo``.
        settings: ``DataConfig``.
        on_frame: Called after each decoded frame, as a sign of progress.
        whole: Also look for the end of a file, and decode all pictures of a folder of frames.

    Yields:
        One ``Inspected``, or ``Failed``.
    """
    if video.missing:
        yield Failed(video.missing)
        return
    reader = VideoReader(video.path, settings.frames_per_sec, settings.image_size_px, video.fps, settings.crop)
    try:
        with contextlib.closing(iter(reader)) as frames:
            size = len(jpeg_bytes(next(frames).rgb, settings.jpeg_quality))
            for _ in frames if whole and video.path.is_dir() else ():
                on_frame()
        missing = _missing_end(video.path) if whole and video.path.is_file() else ""
        yield Inspected(_num_sampled(video.path, reader.fps, settings), size, missing)
    except VideoError as error:
        yield Failed(error.reason)
    except Exception as error:  # a decoder may raise anything; the other videos must not suffer
        yield Failed(describe(error))


def _num_sampled(path, fps, settings):
    """Return the number of sampled frames that the header of a file promises; 1 when it promises nothing."""
    num_frames = known_length(path)
    if num_frames is None:
        header = probe(path)
        num_frames = round(header.duration_sec * fps) if header else 1
    share = min(1.0, settings.frames_per_sec / fps) if settings.frames_per_sec else 1.0
    return max(1, round(num_frames * share))


def _missing_end(path):
    """Compare the time of the last packet with the length in the header; return what is missing, in words."""
    with open_container(path) as container:
        stream, _ = choose_stream(path, container)
        if not has_time_stamps(container):
            return ""
        start = float((stream.start_time or 0) * stream.time_base)
        length = _stated_length(container, stream)
        if not length:
            return ""
        last = 0.0
        for target in (start + length, 0.0):  # from the last keyframe, else the whole file
            with contextlib.suppress(av.error.FFmpegError):
                container.seek(int(target * av.time_base))
                for packet in container.demux(stream):
                    if packet.size and packet.pts is not None:
                        last = max(last, float((packet.pts + (packet.duration or 0)) * stream.time_base) - start)
            if last:
                break
    return f"cut off: it ends at {last:.1f} of {length:.1f} s" if length - last > END_TOLERANCE_SEC else ""


def _stated_length(container, stream):
    """Return the length of the video in seconds, by its header; 0 when it states none."""
    if stream.duration:
        length = float(stream.duration * stream.time_base)
    else:
        length = float((container.duration or 0) / av.time_base)
    return max(length, stream.frames / float(stream.average_rate) if stream.average_rate else 0.0)
