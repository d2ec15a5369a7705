"""Tests of vad_keras.losses.bag_contrast."""

import keras
import numpy as np
import pytest

from vad_keras.losses import bag_contrast

POSITIVE = np.array([[0.0, 0.0], [3.0, 4.0]], "float32")
NEGATIVE = np.array([[0.0, 0.5], [0.0, 0.25], [6.0, 8.0]], "float32")


def value(*args, **kwargs):
    return float(keras.ops.convert_to_numpy(bag_contrast(*args, **kwargs)))


def mean_distance(positive, negative):
    return np.linalg.norm(positive[:, None] - negative[None], axis=-1).mean()


def test_hinge_by_hand():
    # distances from (0, 0): .5, .25, 10; from (3, 4): all above 1
    assert value(POSITIVE, NEGATIVE) == pytest.approx((0.5**2 + 0.75**2) / 6)
    assert value(POSITIVE[1:], NEGATIVE[2:], margin=6.0) == pytest.approx(1.0)


def test_printed_form_by_hand():
    # Eq. 10 with |Bp| = 1, |Bn| = 2: (25 + 100) / (1 * 2) ** 2
    assert value(POSITIVE[:1], np.array([[3.0, 4.0], [6.0, 8.0]]), form="printed") == pytest.approx(125 / 4)


def test_step_of_the_hinge_widens_the_distance_and_of_the_printed_form_narrows_it(gradients):
    random = np.random.default_rng(0)
    positive, negative = random.normal(size=(4, 8)), random.normal(size=(5, 8))
    before = mean_distance(positive, negative)
    for form, widens in (("hinge", True), ("printed", False)):
        slopes = gradients(lambda p, n, form=form: bag_contrast(p, n, margin=10.0, form=form), positive, negative)
        after = mean_distance(positive - 0.1 * slopes[0], negative - 0.1 * slopes[1])
        assert (after > before) == widens
        assert abs(after - before) > 1e-4


@pytest.mark.parametrize("form", ["hinge", "printed"])
def test_shuffling_the_rows_changes_nothing(form):
    assert value(POSITIVE[::-1], NEGATIVE[[2, 0, 1]], form=form) == pytest.approx(value(POSITIVE, NEGATIVE, form=form))


@pytest.mark.parametrize("form", ["hinge", "printed"])
def test_masked_rows_take_no_part(form):
    mixed = np.concatenate([POSITIVE, NEGATIVE])
    is_positive = np.array([True, True, False, False, False])
    found = value(mixed, mixed, form=form, positive_mask=is_positive, negative_mask=~is_positive)
    assert found == pytest.approx(value(POSITIVE, NEGATIVE, form=form))


@pytest.mark.parametrize("form", ["hinge", "printed"])
def test_without_a_pair_the_loss_is_zero(form):
    assert value(POSITIVE, NEGATIVE, form=form, negative_mask=np.zeros(3, bool)) == 0


@pytest.mark.parametrize("gap", [0.0, 1e-30, 1e-20, 1e-8])
def test_gradient_is_finite_where_embeddings_coincide(gradients, gap):
    slopes = gradients(lambda p, n: bag_contrast(p, n), np.full((1, 3), gap), np.zeros((1, 3)))
    assert all(np.isfinite(slope).all() and np.abs(slope).max() <= 2.01 for slope in slopes)


def test_small_distance_between_long_embeddings_is_not_lost():
    far = np.full((1, 4), 1000.0, "float32")
    near = far + np.array([[0.5, 0, 0, 0]], "float32")
    assert value(far, near) == pytest.approx(0.25)


def test_compiled_value_equals_the_eager_one(compiled):
    for form in ("hinge", "printed"):
        found = compiled(lambda p, n, form=form: bag_contrast(p, n, form=form))(POSITIVE, NEGATIVE)
        assert float(keras.ops.convert_to_numpy(found)) == pytest.approx(value(POSITIVE, NEGATIVE, form=form))


def test_errors_name_what_came():
    with pytest.raises(ValueError, match=r"`form` must be one of.*'hnige'"):
        bag_contrast(POSITIVE, NEGATIVE, form="hnige")
    with pytest.raises(ValueError, match=r"`margin` must be a number in \(0, inf\)\. Received: 0"):
        bag_contrast(POSITIVE, NEGATIVE, margin=0)
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(3, 1\)"):
        bag_contrast(POSITIVE, NEGATIVE[:, :1])
