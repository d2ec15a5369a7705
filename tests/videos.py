"""Small H.264 files of coarse moving noise, for tests that need a real video and not a certain picture."""

import av
import numpy as np


def write_video(path, num_frames=22, fps=10, size=(64, 48), seed=0, pictures=None, stream_options=None, **options):
    """Write a video and return its path; `pictures` are uint8 (height, width, 3), `options` those of the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    if pictures is None:
        blocks = np.random.default_rng(seed).integers(0, 256, (num_frames, -(-height // 16), -(-width // 16), 3))
        pictures = blocks.astype("uint8").repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream("libx264", rate=fps, options=stream_options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path
