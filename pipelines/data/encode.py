"""One video -> its records. No TensorFlow is needed, so it runs in small worker processes, whatever starts them.

Frames are compressed as JPEG at full colour resolution: at half of it (4:2:0) a file is smaller by a sixth, but further
from the frames that are scored later. At quality 90 a recorded frame differs from the decoded one by 1.1 of 255 grey
levels on average (44.7 dB; 0.9 and 46.4 dB at quality 95) on real surveillance videos.
"""

import io
from dataclasses import dataclass

from PIL import Image

from pipelines.data.examples import serialize_clip
from pipelines.data.listing.manifest import VideoInfo
from pipelines.data.snippets import in_snippets
from pipelines.data.video import VideoError, VideoReader
from pipelines.run.failures import describe, machine_error


@dataclass(frozen=True)
class Failed:
    """A video that cannot be used.

    Args:
        reason: Why.
        transient: The process died or stalled, or the machine failed, so another attempt may succeed.
    """

    reason: str
    transient: bool = False


def encode_video(video, settings, on_frame=lambda: None):
    """Decode one video; yield its records one by one, and then what it is.

    Only the frames of one snippet are in memory.

    Args:
        video: The ``ListedVideo``.
        settings: ``DataConfig``, of which ``frames_per_sec``, ``clip_frames``, ``image_size_px``, ``crop`` and
            ``jpeg_quality`` count.
        on_frame: Called after each sampled frame, as a sign of progress.

    Yields:
        ``bytes`` for each snippet, a serialized ``tf.train.Example``. At the end one ``VideoInfo``, or ``Failed``: then
        the records of the video must be discarded.

    Example:

        *records, outcome = encode_video(video, config.data)
    """
    if video.missing:
        yield Failed(video.missing)
        return
    reader = VideoReader(video.path, settings.frames_per_sec, settings.image_size_px, video.fps, settings.crop)
    try:
        for number, snippet in enumerate(in_snippets(_jpegs(reader, settings, on_frame), settings.clip_frames)):
            jpegs, indices, times_sec = zip(*snippet, strict=True)
            yield serialize_clip(jpegs, indices, times_sec, video.video_id, number, video.label, reader.fps)
        yield _outcome(video, reader)
    except VideoError as error:
        yield Failed(error.reason)
    except Exception as error:  # a decoder may raise anything; the other videos must not suffer
        yield Failed(describe(error), transient=machine_error(error) is not None)


def jpeg_bytes(rgb, quality):
    """Compress a uint8 frame ``(H, W, 3)`` as JPEG at full colour resolution."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _jpegs(reader, settings, on_frame):
    for frame_index, time_sec, rgb in reader:
        on_frame()
        yield jpeg_bytes(rgb, settings.jpeg_quality), frame_index, time_sec


def _outcome(video, reader):
    """Return the ``VideoInfo`` of a video that was read to its end; ``Failed`` when its labels do not fit."""
    try:
        intervals, cut = video.frame_intervals(reader.num_frames)
    except ValueError as error:
        return Failed(str(error))
    return VideoInfo(
        video_id=video.video_id,
        path=str(video.path),
        subset=video.subset,
        label=video.label,
        class_name=video.class_name,
        fps=reader.fps,
        num_frames=reader.num_frames,
        width=reader.width,
        height=reader.height,
        num_sampled=reader.num_sampled,
        frame_labels=intervals,
        warning="; ".join(text for text in (reader.warning, cut) if text),
    )
