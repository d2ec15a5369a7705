"""What each reading of Sec 3.4, Eq. 9 and 10 and of the metrics changes, in the figures that `PAPER.md` prints."""

import keras
import numpy as np
import pytest

from tests.oracles.formulas import assert_printed, to_numpy
from vad_keras.losses import bag_contrast, bag_cross_entropy, contrastive_mil
from vad_keras.metrics import false_alarm_rate, frame_auc
from vad_keras.models import AnomalyDetector

LABELS = np.arange(64) % 2
MARKED = np.zeros((64, 6), int)  # the abnormal frames
MARKED[1::2, 2:4] = 1


def marked_videos(seed):
    """64 videos of 6 frames, 3 patches and 6 channels; one patch of frames 2 and 3 of each abnormal one is marked."""
    nodes = np.random.default_rng(seed).normal(size=(64, 6, 3, 6)).astype("float32")
    nodes[1::2, 2:4, 1, :2] += 4.0
    return nodes


@pytest.fixture(scope="module")
def trained():
    """What two detectors make of new videos: cross entropy on the marginals alone, as printed, and on both heads."""
    outputs = {}
    for reading, options in {"printed": {"cross_entropy_on": ("marginals",)}, "both": {}}.items():
        keras.utils.set_random_seed(0)
        model = AnomalyDetector(4, 8, (1, 2), dropout=0.0, max_iterations=2, hidden_units=8, loss_options=options)
        model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        model.fit({"nodes": marked_videos(0)}, LABELS, batch_size=16, epochs=25, verbose=0)
        found = model({"nodes": marked_videos(1)})
        outputs[reading] = to_numpy(found["patch_score"]), to_numpy(found["marginals"])[..., 1]
    return outputs


def test_cross_entropy_on_the_marginals_alone_leaves_the_scorer_untaught(trained):
    (printed, _), (both, _) = trained["printed"], trained["both"]
    assert frame_auc(MARKED, printed.max(axis=2)) < 0.5
    assert frame_auc(MARKED, both.max(axis=2)) > 0.8
    assert printed[1::2, 2:4, 1].mean() < 0.01  # sparsity and smoothness have silenced it
    assert both[1::2, 2:4, 1].mean() > 0.05


def test_score_and_marginal_of_a_node_are_two_opinions(trained):
    for reading, (scores, marginals) in trained.items():
        assert np.corrcoef(scores.ravel(), marginals.ravel())[0, 1] < 0.85, reading


def test_mean_over_all_nodes_blames_the_normal_ones_of_an_abnormal_video():
    scores = np.zeros((1, 10, 10), "float32")
    scores[0, 4] = 1.0  # a perfect detector: the tenth of the nodes that is abnormal scores 1, all others 0
    top_k, mean = (to_numpy(bag_cross_entropy(np.array([1]), scores, k=k))[0] for k in (0.1, "mean"))
    assert_printed(top_k, "0.00")
    assert_printed(mean, "2.30")


def test_mean_over_all_nodes_pulls_nine_tenths_of_its_gradient_at_normal_nodes(gradients64):
    scores = np.linspace(0.3, 0.7, 100).reshape(1, 10, 10)  # the last frame, the highest tenth, is abnormal
    share = {}
    for k in (0.1, "mean"):
        (found,) = gradients64(lambda s, k=k: bag_cross_entropy(np.array([1]), s, k=k)[0], [scores])
        share[k] = np.abs(found[0, :9]).sum() / np.abs(found).sum()
    assert_printed(share[0.1], "0.0")
    assert_printed(share["mean"], "0.9")


def test_one_step_of_eq_10_as_printed_draws_the_bags_together(gradients64):
    positive, negative, after = np.array([[0.0, 0.0]]), np.array([[0.5, 0.0]]), {}
    for form in ("hinge", "printed"):
        slopes = gradients64(lambda p, n, form=form: bag_contrast(p, n, form=form), [positive, negative])
        moved = positive - 0.1 * slopes[0], negative - 0.1 * slopes[1]
        after[form] = np.linalg.norm(moved[0] - moved[1])
    assert_printed(np.linalg.norm(positive - negative), "0.50")
    assert_printed(after["hinge"], "0.70")
    assert_printed(after["printed"], "0.30")


def test_eq_10_divides_by_the_number_of_pairs_once_too_often():
    positive, negative = np.zeros((10, 3), "float32"), np.zeros((10, 3), "float32")
    negative[:, 0] = 2.0
    mean_square = 2.0**2
    assert_printed(mean_square / float(bag_contrast(positive, negative, form="printed")), "100")


def test_all_nodes_of_a_bag_would_bury_the_abnormal_ones_in_the_contrast():
    scores = np.zeros((2, 10, 10), "float32")
    scores[:, 4] = 1.0
    embedding = np.zeros((2, 10, 10, 3), "float32")
    embedding[1, 4, :, 0] = 1.0  # the abnormal tenth of the second video lies 1 away from everything normal
    outputs = {"patch_score": scores, "embedding": embedding}
    for k, figure in ((0.1, "1.00"), ("mean", "0.01")):  # squared distance of the two bags
        terms = contrastive_mil(LABELS[:2], outputs, k=k, contrast_form="printed", cross_entropy_on=())
        assert_printed(terms["contrast"], figure)


def test_embeddings_of_many_channels_lie_beyond_the_margin_until_brought_to_unit_length():
    random = np.random.default_rng(0)
    outputs = {"embedding": random.normal(size=(4, 8, 14, 128)).astype("float32")}
    outputs["patch_score"] = random.uniform(size=(4, 8, 14)).astype("float32")
    for unit, figure in ((False, "0.00"), (True, "0.38")):
        terms = contrastive_mil(LABELS[:4], outputs, cross_entropy_on=(), normalize_embeddings=unit, margin=2.0)
        assert_printed(terms["contrast"], figure)


def test_threshold_of_half_a_percent_would_call_nearly_everything_an_alarm():
    scores = np.linspace(0, 1, 1000, endpoint=False)  # a detector that knows nothing
    assert_printed(false_alarm_rate(scores, 0.5), "50.0")
    assert_printed(false_alarm_rate(scores, 0.005), "99.5")


def test_without_the_skip_path_attention_makes_nodes_alike():
    random, spread = np.random.default_rng(0), {}
    nodes = random.normal(size=(2, 16, 14, 32)).astype("float32")
    for residual in (True, False):
        model = AnomalyDetector(16, 32, residual=residual)
        model.build({"nodes": nodes.shape})
        for weight in model.trainable_variables:
            if len(weight.shape) == 2:  # kernels as they start on average, the same on each backend
                weight.assign(random.normal(0, sum(weight.shape) ** -0.5 * 2**0.5, size=weight.shape))
        h = model({"nodes": nodes})["embedding"]
        spread[residual] = to_numpy(h).std(axis=(1, 2)).mean()  # between the nodes of a video; that of the nodes is 1
    assert_printed(spread[True], "1.0")
    assert_printed(spread[False], "0.3")
