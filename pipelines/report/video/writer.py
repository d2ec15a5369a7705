"""MP4 files with exactly the frames, the times and the sound that they are given."""

from fractions import Fraction

import av

from pipelines.run.files import replacing

TIME_BASE = Fraction(1, 90_000)
# No reordered frames: decode times are presentation times, so the file begins at 0 without an edit list.
ENCODER_OPTIONS = {"preset": "veryfast", "crf": "21", "bf": "0"}
COPIED_CODECS = ("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")  # that MP4 can hold


def write_video(path, frames, fps, end_sec, sound=None):
    """Write an H.264 video, in which each frame is shown at its own time. Memory does not grow with the length.

    Args:
        path: MP4 to write.
        frames: Iterable of ``(time_sec, rgb)``, at least one; times rise from 0, all frames have one even size.
        fps: Nominal rate.
        end_sec: Function that returns the end of the last frame; called after the last one.
        sound: Function that returns ``(audio stream, offset_sec)`` once the first frame was read, or None. Its packets
            are copied and start ``offset_sec`` earlier.

    Returns:
        What was left out, in words; empty if nothing was.
    """
    with replacing(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as output:
        frames = iter(frames)
        first = next(frames)
        video = _video_stream(output, first[1].shape, fps)
        track, note = _sound_track(output, sound() if sound else None)
        held = None  # the last packet is told how long it lasts
        for time_sec, rgb in _with_first(first, frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = round(time_sec / TIME_BASE), TIME_BASE
            for packet in video.encode(frame):
                held = _mux(output, held, packet)
            track.copy_until(time_sec)
        for packet in video.encode():
            held = _mux(output, held, packet)
        held.duration = max(1, round(end_sec() / TIME_BASE) - held.pts)
        output.mux(held)
        track.copy_until(float("inf"))
    return note


class _Track:
    """Copies the packets of an audio stream in time with the video."""

    def __init__(self, output, stream, offset_sec):
        self.output, self.written = output, output.add_stream_from_template(stream)
        self.offset = round(offset_sec / stream.time_base)
        self.packets, self.last, self.next = stream.container.demux(stream), None, None

    def copy_until(self, time_sec):
        """Copy the packets up to a time. What lies before the first frame, or goes back in time, is left out."""
        while True:
            packet = self.next or next(self.packets, None)
            if packet is None or packet.dts is None:
                return
            if self.next is None:
                packet.pts, packet.dts = ((value and value - self.offset) or 0 for value in (packet.pts, packet.dts))
            if packet.dts * packet.time_base > time_sec:
                self.next = packet
                return
            self.next = None
            if packet.dts >= 0 and (self.last is None or packet.dts > self.last):
                self.last = packet.dts
                packet.stream = self.written
                self.output.mux(packet)


class _Silence:
    def copy_until(self, time_sec):
        pass


def _video_stream(output, shape, fps):
    stream = output.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=ENCODER_OPTIONS)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.time_base = TIME_BASE
    codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709
    return stream


def _sound_track(output, sound):
    if sound is None:
        return _Silence(), ""
    stream, offset_sec = sound
    name = stream.codec_context.name if stream.codec_context else "unknown"
    if name not in COPIED_CODECS:
        return _Silence(), f"the sound ({name}) is left out: MP4 cannot hold it"
    return _Track(output, stream, offset_sec), ""


def _mux(output, held, packet):
    if held is not None:
        output.mux(held)
    return packet


def _with_first(first, rest):
    yield first
    yield from rest
