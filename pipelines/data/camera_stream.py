"""Network streams and devices to frames. Like ``video``, this module knows the decoder."""

import time

import av

from pipelines.data.frame_limits import DECODER_OPTIONS, OPEN_OPTIONS, refusal
from pipelines.data.frame_times import MAX_PAUSE_OF_STREAM_SEC, FrameTimes
from pipelines.data.orientation import Orientation
from pipelines.data.video import VideoError
from pipelines.data.video_stream import TimeStamps, nominal_fps

NETWORK_PROTOCOLS = "rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls,http,https,httpproxy,hls,crypto"  # no file, no pipe
OPENING_LIMIT = 2.0  # time-outs: opening reads the first frames of a stream, too
DRIFT = 1e-3  # clocks of cameras and computers differ by less
JUMP_SEC = 5.0


class CameraStream:
    """An open network stream or device, read packet by packet.

    Args:
        source: ``rtsp://`` or ``http(s)://`` address, or a device such as ``/dev/video0``.
        shown: What error messages call it.
        transport: ``"tcp"`` or ``"udp"``, for RTSP.
        timeout_sec: A connection that is silent for so long is given up.

    Attributes:
        width, height: Size of the frames.

    Raises:
        VideoError: The source cannot be opened, or has no video that can be decoded.
    """

    def __init__(self, source, shown, transport="tcp", timeout_sec=10.0):
        self.shown, self.timeout_sec, self._asked_time = shown, timeout_sec, time.monotonic()
        limits = (OPENING_LIMIT * timeout_sec, timeout_sec)
        try:
            self._container = av.open(source, metadata_errors="replace", timeout=limits, **_options(source, transport))
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise VideoError(shown, self._reason(error)) from None
        try:
            self.stream = self._container.streams.best("video")
            self._check()
        except BaseException:
            self.close()
            raise
        self.width, self.height = self.stream.width, self.stream.height
        self._needs_key_frame = True

    def close(self):
        """Close the connection."""
        self._container.close()

    def skip(self):
        """Decode nothing until the next key frame."""
        self._needs_key_frame = True

    def frames(self, take_packet):
        """Yield ``(time_sec, frame, matrix)``: time since the first frame, ``av.VideoFrame`` and its orientation.

        Frames before the first key frame, and frames that the decoder calls damaged, are left out.

        Args:
            take_packet: Function that is called with each packet, before it is decoded, and says whether to decode it.

        Raises:
            VideoError: The stream ended, failed or was silent for too long. It never ends otherwise.
        """
        times = FrameTimes(1 / nominal_fps(self._container, self.stream), MAX_PAUSE_OF_STREAM_SEC, look_ahead=1)
        for time_sec, (frame, matrix) in times.of(self._stamped(take_packet)):
            yield time_sec, frame, matrix

    def _stamped(self, take_packet):
        stamps = TimeStamps(self._container)
        orientation = Orientation({**self._container.metadata, **self.stream.metadata})
        packets = self._container.demux(self.stream)
        while True:
            try:
                self._asked_time = time.monotonic()
                packet = next(packets)
            except StopIteration:
                raise VideoError(self.shown, "the stream ended") from None
            except (av.error.FFmpegError, OSError) as error:
                raise VideoError(self.shown, self._reason(error)) from None
            if not packet.size:  # the end: it asks for the frames that are left
                continue
            if not take_packet(packet) or (self._needs_key_frame and not packet.is_keyframe):
                continue
            self._needs_key_frame = False
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if not frame.is_corrupt and not refusal(frame.width, frame.height):
                    self.width, self.height = frame.width, frame.height
                    yield stamps.of(frame), (frame, orientation.of(frame))

    def _check(self):
        if self.stream is None:
            raise VideoError(self.shown, "it has no video stream")
        if self.stream.codec_context is None:
            raise VideoError(self.shown, "no decoder for its codec")
        reason = refusal(self.stream.width, self.stream.height)
        if reason:
            raise VideoError(self.shown, reason)
        self.stream.codec_context.options = DECODER_OPTIONS
        self.stream.thread_type, self.stream.codec_context.thread_count = "SLICE", 1

    def _reason(self, error):
        """Return why in words, without the address, which may hold a password."""
        if isinstance(error, av.error.ExitError) or time.monotonic() - self._asked_time >= self.timeout_sec:
            return f"no data for {self.timeout_sec:g} s"
        text = getattr(error, "strerror", None) or type(error).__name__
        return f"{text[:1].lower()}{text[1:]}"


class StreamClock:
    """Unix times of the frames of a stream, from its own times and from when the frames arrive.

    A frame is taken at ``offset + time_sec``. The offset is the smallest difference seen, so a burst of buffered frames
    and a slow network do not count; it may rise slowly, because two clocks are never equally fast.

    Example:
    >>> clock = StreamClock()
    >>> [clock.unix_time(time_sec, arrival) for time_sec, arrival in ((0.0, 100.5), (0.5, 100.6), (1.0, 101.4))]
    [100.5, 100.6, 101.10...]
    """

    def __init__(self):
        self._offset, self._last_sec = None, 0.0

    def unix_time(self, time_sec, arrival):
        """Return the Unix time of the frame at ``time_sec`` that arrived at the Unix time ``arrival``."""
        difference = arrival - time_sec
        if self._offset is None or difference - self._offset > JUMP_SEC:  # the sender paused, its clock did not go on
            self._offset = difference
        else:
            self._offset = min(self._offset + DRIFT * max(time_sec - self._last_sec, 0.0), difference)
        self._last_sec = time_sec
        return self._offset + time_sec


def _options(source, transport):
    """Return how FFmpeg opens a source. The time-outs are those of PyAV, which hold for all protocols."""
    if source.startswith("/dev/"):
        return {"format": "v4l2", "options": dict(OPEN_OPTIONS)}
    options = OPEN_OPTIONS | {"protocol_whitelist": NETWORK_PROTOCOLS}
    if source.startswith("rtsp"):
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
    return {"options": options}
