"""Tests of pipelines.training.memory."""

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.bags import read_bags
from pipelines.training.memory import fill_memory
from vad_keras.models import AnomalyDetector

LENGTHS = {"n1": ("train", 0, 6), "n2": ("train", 0, 4), "a1": ("train", 1, 5), "v1": ("train", 0, 3)}


@pytest.fixture
def detector():
    model = AnomalyDetector(unary_from="prior", memory_nodes=8, node_normalization="none")
    model.build({"nodes": (None, None, 5, 8)})
    return model


def test_every_video_gets_its_distance_and_validation_stays_out_of_the_memory(tmp_path, write_nodes, detector):
    videos = write_nodes(tmp_path, LENGTHS)
    by_id = {video.video_id: video for video in videos}
    priors = fill_memory(detector, tmp_path, [by_id[name] for name in ("n1", "a1", "n2")], [by_id["v1"]])
    assert {name: prior.shape for name, prior in priors.items()} == {
        name: (length, 5) for name, (_, _, length) in LENGTHS.items()
    }
    nodes = {bag["video_id"].numpy().decode(): bag["nodes"].numpy() for bag in read_bags(tmp_path, videos)}
    rows = {tuple(row) for row in detector.memory.rows.numpy()}
    assert rows <= {tuple(row) for name in ("n1", "n2") for row in nodes[name].reshape(-1, 8).astype("float32")}
    for name in ("a1", "v1"):
        np.testing.assert_allclose(priors[name], detector.memory_prior(nodes[name]))


def test_one_normal_video_is_too_few(tmp_path, write_nodes, detector):
    videos = write_nodes(tmp_path, LENGTHS)
    with pytest.raises(UserError, match="needs at least two normal training videos, and there are 1"):
        fill_memory(detector, tmp_path, [video for video in videos if video.video_id in ("n1", "a1")])


def test_the_seed_of_a_run_draws_the_memory(tmp_path, write_nodes):
    videos = write_nodes(tmp_path, LENGTHS)
    rows = []
    for seed in (0, 0, 1):
        model = AnomalyDetector(unary_from="prior", memory_nodes=8, node_normalization="none")
        model.build({"nodes": (None, None, 5, 8)})
        fill_memory(model, tmp_path, videos, seed=seed)
        rows.append(model.memory.rows.numpy())
    np.testing.assert_array_equal(rows[0], rows[1])
    assert (rows[0] != rows[2]).any()
