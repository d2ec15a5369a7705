"""Tests of pipelines.serving.annotated: the copy of a scored video. Its pictures are tested with the overlay."""

import av
import numpy as np
import pytest

from pipelines.serving.annotated import write_annotated
from pipelines.serving.model_info import read_model_info
from pipelines.serving.video_scores import score_video


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_copy_has_the_frames_and_times_of_the_video_and_its_score(exported, tmp_path, threshold):
    path, target = tmp_path / "door.mp4", tmp_path / "copy.mp4"
    blocks = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 3)).astype("uint8")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in blocks.repeat(16, axis=1).repeat(16, axis=2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    video = score_video(path, model=exported.folder, threshold=threshold)
    shown = []
    info = read_model_info(exported.folder)
    note = write_annotated(path, target, video, info, lambda frames: shown.append(1) or frames)
    with av.open(str(target)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert note == "" and shown == [1]
    np.testing.assert_allclose(times, video.times_sec, atol=1e-3)
