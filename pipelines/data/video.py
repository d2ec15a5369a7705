"""Video files to frames. This module and the two below it alone know the decoder (PyAV, which includes FFmpeg).

Frames are streamed: memory does not grow with the length of a video, except for 8 bytes per frame for its time. One
thread decodes one file: FFmpeg's frame threads drop a varying number of frames after an error, and several files in
parallel are faster.
"""

from array import array
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from pipelines.data.frame_limits import DECODER_OPTIONS, MAX_STREAMS, refusal
from pipelines.data.frame_times import MAX_PAUSE_OF_STREAM_SEC, MAX_PAUSE_SEC, FrameTimes
from pipelines.data.listing.files import frame_files
from pipelines.data.orientation import Orientation, is_transposed, upright
from pipelines.data.pixels import square_rgb
from pipelines.data.snippets import in_snippets, padded
from pipelines.data.video_stream import (
    FALLBACK_FPS,
    TimeStamps,
    allows_jumps,
    choose_stream,
    describe_size,
    end_of,
    has_time_stamps,
    nominal_fps,
    open_container,
    stated_frames,
)

TICK_TOLERANCE_SEC = 1e-3  # containers such as Matroska round times to 1 ms
MAX_NAMED_STREAMS = 8
HELD_BACK_BYTES = 128 << 20  # of frames whose time stamps are in doubt

av.logging.set_level(None)  # FFmpeg's own messages; what matters is in ``VideoReader.warning`` or in the error


class VideoError(Exception):
    """A file that cannot be used: its name and the reason."""

    def __init__(self, file, reason):
        super().__init__(file, reason)
        self.file, self.reason = str(file), reason

    def __str__(self):
        return f"{self.file}: {self.reason}"


class SampledFrame(NamedTuple):
    """One frame: its index in the original video, its presentation time and its upright RGB pixels."""

    frame_index: int
    time_sec: float
    rgb: np.ndarray  # uint8 (size, size, 3)


class VideoReader:
    """Iterates over the sampled frames of a file, or of a folder of frames, upright and resized to a square.

    After the iteration ``num_frames``, ``num_sampled`` and ``frame_times_sec`` are those of the whole video.

    Args:
        path: Video file, or a folder with one image per frame.
        frames_per_sec: Sampling rate: the first frame at or after each tick ``i / frames_per_sec`` of presentation
            time, no frame twice. 0 takes every frame.
        size_px: Side of the frames.
        folder_fps: Rate of a folder of frames; 25 when None.
        crop: Cut the centre: a frame is resized to more than the square, of which the rim is dropped.

    Attributes:
        fps: Mean rate, from the container or, of a raw stream, from the stream itself.
        width, height: Size of the upright frame before the resize.
        num_frames: Frames decoded so far.
        num_sampled: Frames yielded so far.
        frame_times_sec: Time of every decoded frame, from 0 at the first.
        decoded: The frame that was yielded last as ``av.VideoFrame``, and its orientation.
        start_sec: Time stamp of the first frame in the file.
        end_sec: End of the last frame, from 0 at the start of the first, after the iteration.
        warning: Damage that was skipped, time stamps that were replaced, and what was not applied or not read; ``""``
            when there was none.

    Raises:
        VideoError: During the iteration: nothing in the file can be decoded, or its frames have an extreme size.

    Example:

        reader = VideoReader("door.mp4", frames_per_sec=2.0)
        for frame_index, time_sec, rgb in reader:
            ...
        print(reader.num_frames)
    """

    def __init__(self, path, frames_per_sec=0.0, size_px=224, folder_fps=None, crop=False):
        self.path, self.folder_fps, self.crop = Path(path), folder_fps, crop
        self.frames_per_sec, self.size_px = frames_per_sec, size_px
        self._reset()

    def _reset(self):
        self.fps, self.width, self.height = 0.0, 0, 0
        self.num_frames, self.num_sampled, self.frame_times_sec = 0, 0, array("d")
        self.start_sec, self.end_sec = 0.0, 0.0
        self.warning, self.decoded = "", None

    def __iter__(self):
        self._reset()
        next_tick = 0
        for time_sec, frame, matrix in self._decoded():
            index = self.num_frames
            self.frame_times_sec.append(time_sec)
            self.num_frames += 1
            if self.frames_per_sec > 0:
                tick = int((time_sec + TICK_TOLERANCE_SEC) * self.frames_per_sec)
                if tick < next_tick:
                    continue
                next_tick = tick + 1
            rgb = self._rgb(frame, matrix)
            self.num_sampled += 1
            yield SampledFrame(index, time_sec, rgb)
        if self.num_frames == 0:
            raise VideoError(self.path, f"no frame can be decoded ({self.warning or 'the stream is empty'})")

    def snippets(self, clip_frames):
        """Yield consecutive ``Snippet``s of K = ``clip_frames`` sampled frames."""
        return (padded(frames, clip_frames) for frames in in_snippets(self, clip_frames))

    def whole_frames(self):
        """Yield ``(time_sec, rgb)`` of every frame, upright and in the size of the first one."""
        self._reset()
        for time_sec, frame, matrix in self._decoded():
            if not self.num_frames:
                turned = is_transposed(matrix)
                self.width, self.height = (frame.height, frame.width) if turned else (frame.width, frame.height)
            size = (self.height, self.width) if is_transposed(matrix) else (self.width, self.height)
            rgb = frame.reformat(*size, format="rgb24", threads=1).to_ndarray()
            self.num_frames += 1
            yield time_sec, upright(rgb, matrix)

    def _rgb(self, frame, matrix):
        try:
            rgb = square_rgb(frame, matrix, self.size_px, self.crop)
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise VideoError(self.path, f"cannot convert pixel format {frame.format.name} to RGB ({error})") from None
        if self.num_sampled == 0:
            turned = is_transposed(matrix)
            self.width, self.height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        self.decoded = frame, matrix
        return rgb

    def _decoded(self):
        """Yield ``(time_sec, frame, matrix)`` of every frame that can be decoded, in the order of presentation."""
        if self.path.is_dir():
            yield from self._images()
            return
        if not self.path.is_file():
            raise VideoError(self.path, "no such file")
        if self.path.stat().st_size == 0:
            raise VideoError(self.path, "the file is empty (0 bytes)")
        try:
            container = open_container(self.path)
        except (av.error.FFmpegError, ValueError) as error:
            raise VideoError(self.path, f"not a video, or cut off before its index ({_text(error)})") from None
        with container:
            stream, others = choose_stream(self.path, container)
            if stream is None:
                kinds = sorted({stream.type for stream in container.streams} - {"video"})
                raise VideoError(self.path, f"no video stream (only {', '.join(kinds) or 'nothing'})")
            if stream.codec_context is None:
                raise VideoError(self.path, "no decoder for its codec")
            self._check_size(stream)
            stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
            yield from self._stream_frames(container, stream, others)

    def _stream_frames(self, container, stream, others):
        self.fps = nominal_fps(container, stream)
        errors, times = Counter(), _frame_times(container, stream, self.fps)
        expected = stated_frames(container, stream)  # before the index grows while packets are read
        stamps, orientation = TimeStamps(container), Orientation({**container.metadata, **stream.metadata})
        stamped = ((stamps.of(frame), (frame, orientation.of(frame))) for frame in _frames(container, stream, errors))
        for time_sec, (frame, matrix) in times.of(stamped):
            self.start_sec = times.first_sec
            yield time_sec, frame, matrix
            last = time_sec, frame
        if self.num_frames:
            self.end_sec = end_of(stream, *last, self.start_sec, self.fps, self.num_frames >= expected)
        texts = [_damage(errors, self.num_frames, expected), _clock(times), *sorted(orientation.lost)]
        if others:
            names = ", ".join(f"#{other.index} ({describe_size(other)})" for other in others[:MAX_NAMED_STREAMS])
            names += f" and {len(others) - MAX_NAMED_STREAMS} more" if len(others) > MAX_NAMED_STREAMS else ""
            texts.append(f"reads video stream #{stream.index} ({describe_size(stream)}), not {names}")
        if len(container.streams) >= MAX_STREAMS:
            texts.append(f"only its first {MAX_STREAMS} streams were looked at")
        self.warning = "; ".join(text for text in texts if text)

    def _check_size(self, stream):
        """Refuse frames of an extreme size; a decoder refuses those that become so in the middle of a file."""
        reason = refusal(stream.width, stream.height)
        if reason:
            raise VideoError(self.path, reason)
        stream.codec_context.options = DECODER_OPTIONS

    def _images(self):
        """Yield the frames of a folder. An unreadable one is an error: later frames would have wrong indices."""
        self.fps, lost = self.folder_fps or FALLBACK_FPS, set()
        for index, path in enumerate(frame_files(self.path)):
            orientation = Orientation()
            try:
                with open_container(path) as container:
                    self._check_size(container.streams.video[0])
                    frame = next(container.decode(video=0), None)
            except (av.error.FFmpegError, ValueError, IndexError) as error:
                raise VideoError(self.path, f"{path.name} is not an image ({_text(error)}); copy it again") from None
            if frame is None:
                raise VideoError(self.path, f"{path.name} contains no image; copy it again")
            yield index / self.fps, frame, orientation.of(frame)
            lost |= orientation.lost
            self.end_sec = (index + 1) / self.fps
        self.warning = "; ".join(sorted(lost))


class Probed(NamedTuple):
    """What a container says about its video."""

    width: int
    height: int
    fps: float
    num_frames: int  # 0: it does not say
    duration_sec: float


def probe(path):
    """Read the header of a video file as ``Probed``; None when it cannot be opened, or has no video or no decoder."""
    try:
        with open_container(path) as container:
            stream, _ = choose_stream(path, container)
            if stream is None or stream.codec_context is None:
                return None
            fps = nominal_fps(container, stream)
            seconds = stream.frames / fps or float((container.duration or 0) / av.time_base)
            return Probed(stream.width, stream.height, fps, stated_frames(container, stream), seconds)
    except (av.error.FFmpegError, ValueError, IndexError):
        return None


def known_length(path):
    """Return the number of frames without decoding: images of a folder, or what the container says; None if unknown."""
    if Path(path).is_dir():
        return len(frame_files(path))
    header = probe(path)
    return header.num_frames or None if header else None


def _frame_times(container, stream, fps):
    if not has_time_stamps(container):
        return FrameTimes(1 / fps, look_ahead=1)
    look_ahead = min(64, max(8, HELD_BACK_BYTES // (3 * max(1, stream.width * stream.height))))
    return FrameTimes(1 / fps, MAX_PAUSE_OF_STREAM_SEC if allows_jumps(container) else MAX_PAUSE_SEC, look_ahead)


def _frames(container, stream, errors):
    """Decode packet by packet; count failures in ``errors`` and continue with the next packet."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            errors[f"reading stopped: {_text(error)}"] += 1
            packet = None
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.error.EOFError:
            break
        except av.error.FFmpegError as error:
            errors[_text(error)] += 1
            continue
        yield from frames


def _damage(errors, num_frames, num_expected):
    """Return a warning that says what could not be decoded; ``""`` when everything was."""
    parts = [f"{count} x {text}" for text, count in sorted(errors.items())]
    if num_expected and num_frames < num_expected:
        parts.append(f"{num_frames} of {num_expected} frames decoded")
    return "; ".join(parts)


def _clock(times):
    """Return a warning about time stamps that cannot be true; ``""`` when there was none."""
    counts = {"wrong time stamp replaced": times.num_replaced, "change of the clock closed": times.num_clocks}
    return "; ".join(f"{count} x {text}" for text, count in counts.items() if count)


def _text(error):
    return error.strerror if isinstance(error, av.error.FFmpegError) and error.strerror else str(error)
