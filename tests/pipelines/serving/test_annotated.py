"""Tests of pipelines.serving.annotated: the copy of a scored video. Its pictures are tested with the overlay."""

import av
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pipelines.report.plots.canvas import ALARM
from pipelines.serving.annotated import write_annotated
from pipelines.serving.model_info import read_model_info
from pipelines.serving.video_scores import score_video
from tests.videos import write_video


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_copy_has_the_frames_and_times_of_the_video_and_its_score(exported, tmp_path, threshold):
    path, target = tmp_path / "door.mp4", tmp_path / "copy.mp4"
    write_video(path, num_frames=12)
    video = score_video(path, model=exported.folder, threshold=threshold)
    shown = []
    info = read_model_info(exported.folder)
    note = write_annotated(path, target, video, info, lambda frames: shown.append(1) or frames)
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    times, corners = [frame.time for frame in frames], [frame.to_ndarray(format="rgb24")[0, 0] for frame in frames]
    assert note == "" and shown == [1] and len(video.alarms) == (not threshold)
    distance = np.abs(np.array(corners) - 255 * np.array(to_rgb(ALARM))).max(axis=1)
    assert (distance.max() < 40 if video.alarms else distance.min() > 40), "the border of an alarm"
    np.testing.assert_allclose(times, video.times_sec, atol=1e-3)
