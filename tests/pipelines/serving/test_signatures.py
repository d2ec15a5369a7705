"""The exported signatures against the Keras models that they were made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.serving.signatures import NodeSignatures, ServingSignatures
from vad_keras.models import AnomalyDetector

SHAPES = [(1, 1), (1, 4), (2, 7), (3, 8), (1, 37)]


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported.folder)).signatures


def some_frames(videos, num_frames, height=32, width=32):
    return np.random.default_rng(3).integers(0, 256, (videos, num_frames, height, width, 3)).astype("uint8")


def keras_nodes(exported, frames):
    """Snippet by snippet with the Keras model, padded with masked zeros as in `prepare`."""
    clip_frames = exported.config.data.clip_frames
    num_frames = frames.shape[1]
    nodes = []
    for video in frames:
        parts = []
        for start in range(0, num_frames, clip_frames):
            snippet = video[start : start + clip_frames]
            padding = clip_frames - len(snippet)
            padded = np.pad(snippet, [(0, padding), (0, 0), (0, 0), (0, 0)])[None]
            mask = (np.arange(clip_frames) < len(snippet))[None]
            parts.append(np.asarray(exported.extractor({"frames": padded, "mask": mask})["nodes"])[0, : len(snippet)])
        nodes.append(np.concatenate(parts))
    return np.stack(nodes)


def keras_scores(exported, nodes):
    outputs = exported.detector({"nodes": nodes, "mask": np.ones(nodes.shape[:2], bool)})
    return {key: np.asarray(value) for key, value in outputs.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_signature_gives_the_numbers_of_the_keras_models(exported, loaded, shape):
    frames = some_frames(*shape)
    nodes = keras_nodes(exported, frames)
    expected = keras_scores(exported, nodes)
    np.testing.assert_allclose(loaded["extract"](frames=frames)["nodes"], nodes, atol=1e-5)
    scored = {
        "score_frames": loaded["score_frames"](frames=frames),
        "score_nodes": loaded["score_nodes"](nodes=tf.constant(nodes)),
    }
    for signature, outputs in scored.items():
        for key in ("anomaly_score", "patch_score", "marginals", "unary_probability"):
            np.testing.assert_allclose(outputs[key], expected[key], atol=1e-5, err_msg=f"{signature} {key}")
    assert scored["score_frames"]["anomaly_score"].shape == shape


def test_jpeg_bytes_score_like_the_frames_they_decode_to(exported, loaded):
    frames = some_frames(2, 6)
    jpegs = np.array([[tf.io.encode_jpeg(frame).numpy() for frame in video] for video in frames], dtype=object)
    decoded = [[tf.io.decode_jpeg(jpeg, dct_method="INTEGER_ACCURATE").numpy() for jpeg in video] for video in jpegs]
    expected = loaded["score_frames"](frames=np.array(decoded))["anomaly_score"]
    for signature in ("serving_default", "score_jpeg"):
        outputs = loaded[signature](jpeg_bytes=tf.constant(jpegs.tolist()))
        np.testing.assert_allclose(outputs["anomaly_score"], expected, atol=1e-6)


def test_frames_of_another_size_are_squashed_in_the_graph(exported, loaded):
    frames = some_frames(1, 5, height=48, width=64)
    resized = tf.image.resize(frames[0], (32, 32), antialias=True)
    squashed = np.clip(np.round(np.asarray(resized)), 0, 255).astype("uint8")[None]
    np.testing.assert_allclose(
        loaded["score_frames"](frames=frames)["anomaly_score"],
        loaded["score_frames"](frames=squashed)["anomaly_score"],
        atol=1e-6,
    )
    jpegs = [[tf.io.encode_jpeg(frame, quality=100).numpy() for frame in frames[0]]]
    assert loaded["score_jpeg"](jpeg_bytes=tf.constant(jpegs))["anomaly_score"].shape == (1, 5)


def test_of_frames_of_another_size_the_centre_may_be_cut(exported):
    signatures = ServingSignatures(exported.extractor, exported.detector, crop=True)
    frames = some_frames(1, 5, height=37, width=49)  # 32 rows and columns are 112/128 and 112/171 of them
    cut = signatures.score_frames(np.ascontiguousarray(frames[:, :, 2:34, 8:40]))
    np.testing.assert_allclose(signatures.score_frames(frames)["anomaly_score"], cut["anomaly_score"], atol=1e-6)


def test_a_batch_scores_like_its_videos_one_by_one(loaded):
    frames = some_frames(3, 9)
    together = loaded["score_frames"](frames=frames)["anomaly_score"]
    for index in range(3):
        alone = loaded["score_frames"](frames=frames[index : index + 1])["anomaly_score"]
        np.testing.assert_allclose(together[index], alone[0], atol=1e-5)


def test_the_number_of_snippets_at_once_changes_no_score(exported):
    frames = some_frames(2, 19)
    one, many = (
        ServingSignatures(exported.extractor, exported.detector, snippets_per_step=count).score_frames(frames)
        for count in (1, 100)
    )
    np.testing.assert_allclose(one["anomaly_score"], many["anomaly_score"], atol=1e-5)


def test_frames_of_a_video_score_differently(loaded):
    scores = np.asarray(loaded["score_frames"](frames=some_frames(1, 24))["anomaly_score"])
    assert scores.std() > 1e-4 and scores.min() >= 0 and scores.max() <= 1


def test_extract_also_gives_the_snippet_classifiers_probability_at_each_frame(exported, loaded):
    frames = some_frames(1, 8)
    outputs = loaded["extract"](frames=frames)
    snippets = {"frames": frames.reshape(2, 4, 32, 32, 3), "mask": np.ones((2, 4), bool)}
    expected = np.repeat(np.asarray(exported.extractor(snippets)["anomaly_probability"]), 4)
    np.testing.assert_allclose(outputs["anomaly_score"][0], expected, atol=1e-5)


def test_every_signature_names_its_inputs_and_outputs_and_leaves_b_and_t_free(loaded):
    inputs = {"score_frames": "frames", "score_jpeg": "jpeg_bytes", "extract": "frames", "score_nodes": "nodes"}
    assert set(loaded) == {*inputs, "serving_default", "describe"}
    for signature, name in inputs.items():
        spec = loaded[signature].structured_input_signature[1]
        assert list(spec) == [name] and spec[name].shape[:2].as_list() == [None, None]
        assert "anomaly_score" in loaded[signature].structured_outputs
    assert loaded["serving_default"].structured_input_signature[1]["jpeg_bytes"].dtype == tf.string


@pytest.mark.parametrize("jpegs", [[[b"no picture"]], [[b""]]])
def test_bytes_that_are_no_jpeg_are_named_by_video_and_frame(loaded, jpegs):
    good = tf.io.encode_jpeg(some_frames(1, 1)[0, 0]).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not a JPEG file: video\] \[0\] \[frame\] \[2\]"):
        loaded["score_jpeg"](jpeg_bytes=tf.constant([[good, good, *jpegs[0]]]))


def test_a_video_without_frames_is_refused_with_the_shape_that_is_expected(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one video and one frame"):
        loaded["score_frames"](frames=some_frames(1, 0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one video and one frame"):
        loaded["score_nodes"](nodes=tf.zeros((1, 0, 5, 96)))


def test_another_keras_backend_is_answered_with_the_way_out(exported, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        ServingSignatures(exported.extractor, exported.detector)


def test_a_memory_of_normal_nodes_is_exported_with_its_detector(tmp_path):
    options = {"temporal_localities": (1, 2), "clique_patches": "same", "unary_from": "prior", "memory_nodes": 150}
    detector = AnomalyDetector(key_dim=4, value_dim=4, **options)
    detector.build({"nodes": (None, None, 3, 5)})
    detector.adapt_memory(list(np.random.default_rng(0).normal(size=(4, 30, 3, 5)).astype("float32")))
    NodeSignatures(detector, 3, 5).save(tmp_path)
    signature = tf.saved_model.load(str(tmp_path)).signatures["score_nodes"]
    nodes = np.random.default_rng(1).normal(size=(2, 7, 3, 5)).astype("float32")
    found, expected = signature(nodes=tf.constant(nodes)), detector({"nodes": nodes})
    for key in ("anomaly_score", "marginals", "unary_probability"):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5, err_msg=key)
    assert signature.structured_input_signature[1].keys() == {"nodes"}


def test_each_model_is_traced_once_for_all_signatures(exported, tmp_path):
    signatures = ServingSignatures(exported.extractor, exported.detector)
    signatures.save(tmp_path)
    traced = signatures._extract_blocks, signatures._detect
    assert [function.experimental_get_tracing_count() for function in traced] == [1, 1]
