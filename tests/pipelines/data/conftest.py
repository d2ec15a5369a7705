"""Small videos with known pictures and times."""

from fractions import Fraction

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_video():
    """`make_video(path, num_frames=..., ...)` writes a video whose frame i has the grey level 20 + (7 i mod 200)."""

    def make(path, num_frames=20, fps=10, size=(64, 48), codec="libx264", times_ms=None, picture=None, **options):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(fps), options={"crf": "10", **options})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = Fraction(1, 1000)
            for index in range(num_frames):
                pixels = (
                    picture if picture is not None else np.full((size[1], size[0], 3), 20 + 7 * index % 200, np.uint8)
                )
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = times_ms[index] if times_ms is not None else round(index * 1000 / fps)
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
