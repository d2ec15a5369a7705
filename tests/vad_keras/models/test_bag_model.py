"""Tests of vad_keras.models.bag_model. tests/conformance/test_training.py holds every bag model to it."""

import keras
import numpy as np
import pytest
from keras import ops

from vad_keras.layers import PriorLogit
from vad_keras.models.bag_model import BagModel

NODES = np.array([[0.1, 0.9], [0.2, 0.4], [0.3, 0.6]], "float32").reshape(3, 2, 1, 1)
LABELS = np.array([0, 0, 1])


class Identity(BagModel):
    """The score of a frame is its one channel times a weight of 1; the loss is the mean score of the normal videos."""

    LOSS_TERMS = ("normal",)

    def build_nodes(self, nodes_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", regularizer=keras.regularizers.L2(0.5))

    def call(self, inputs):
        self.add_loss(0.25 * ops.ones(()))
        return {"anomaly_score": ops.where(self.mask_of(inputs), inputs["nodes"][:, :, 0, 0] * self.scale, 0.0)}

    def loss_terms(self, labels, outputs, mask):
        normal = ops.sum(outputs["anomaly_score"] * (1.0 - labels)[:, None]) / 4.0
        return {"normal": normal, "total": 2.0 * normal}


def compiled(**options):
    model = Identity()
    model.compile(keras.optimizers.SGD(0.0), **options)
    return model


def test_regularizers_and_added_losses_count_in_training_only():
    model = compiled()
    trained = model.train_on_batch({"nodes": NODES}, LABELS, return_dict=True)
    tested = model.test_on_batch({"nodes": NODES}, LABELS, return_dict=True)
    assert float(trained["loss"]) == pytest.approx(0.8 + 0.5 + 0.25)
    assert float(tested["loss"]) == pytest.approx(0.8) and float(tested["normal"]) == pytest.approx(0.4)


def test_metrics_of_compile_get_a_label_and_the_highest_score_of_each_video():
    model = compiled(metrics=["accuracy"], weighted_metrics=[keras.metrics.MeanSquaredError(name="square")])
    found = model.evaluate({"nodes": NODES, "mask": np.array([[1, 0], [1, 1], [1, 1]], bool)}, LABELS, verbose=0)
    found = dict(zip(("loss", "accuracy", "square"), found, strict=False))
    assert found["accuracy"] == pytest.approx(1.0)
    assert found["square"] == pytest.approx((0.1**2 + 0.4**2 + 0.4**2) / 3)
    assert "bag_auc" in model.evaluate({"nodes": NODES}, LABELS, verbose=0, return_dict=True)


@pytest.mark.parametrize("option", [{"run_eagerly": True}, {"steps_per_execution": 2}, {"jit_compile": True}])
def test_other_options_of_compile_change_no_loss(option):
    if "steps_per_execution" in option and keras.backend.backend() == "torch":
        pytest.skip("Keras has no steps_per_execution on PyTorch")
    data = {"nodes": np.concatenate([NODES] * 4)}, np.concatenate([LABELS] * 4)
    found = compiled(**option).evaluate(*data, batch_size=3, verbose=0, return_dict=True)
    assert found == pytest.approx(compiled().evaluate(*data, batch_size=3, verbose=0, return_dict=True))


def test_a_model_of_its_own_loss_takes_no_other():
    model = Identity()
    with pytest.raises(ValueError, match=r"takes no `loss`\. Received: 'mse'.*override `loss_terms`"):
        model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match=r"takes no `loss_weights`"):
        model.compile("sgd", loss_weights=[1.0])
    assert not model.compiled


@pytest.mark.parametrize("weights", [{"class_weight": {0: 1.0, 1: 2.0}}, {"sample_weight": np.ones(3)}])
def test_weights_of_videos_are_refused_by_name(weights):
    (name,) = weights
    model = compiled()
    with pytest.raises(ValueError, match=rf"takes no `{name}`: its loss compares the videos"):
        model.fit({"nodes": NODES}, LABELS, verbose=0, **weights)
    assert not model.built
    model.fit({"nodes": NODES}, LABELS, verbose=0)


def test_build_needs_four_axes_and_known_channels():
    with pytest.raises(ValueError, match=r"\(B, T, G, C\)\. Received: \(2, 5, 6\).*nodes\[:, :, None, :\]"):
        Identity().build((2, 5, 6))
    with pytest.raises(ValueError, match="channels of `nodes` must be known"):
        Identity().build({"nodes": (None, None, 3, None)})


def test_nodes_of_other_channels_are_refused():
    model = compiled()
    model({"nodes": NODES})
    with pytest.raises(ValueError, match=r"must have the 1 channels that this model was built for.*\(3, 2, 1, 4\)"):
        model({"nodes": np.zeros((3, 2, 1, 4), "float32")})


def test_the_highest_known_patches_set_the_scale_of_a_prior():
    model = Identity()
    model.prior = PriorLogit()
    model.adapt_prior([np.array([[2.0, 0.25], [np.nan, 4.0], [np.nan, np.inf]]), np.array([0.0, -2.0])])
    assert float(model.prior.mean) == pytest.approx(1.0)  # of 2, 4, 0 and -2
    assert float(model.prior.deviation) == pytest.approx(np.std([2, 4, 0, -2]))


def test_a_model_without_a_prior_has_no_scale_to_set():
    with pytest.raises(ValueError, match=r'Identity has no prior\. Set `unary_from="prior"`'):
        Identity().adapt_prior([np.zeros(3)])
