"""Tests of vad_keras.models.baselines._two_means."""

import numpy as np
import pytest
from keras import ops
from sklearn.cluster import KMeans

from vad_keras.models.baselines._two_means import cluster_distance, clustering_loss, two_means

MASK = np.array([[True, True, True, True], [True, True, True, False]])
X = np.array([[[0.0, 0], [4, 0], [0, 1], [4, 1]], [[5, 5], [9, 9], [5, 6], [99, 99]]], "float32")


def clusters(x=X, mask=MASK, **kwargs):
    return ops.convert_to_numpy(two_means(x, mask, **kwargs))


def test_two_groups_are_told_apart_and_padding_belongs_to_neither():
    found = clusters()
    assert found[0].tolist() in ([False, True, False, True], [True, False, True, False])
    assert found[1, 0] == found[1, 2] != found[1, 1] and not found[1, 3]


def test_the_clusters_are_those_of_scikit_learn():
    random = np.random.default_rng(3)
    for _ in range(5):
        x = np.concatenate([random.normal(size=(9, 3)), random.normal(2.5, 1.0, size=(6, 3))]).astype("float32")
        found = clusters(x[None], np.ones((1, 15), bool), iterations=20)[0]
        expected = KMeans(2, n_init=20, random_state=0).fit_predict(x).astype(bool)
        assert (found == expected).all() or (found == ~expected).all()


def test_frames_that_are_all_equal_are_one_cluster_and_cost_nothing(gradients):
    x, mask = np.ones((1, 3, 2), "float32"), np.ones((1, 3), bool)
    second = two_means(x, mask)
    assert not ops.convert_to_numpy(second).any()
    assert float(cluster_distance(x, second, mask)[0]) == 0
    for label in (0.0, 1.0):
        labels = np.array([label], "float32")
        assert float(clustering_loss(labels, x, second, mask)[0]) == 0
        (gradient,) = gradients(lambda x, labels=labels: clustering_loss(labels, x, second, mask)[0], x)
        assert (gradient == 0).all()


def test_the_distance_of_the_centres_by_hand():
    found = ops.convert_to_numpy(cluster_distance(X, two_means(X, MASK), MASK))
    np.testing.assert_allclose(found, [4.0, np.hypot(4, 3.5)], rtol=1e-4)


def test_the_loss_by_hand_draws_a_normal_video_together_and_an_abnormal_one_apart(gradients):
    second = two_means(X, MASK)
    labels = np.array([0.0, 1.0], "float32")
    found = ops.convert_to_numpy(clustering_loss(labels, X, second, MASK, bound=10.0))
    np.testing.assert_allclose(found, [4.0, 1 / np.hypot(4, 3.5)], rtol=1e-4)
    assert float(clustering_loss(labels, X, second, MASK, bound=3.0)[0]) == 3.0
    (gradient,) = gradients(lambda x: ops.sum(clustering_loss(labels, x, second, MASK, bound=10.0)), X)
    moved = X - 0.1 * gradient
    before, after = (ops.convert_to_numpy(cluster_distance(x, second, MASK)) for x in (X, moved))
    assert after[0] < before[0] and after[1] > before[1]
    assert (gradient[1, 3] == 0).all()


def test_no_gradient_passes_through_the_assignment(gradients):
    (gradient,) = gradients(lambda x: ops.sum(ops.cast(two_means(x, MASK), "float32")) + ops.sum(x) * 0.0, X)
    assert (gradient == 0).all()


@pytest.mark.parametrize("iterations", [0, 10])
def test_a_video_has_the_same_clusters_alone_and_compiled(iterations, compiled):
    together = clusters(iterations=iterations)
    for video in range(2):
        alone = clusters(X[video : video + 1], MASK[video : video + 1], iterations=iterations)
        np.testing.assert_array_equal(alone[0], together[video])
    function = compiled(lambda x, mask: two_means(x, mask, iterations))
    np.testing.assert_array_equal(ops.convert_to_numpy(function(X, MASK)), together)
