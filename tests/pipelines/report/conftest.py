"""Scored videos for the tests of the report."""

import numpy as np
import pytest


@pytest.fixture
def make_videos():
    """Function that makes scored videos: `make_videos(seed, skill)`; the truth is the same for all."""
    return _make_videos


def _make_videos(seed=0, skill=1.0, number=12, classes=("Arson", "Fight")):
    truth, random, videos = np.random.default_rng(7), np.random.default_rng(seed), []
    for i in range(number):
        labels = np.zeros(truth.integers(20, 60), np.uint8)
        if i % 2:
            labels[5 : 5 + len(labels) // 3] = 1
        scores = 1 / (1 + np.exp(-(random.normal(size=len(labels)) + skill * labels - 0.5)))
        name = classes[i // 2 % len(classes)] if i % 2 else ""
        video = {"video_id": f"v{i:02d}", "label": i % 2, "class_name": name, "fps": 10.0}
        videos.append(video | {"frame_labels": labels, "scores": scores.astype("float32")})
    return videos
