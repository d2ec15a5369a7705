"""The last seconds of a camera as encoded packets, from which the clips of events are cut without decoding."""

import io
import itertools
import re
from collections import deque

import av

from pipelines.live.clip_file import EncodedFrame, write_clip

PACKET_BYTES = 300  # what an entry takes besides its data
JUMP_SEC = 10.0  # time stamps that leap further than the clock begin another section
STEP_BACK_SEC = 2.0  # presentation times of neighbours in decoding order differ by less
VIDEO_OBJECT_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
PARAMETER_NALS = {
    "h264": lambda nal: nal[0] & 31 in (7, 8),
    "hevc": lambda nal: nal[0] >> 1 & 63 in (32, 33, 34),
}


class _Section:
    """Packets that may lie in one file: one stream, one picture size, time stamps of one clock.

    The codec parameters are copied, so they outlive the stream, whose decoder takes megabytes.
    """

    def __init__(self, stream, parameter_sets, in_band):
        self.parameter_sets = parameter_sets
        self.holder = av.open(io.BytesIO(), "w", format="nut")
        self.template = self.holder.add_stream_from_template(stream)
        self.template.time_base = self.time_base = stream.time_base
        self.in_band = in_band  # the parameters of the stream are those of an earlier section, or missing


class PacketRing:
    """Encoded packets of the last seconds of one stream after another, bounded in seconds and in bytes.

    It begins at a key frame and forgets whole groups of pictures, the oldest first: a group goes when the next one
    covers ``seconds``. A group that is larger than ``max_bytes`` is not kept. One thread uses it.

    A new stream, time stamps that reset or leap, and another picture size begin a new section; a clip is cut from one
    section only.

    Args:
        seconds: How far back a clip can begin.
        max_bytes: Most bytes of packets.
    """

    def __init__(self, seconds, max_bytes):
        self.seconds, self.max_bytes = seconds, max_bytes
        self._clear()

    @property
    def num_bytes(self):
        """Bytes that the packets take."""
        return self._bytes

    def add(self, packet, unix_time):
        """Add a packet of a video stream, in the order of demuxing. Empty packets are ignored.

        Args:
            packet: ``av.Packet`` with its stream; it may be decoded or freed afterwards.
            unix_time: Time of its arrival. A clock that was set back by more than ``seconds`` empties the ring.
        """
        if not packet.size:
            return
        if unix_time < self._time:
            if self._time - unix_time > self.seconds:
                self._clear()
            else:
                unix_time = self._time
        data = bytes(packet)
        frame = EncodedFrame(data, packet.pts, packet.dts, bool(packet.is_keyframe), unix_time)
        self._open_section(packet.stream, frame)
        self._last, self._time = frame, unix_time
        if frame.is_key:
            self._keys.append(unix_time)
            self._waits = False
        elif self._waits:
            return
        self._entries.append((frame, self._section))
        self._bytes += len(data) + PACKET_BYTES
        self._forget()

    def write(self, path, start, end):
        """Write the packets of a time span as mp4, see ``write_clip``. Nothing is decoded (Motion JPEG and raw are).

        The clip begins at the last key frame up to ``start``, or at the first one after it. When the section changes
        inside the span, the clip holds the longer part.

        Args:
            path: The file; it appears whole.
            start, end: Unix times of arrival.

        Returns:
            Seconds written; 0.0, and no file, when the ring holds no packet of the span.
        """
        best, overlap = [], -1.0
        for section, entries in itertools.groupby(self._entries, key=lambda entry: entry[1]):
            frames = [frame for frame, _ in entries]
            first, last = max(frames[0].time, start), min(frames[-1].time, end)
            if first <= last and last - first >= overlap:
                best, overlap, chosen = frames, last - first, section
        if not best:
            return 0.0
        begin = max((n for n, one in enumerate(best) if one.is_key and one.time <= start), default=0)
        frames = [one for one in best[begin:] if one.time <= end]
        return write_clip(path, chosen.template, frames, chosen.parameter_sets if chosen.in_band else None)

    def _clear(self):
        self._entries, self._keys = deque(), deque()  # (frame, section); times of the key frames
        self._bytes, self._time, self._last = 0, float("-inf"), None
        self._section, self._stream, self._waits = None, None, True

    def _open_section(self, stream, frame):
        """Begin a section if the packet cannot lie in the file of the one before it."""
        section, sets, before = self._section, None, self._stream
        self._stream = stream
        if frame.is_key:
            sets = parameter_sets(stream.codec_context, frame.data)
        if section is None or stream is not before or stream.time_base != section.time_base:
            missing = not stream.codec_context.extradata
            self._section, self._waits = _Section(stream, sets, missing and sets is not None), True
        elif sets is not None and section.parameter_sets not in (None, sets):
            self._section, self._waits = _Section(stream, sets, in_band=True), True
        elif self._leaps(frame, float(section.time_base)):
            self._section = _Section(stream, sets or section.parameter_sets, section.in_band)
            self._waits = True
        elif sets is not None:
            section.parameter_sets = sets

    def _leaps(self, frame, time_base):
        last = self._last
        if None not in (frame.dts, last.dts):
            step, back = (frame.dts - last.dts) * time_base, 0.0
        elif None not in (frame.pts, last.pts):
            step, back = (frame.pts - last.pts) * time_base, STEP_BACK_SEC
        else:
            return False
        return step < -back or step - (frame.time - last.time) > JUMP_SEC

    def _forget(self):
        while len(self._keys) > 1 and self._keys[1] <= self._time - self.seconds:
            self._forget_group()
        while self._bytes > self.max_bytes:
            self._forget_group()

    def _forget_group(self):
        self._keys.popleft()
        while self._entries:
            frame, _ = self._entries.popleft()
            self._bytes -= len(frame.data) + PACKET_BYTES
            if self._entries and self._entries[0][0].is_key:
                return
        self._waits = True


def parameter_sets(codec_context, data):
    """Return the codec parameters that stand in a key frame, in the form of ``extradata``; None when there are none.

    Only streams with start codes have them: H.264 and HEVC over RTSP and MPEG-TS, MPEG-4.
    """
    codec, extradata = codec_context.codec.canonical_name, codec_context.extradata or b""
    if codec in PARAMETER_NALS and extradata[:1] != b"\x01":  # 1: lengths in place of start codes
        nals = [nal.rstrip(b"\0") for nal in data.split(b"\0\0\1")[1:]]
        found = dict.fromkeys(nal for nal in nals if nal and PARAMETER_NALS[codec](nal))
        return b"".join(b"\0\0\0\1" + nal for nal in found) or None
    if codec == "mpeg4":
        header = data.split(b"\0\0\1\xb6")[0].split(b"\0\0\1\xb3")[0]  # before the picture and the time of its group
        return header if VIDEO_OBJECT_LAYER.search(header) else None
    return None
