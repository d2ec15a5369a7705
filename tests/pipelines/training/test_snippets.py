"""Tests of pipelines.training.snippets."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines.training.snippets import even_snippets, random_snippets, snippet_batches

OPTIONS = SimpleNamespace(snippets_per_video=2, batch_size=4)


class Source:
    """Stands for ``Clips``: a video has ``num`` snippets, and a snippet is its own index."""

    @staticmethod
    def num_snippets(video):
        return video.num

    @staticmethod
    def dataset(places):
        signature = {"maps": tf.TensorSpec([], tf.float16), "mask": tf.TensorSpec([], tf.bool)}
        signature["video_id"] = tf.TensorSpec([], tf.string)
        rows = ({"maps": snippet, "mask": True, "video_id": name} for name, snippet in places())
        return tf.data.Dataset.from_generator(lambda: rows, output_signature=signature)


@pytest.fixture
def videos():
    """Three normal and two abnormal videos."""
    labels_and_counts = {"n0": (0, 2), "n1": (0, 1), "n2": (0, 5), "a0": (1, 3), "a1": (1, 4)}
    return [SimpleNamespace(video_id=name, label=label, num=num) for name, (label, num) in labels_and_counts.items()]


def test_labels_are_balanced_and_each_epoch_has_new_snippets(videos):
    snippets, num_steps = random_snippets(Source, videos, OPTIONS, seed=0)
    assert num_steps == 3  # 2 + 1 + 2 normal snippets, as many abnormal ones, in batches of 4
    size, stream = num_steps * OPTIONS.batch_size, snippets()
    epochs = [[next(stream) for _ in range(size)] for _ in range(2)]
    for epoch in epochs:
        assert [video.label for video, _ in epoch] == [0, 1] * (size // 2)
        assert all(0 <= snippet < video.num for video, snippet in epoch)
    assert epochs[0] != epochs[1]
    resumed = random_snippets(Source, videos, OPTIONS, seed=0, first_epoch=1)[0]()
    assert [next(resumed) for _ in range(size)] == epochs[1]


def test_validation_snippets_are_evenly_spaced():
    videos = [SimpleNamespace(num=count) for count in (10, 1)]
    assert [snippet for _, snippet in even_snippets(Source, videos, 2)] == [2, 7, 0]


def test_a_batch_holds_inputs_in_float32_and_labels(videos):
    chosen = [(videos[0], 1), (videos[3], 2), (videos[4], 0)]
    batches = list(snippet_batches(Source, lambda: iter(chosen), batch_size=2))
    assert [labels.numpy().tolist() for _, labels in batches] == [[0, 1], [1]]
    inputs = batches[0][0]
    assert set(inputs) == {"maps", "mask"} and inputs["maps"].dtype == tf.float32
    np.testing.assert_array_equal(inputs["maps"], [1.0, 2.0])
