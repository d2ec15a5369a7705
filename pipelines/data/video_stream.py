"""Which stream of a file is read, at which rate, and the time stamps of its frames, after FFmpeg's own rules."""

import contextlib
import math
import os
from itertools import islice, pairwise
from statistics import median

import av
from av.format import Flags
from av.stream import Disposition

from pipelines.data.frame_limits import OPEN_OPTIONS

FALLBACK_FPS = 25.0
MAX_CREDIBLE_FPS = 1000.0
FORMATS_OF_DECODE_TIMES = ("avi",)
FORMATS_OF_SLOTS = ("avi",)


def open_container(path):
    """Open a container. ``file:`` and the whitelist: neither its name nor a playlist in it may reach the network."""
    return av.open(f"file:{path}", options={"protocol_whitelist": "file"} | OPEN_OPTIONS, metadata_errors="replace")


def choose_stream(path, container):
    """Return the video stream to read, the one that FFmpeg calls best, and the other videos of the file.

    ``av_find_best_stream`` compares, in this order: whether a stream is marked as the default, whether at least 5 of
    its frames are at the start of the file, bit rate, number of frames. It knows neither pictures nor decoders, so
    there are exceptions. A cover (``attached_pic``) is no video. A stream without a decoder, marked as a still image,
    or of a single frame, such as a thumbnail, is read only where there is no other; then the default one with the most
    pixels is, as by the program ``ffmpeg``.

    Args:
        path: The file.
        container: The same, opened.

    Returns:
        ``(stream, others)``. The stream is None if there is none; ``others`` are not known to be pictures.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    playable = [stream for stream in streams if stream.codec_context is not None] or streams
    best = container.streams.best("video")
    if len(playable) > 1 and (best not in playable or _is_picture(path, best)):
        moving = [stream for stream in playable if stream is not best and not _is_picture(path, stream)]
        best = max(moving or playable, key=_rank)
    elif best not in playable:
        best = playable[0] if playable else None
    others = [stream for stream in streams if stream is not best and stream.frames != 1]
    return best, [stream for stream in others if not stream.disposition & Disposition.still_image]


def nominal_fps(container, stream):
    """Return the mean rate of a stream.

    A file without time stamps, such as raw H.264, has the rate that the stream itself states (its VUI), as in the
    program ``ffmpeg``. FFmpeg's ``avg_frame_rate`` is 25 there, a default of the demuxer.
    """
    rates = [stream.average_rate, stream.guessed_rate]
    if not has_time_stamps(container):
        rates.insert(0, stream.codec_context.framerate if stream.codec_context else None)
    for rate in rates:
        if rate and 0 < rate <= MAX_CREDIBLE_FPS:
            return float(rate)
    return FALLBACK_FPS


def has_time_stamps(container):
    """Whether the format stores time stamps. Of a raw stream FFmpeg makes them up, at the rate of the demuxer."""
    return not container.format.flags & Flags.no_timestamps.value


def stated_frames(container, stream):
    """Return the number of frames in a file by its header; 0 when it does not say.

    The header of an AVI counts slots, also those of frames that a recorder dropped. Its index, where it reaches the
    end, lists the frames that are there.

    Args:
        container: The file, opened but not read: the index of a file without one grows with each packet.
        stream: The video stream.
    """
    if container.format.name in FORMATS_OF_SLOTS:
        index = [entry.timestamp for entry in stream.index_entries if entry.size]
        usual_gap = median(later - one for one, later in pairwise(index)) if len(index) > 1 else 1
        if index and index[-1] + usual_gap >= stream.frames:
            return len(index)
    return stream.frames


def allows_jumps(container):
    """Whether time stamps may jump in the format (``AVFMT_TS_DISCONT``), as in MPEG-TS."""
    return bool(container.format.flags & Flags.ts_discont.value)


@contextlib.contextmanager
def open_sound(path):
    """Yield the first audio stream of a video file; None if it has none."""
    if os.path.isdir(path):
        yield None
        return
    with open_container(path) as container:
        yield next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def end_of(stream, time_sec, frame, start_sec, fps, is_whole):
    """Return the end of the last frame: what the stream states if it was decoded to its end, else by its duration.

    Args:
        stream: The video stream.
        time_sec: Time of the last frame, from 0 at the first.
        frame: The last frame.
        start_sec: Time stamp of the first frame.
        fps: Nominal rate.
        is_whole: Whether all frames were decoded.
    """
    if stream.duration and is_whole:
        end_sec = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - start_sec
        if end_sec > time_sec - 1e-3:  # the last frame of a variable rate may have no duration
            return max(end_sec, time_sec)
    duration_sec = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
    return time_sec + (duration_sec or 1 / fps)


class TimeStamps:
    """Time stamps of decoded frames: FFmpeg's ``best_effort_timestamp``, which PyAV does not pass on.

    They are presentation times until those went back more often than the decode times of the packets; then the latter.
    AVI has decode times only, so FFmpeg makes up presentation times, in a wrong order for frames that are reordered.

    Args:
        container: The file, opened.
    """

    def __init__(self, container):
        self.known = has_time_stamps(container)
        self.decode_times_only = container.format.name in FORMATS_OF_DECODE_TIMES
        self._last_pts = self._last_dts = -math.inf
        self._faulty_pts = self._faulty_dts = 0

    def of(self, frame):
        """Return the stamp of the next frame in seconds, or None."""
        value = self._best(frame.pts, frame.dts)
        return None if value is None or not self.known else float(value * frame.time_base)

    def _best(self, pts, dts):
        if self.decode_times_only:
            return dts
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
        self._last_dts = next((value for value in (dts, pts) if value is not None), self._last_dts)
        self._last_pts = next((value for value in (pts, dts) if value is not None), self._last_pts)
        takes_pts = pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None)
        return pts if takes_pts else dts


def _is_picture(path, stream):
    """Whether a stream is a still image or has a single frame; where the header does not say, its packets are read."""
    if stream.disposition & Disposition.still_image or stream.frames == 1:
        return True
    if stream.frames:
        return False
    with open_container(path) as container:
        try:
            packets = container.demux(container.streams[stream.index])
            return len(list(islice((packet for packet in packets if packet.size), 2))) < 2
        except av.error.FFmpegError:
            return False


def describe_size(stream):
    """Return the size of a stream's frames in words; a stream without a decoder has none."""
    return f"{stream.width}x{stream.height}" if stream.codec_context else "no decoder"


def _rank(stream):
    pixels = stream.width * stream.height if stream.codec_context else 0
    return bool(stream.disposition & Disposition.default), pixels
