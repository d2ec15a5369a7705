"""Tests of pipelines.training.images."""

import io

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.report.plots.heat_map import patch_heat_map
from pipelines.training import images
from pipelines.training.images import ScoreImages, _spread_frames
from vad_keras.models import AnomalyDetector

TIMES = np.arange(12) / 2


class MeanScorer(keras.Model):
    """Scores a frame by the mean of its nodes; with patches or without."""

    def __init__(self, patches=True):
        super().__init__()
        self.patches = patches

    def call(self, inputs):
        patch_score = ops.sigmoid(ops.mean(inputs["nodes"], axis=-1))
        outputs = {"anomaly_score": ops.mean(patch_score, axis=-1)}
        return outputs | ({"patch_score": patch_score, "unary_probability": 1 - patch_score} if self.patches else {})


def videos(model=None):
    nodes = np.random.default_rng(0).normal(size=(12, 14, 4)).astype("float16")
    known = {"title": "known", "nodes": nodes, "times_sec": TIMES, "frame_labels": (TIMES > 3).astype(int)}
    frames = np.full((12, 48, 64, 3), 90, np.uint8)
    return [known, {"title": "with_frames", "nodes": nodes, "times_sec": TIMES, "frames": frames, "aspect": 16 / 9}]


def written(tmp_path, epochs, model=None, **options):
    callback = ScoreImages(tmp_path, videos, **options)
    callback.set_model(model or MeanScorer())
    for epoch in range(epochs):
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    return {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}, events


def test_timeline_and_heat_map_of_every_video_are_read_back(tmp_path):
    steps, events = written(tmp_path, epochs=2)
    tags = {f"{kind}/{title}" for kind in ("timeline", "patches") for title in ("known", "with_frames")}
    assert steps == {tag: [0, 1] for tag in tags}
    width, height, png = events.Tensors("timeline/known")[0].tensor_proto.string_val[:3]
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (int(width), int(height)) == (1200, 372)
    assert np.asarray(image).std() > 10


def test_the_first_map_has_the_patch_scores_that_decided(tmp_path, monkeypatch):
    shown = []
    figure = images.heat_map_figure
    monkeypatch.setattr(images, "heat_map_figure", lambda *arguments: shown.append(arguments) or figure(*arguments))
    detector = AnomalyDetector(key_dim=4, value_dim=8, temporal_localities=(1, 2), score_from="mean")
    written(tmp_path, epochs=1, model=detector)
    (_, maps, scales, titles), _ = shown
    assert list(maps) == ["patch score", "before the CRF", "after the CRF"]
    brightest = [patch_heat_map(values, scales, 60).max() for values in maps["patch score"]]
    assert [title.split()[-1] for title in titles] == [f"{value:.2f}" for value in brightest]


def test_the_moment_of_the_highest_score_is_among_those_shown():
    scores = np.zeros(100)
    scores[60] = 1.0
    assert _spread_frames(scores).tolist() == [0, 25, 60, 74, 99]
    assert _spread_frames(np.array([0.3])).tolist() == [0]


def test_pictures_have_the_proportions_of_their_video():
    square = np.zeros((90, 90, 3), np.uint8)
    assert images._in_proportion(square, 16 / 9).shape == (90, 160, 3)
    assert images._in_proportion(square, None).shape == (90, 90, 3)
    assert images._in_proportion(square, 0.001).shape == (90, 22, 3)


def test_images_are_written_every_n_epochs(tmp_path):
    steps, _ = written(tmp_path, epochs=5, every_epochs=2)
    assert steps["timeline/known"] == [1, 3]


def test_a_model_without_patch_scores_gets_its_timeline(tmp_path):
    steps, _ = written(tmp_path, epochs=1, model=MeanScorer(patches=False))
    assert sorted(steps) == ["timeline/known", "timeline/with_frames"]


def test_patches_that_are_no_grid_get_a_timeline_alone(tmp_path):
    steps, _ = written(tmp_path, epochs=1, scales=())
    assert sorted(steps) == ["timeline/known", "timeline/with_frames"]


def test_it_is_called_by_fit(tmp_path):
    class Scalar(MeanScorer):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return self.offset + ops.mean(y_pred["anomaly_score"])

    model = Scalar()
    model.offset = model.add_weight(shape=())
    model.compile(optimizer="sgd")
    inputs = {"nodes": np.zeros((2, 12, 14, 4), "float32"), "mask": np.ones((2, 12), bool)}
    model.fit(inputs, np.zeros(2), epochs=1, verbose=0, callbacks=[ScoreImages(tmp_path, videos)])
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_an_interval_below_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`every_epochs` must be at least 1"):
        ScoreImages(tmp_path, videos, every_epochs=0)
