import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.models import AnomalyDetector

OPTIONS = {
    "key_dim": 4,
    "value_dim": 4,
    "temporal_localities": (1, 2),
    "node_normalization": "none",
    "unary_from": "prior",
    "score_from": "marginals",
    "memory_nodes": 24,
}
STRANGE = 20.0


def normal_videos():
    """Two alike, and a third whose nodes are far from theirs."""
    videos = np.random.default_rng(0).normal(size=(3, 4, 2, 3)).astype("float32")
    videos[2] += STRANGE
    return list(videos)


def adapted(**options):
    detector = AnomalyDetector(**OPTIONS | options)
    detector.build({"nodes": (None, None, 2, 3)})
    return detector, detector.adapt_memory(normal_videos())


def test_the_prior_of_a_video_leaves_out_its_own_nodes():
    detector, priors = adapted()
    assert [prior.shape for prior in priors] == [(4, 2)] * 3
    assert priors[2].min() > STRANGE and priors[0].max() < 5
    inside = detector.memory_prior(normal_videos()[2])
    assert inside.max() < 0.05  # all of its nodes are in the memory


def test_the_highest_patches_of_normal_frames_set_the_scale():
    detector, priors = adapted()
    highest = np.concatenate(priors).max(axis=1)
    np.testing.assert_allclose(float(detector.prior.mean), highest.mean(), rtol=1e-5)
    np.testing.assert_allclose(float(detector.prior.deviation), highest.std(), rtol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "unit", "layer"])
def test_nodes_are_compared_as_the_detector_sees_them(normalization):
    detector, _ = adapted(node_normalization=normalization)
    nodes = 10.0 * normal_videos()[0]
    lengths = np.linalg.norm(ops.convert_to_numpy(detector.memory.rows), axis=-1)
    assert np.allclose(lengths, 1.0) == (normalization == "unit")
    given = detector({"nodes": nodes[None], "prior": detector.memory_prior(nodes)[None]})
    found = detector({"nodes": nodes[None]})
    for key, value in found.items():
        np.testing.assert_allclose(ops.convert_to_numpy(value), ops.convert_to_numpy(given[key]), atol=1e-5)
    raw = detector({"nodes": 2.0 * nodes[None]})["unary_probability"]
    unchanged = np.allclose(ops.convert_to_numpy(raw), ops.convert_to_numpy(found["unary_probability"]), atol=1e-3)
    assert unchanged == (normalization != "none")


def test_a_strange_node_is_found_where_it_is():
    detector, _ = adapted()
    nodes = np.concatenate(normal_videos()[:2])[None]
    nodes[0, 5, 1] += 8 * STRANGE
    outputs = {key: ops.convert_to_numpy(value)[0] for key, value in detector({"nodes": nodes}).items()}
    assert np.unravel_index(outputs["unary_probability"].argmax(), (8, 2)) == (5, 1)


def test_a_file_keeps_the_memory(tmp_path):
    detector, _ = adapted()
    inputs = {"nodes": normal_videos()[1][None] + 0.5}
    detector.save(tmp_path / "detector.keras")
    loaded = keras.models.load_model(tmp_path / "detector.keras")
    expected, found = (ops.convert_to_numpy(one(inputs)["marginals"]) for one in (detector, loaded))
    np.testing.assert_array_equal(found, expected)


def test_inputs_need_no_prior_and_one_of_another_shape_is_refused():
    detector, _ = adapted()
    assert not detector.uses_prior
    with pytest.raises(ValueError, match="`prior` must have shape"):
        detector({"nodes": normal_videos()[0][None], "prior": np.zeros((1, 3, 2), "float32")})


def test_one_normal_video_is_too_few():
    detector = AnomalyDetector(**OPTIONS)
    with pytest.raises(ValueError, match=r"at least two normal videos\. Received: 1"):
        detector.adapt_memory(normal_videos()[:1])


def test_a_memory_without_a_use_is_refused():
    with pytest.raises(ValueError, match="`memory_nodes`=24 needs `unary_from="):
        AnomalyDetector(**OPTIONS | {"unary_from": "nodes"})


def test_a_model_without_a_memory_says_how_to_get_one():
    detector = AnomalyDetector(**OPTIONS | {"memory_nodes": 0})
    for call in (lambda: detector.adapt_memory(normal_videos()), lambda: detector.memory_prior(normal_videos()[0])):
        with pytest.raises(ValueError, match=r"no memory\. Set `memory_nodes`"):
            call()


def test_a_memory_may_be_filled_before_the_first_call():
    detector, prior = AnomalyDetector(**OPTIONS), adapted()[0].memory_prior(normal_videos()[2])
    detector.adapt_memory(normal_videos())
    detector({"nodes": normal_videos()[0][None]})
    np.testing.assert_allclose(detector.memory_prior(normal_videos()[2]), prior, rtol=1e-6)
