"""One mp4 file from encoded packets: copied where mp4 and players take the codec, else encoded again as H.264."""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange

from pipelines.run.files import replacing

COPIED = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video")
TICKS_PER_SEC = 90_000  # the clock of a clip
TICK = Fraction(1, TICKS_PER_SEC)
ENCODER = {"preset": "veryfast", "crf": "23"}


class EncodedFrame(NamedTuple):
    """A packet without its container.

    Args:
        data: Its bytes.
        pts, dts: Time stamps in units of the stream's time base; None where they are missing.
        is_key: Whether decoding can begin here.
        time: Unix time of its arrival.
    """

    data: bytes
    pts: int | None
    dts: int | None
    is_key: bool
    time: float


def write_clip(path, template, frames, parameter_sets=None):
    """Write an mp4 file; it appears whole or not at all.

    H.264, HEVC, AV1, VP9 and MPEG-1, -2 and -4 are copied. Motion JPEG, raw video and the rest are encoded as H.264.

    Args:
        path: The file.
        template: A stream with the codec of the packets and their time base.
        frames: ``EncodedFrame``s in decoding order; the first is a key frame.
        parameter_sets: Codec parameters that hold in place of those of the template; None: those of the template.

    Returns:
        Its length in seconds.
    """
    first = frames[0]
    # Pictures that a key frame lets precede it need the packets before it, which are not here.
    frames = [one for one in frames if None in (one.pts, first.pts) or one.pts >= first.pts]
    pts, dts = clip_ticks(frames, float(template.time_base))
    order = np.sort(pts)
    last = int(np.median(np.diff(order))) if len(pts) > 1 else TICKS_PER_SEC // 25  # how long the last one is shown
    write = _copy if template.codec_context.codec.canonical_name in COPIED else _encode
    with replacing(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as output:
        write(output, template, frames, pts.tolist(), dts.tolist(), last, parameter_sets)
    return (int(order[-1]) + last) / TICKS_PER_SEC


def clip_ticks(frames, time_base):
    """Give frames time stamps that a file can hold: decoding times rise, and none is after the presentation.

    Decoding times that are missing follow from the presentation times. When both are missing somewhere, all are those
    of the arrival, and the order of presentation is left to the player.

    Args:
        frames: ``EncodedFrame``s in decoding order.
        time_base: Seconds per unit of their time stamps.

    Returns:
        ``(pts, dts)`` in ticks, int64 ``(num_frames,)`` each; the first frame is presented at 0.

    Example:

    >>> frames = [EncodedFrame(b"", pts, None, pts == 2, 0.0) for pts in (2, 4, 3)]
    >>> [ticks.tolist() for ticks in clip_ticks(frames, time_base=0.1)]
    [[0, 18000, 9000], [-9000, 0, 9000]]
    """
    if all(one.dts is not None for one in frames):
        dts = [one.dts for one in frames]
        pts = [one.dts if one.pts is None else one.pts for one in frames]
    elif all(one.pts is not None for one in frames):
        pts = [one.pts for one in frames]
        dts = np.sort(pts)
        dts = dts - np.max(dts - pts)
    else:
        pts = dts = [one.time - frames[0].time for one in frames]
        time_base = 1.0
    both = np.array([pts, dts]) - pts[0]
    pts, dts = np.round(both * (time_base * TICKS_PER_SEC)).astype(np.int64)
    steps = np.arange(len(frames))
    dts = np.maximum.accumulate(dts - steps) + steps
    pts = np.maximum(pts, dts)
    return pts - pts[0], dts - pts[0]


def _copy(output, template, frames, pts, dts, last, parameter_sets):
    stream = output.add_stream_from_template(template)
    if parameter_sets is not None:
        context, picture = stream.codec_context, _first_picture(template, frames[0].data, parameter_sets)
        context.extradata = parameter_sets
        if picture is not None:
            context.width, context.height = picture.width, picture.height
    for index, one in enumerate(frames):
        packet = av.Packet(one.data)
        packet.pts, packet.dts, packet.time_base = pts[index], dts[index], TICK
        packet.duration = dts[index + 1] - dts[index] if index + 1 < len(frames) else last
        packet.is_keyframe, packet.stream = one.is_key, stream
        output.mux(packet)


def _first_picture(template, data, parameter_sets):
    """Decode a key frame; None when that fails."""
    context = av.CodecContext.create(template.codec_context.codec.canonical_name, "r")
    context.extradata = parameter_sets
    try:
        pictures = context.decode(av.Packet(data)) or context.decode(None)
    except av.FFmpegError:
        return None
    return pictures[0] if pictures else None


def _encode(output, template, frames, pts, dts, last, parameter_sets):
    source, stream = template.codec_context, None
    decoder = av.CodecContext.create(source.codec.canonical_name, "r")
    decoder.width, decoder.height, decoder.pix_fmt = source.width, source.height, source.pix_fmt
    decoder.extradata = source.extradata
    for one, pts_one in zip(frames, pts, strict=True):
        packet = av.Packet(one.data)
        packet.pts, packet.time_base = pts_one, TICK
        for picture in decoder.decode(packet):
            if stream is None:
                stream = output.add_stream("libx264", options=ENCODER)
                stream.width, stream.height = (side // 2 * 2 for side in (picture.width, picture.height))
                stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TICK
            full_range = picture.format.name.startswith("yuvj") or picture.color_range == ColorRange.JPEG
            picture = picture.reformat(
                stream.width,
                stream.height,
                "yuv420p",
                src_color_range=ColorRange.JPEG if full_range else None,
                dst_color_range=ColorRange.MPEG if full_range else None,
            )
            picture.pts, picture.time_base = pts_one, TICK
            output.mux(stream.encode(picture))
    if stream is not None:
        output.mux(stream.encode())
