import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.models.action_logits import ActionLogits, load_action_logits
from vad_keras.models.video_networks import build_video_backbone

LABELS = ("run", "fight", "fall")


@pytest.fixture
def weights(tmp_path):
    """A weights file with a classifier of three labels for features of two numbers."""
    arrays = {"fc.weight": [[1.0, 0.0], [2.0, 1.0], [0.0, -1.0]], "fc.bias": [0.0, 0.5, 1.0], "stem.0.weight": [0.0]}
    np.savez(tmp_path / "weights.npz", **{name: np.array(value, "f4") for name, value in arrays.items()})
    return tmp_path / "weights.npz"


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def test_the_logits_of_one_feature_worked_out_by_hand(weights):
    logits = load_action_logits(weights, LABELS)
    np.testing.assert_allclose(numbers(logits(np.array([[3.0, 2.0]], "f4"))), [[3, 8.5, -1]])


def test_the_logits_of_a_clip_are_the_mean_of_those_of_its_positions(weights):
    logits = load_action_logits(weights, LABELS)
    maps = np.random.default_rng(0).normal(size=(2, 4, 3, 3, 2)).astype("f4")
    everywhere = numbers(logits(maps))
    assert everywhere.shape == (2, 4, 3, 3, 3)
    np.testing.assert_allclose(everywhere.mean((1, 2, 3)), numbers(logits(maps.mean((1, 2, 3)))), atol=1e-6)


def test_the_log_odds_are_those_of_the_softmax(weights):
    logits, features = load_action_logits(weights, LABELS), np.random.default_rng(0).normal(size=(5, 2)).astype("f4")
    exponentials = np.exp(numbers(logits(features)).astype("f8"))
    odds = (exponentials[:, 1] + exponentials[:, 2]) / exponentials[:, 0]
    np.testing.assert_allclose(numbers(logits.log_odds(features, ("fall", "fight"))), np.log(odds), atol=1e-6)


@pytest.mark.parametrize(
    "abnormal, message",
    [((), "not all"), (LABELS, "not all"), (("fight", "figth"), r"of 3 labels, unknown: \['figth'\]")],
)
def test_abnormal_labels_that_are_none_all_or_unknown_are_refused(weights, abnormal, message):
    with pytest.raises(ValueError, match=message):
        load_action_logits(weights, LABELS).log_odds(np.zeros((1, 2), "f4"), abnormal)


def test_labels_of_another_number_and_a_file_without_classifier_are_refused(weights, tmp_path):
    with pytest.raises(ValueError, match=r"has 3 outputs\. Give as many `labels`\. Received: 2"):
        load_action_logits(weights, LABELS[:2])
    np.savez(tmp_path / "body.npz", **{"stem.0.weight": np.zeros(1)})
    with pytest.raises(ValueError, match=r"body\.npz has no classifier `fc\.weight`"):
        load_action_logits(tmp_path / "body.npz", LABELS)
    with pytest.raises(ValueError, match=r"`labels` must differ"):
        ActionLogits(("fight", "fight"))


def test_the_labels_are_saved_with_the_weights(weights, tmp_path):
    logits = load_action_logits(weights, LABELS)
    model = keras.Sequential([keras.Input((2,)), logits])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    features = np.ones((1, 2), "f4")
    assert loaded.layers[0].labels == LABELS
    np.testing.assert_array_equal(numbers(loaded(features)), numbers(model(features)))


def test_half_precision_maps_give_float32_logits(weights):
    logits = load_action_logits(weights, LABELS)
    assert keras.backend.standardize_dtype(logits(ops.ones((1, 2), "float16")).dtype) == "float32"


def test_the_real_weights_give_the_reference_logits(shared_data):
    path = shared_data / "weights" / "mc3_18_kinetics400_cctv_fights_state_dict.npz"
    if not path.is_file():
        pytest.skip(f"the weights are not at {path}")
    clip = np.random.default_rng(0).standard_normal((1, 16, 112, 112, 3)).astype("f4")
    maps = build_video_backbone("mc3_18", path)(clip)
    logits = load_action_logits(path, ("fight", "no fight"))
    np.testing.assert_allclose(numbers(logits(maps)).mean((0, 1, 2, 3)), [-1.73619, 1.45052], atol=1e-4)
    np.testing.assert_allclose(numbers(logits.log_odds(maps, ("fight",))).mean(), -1.73619 - 1.45052, atol=2e-4)
