"""Binary cross entropy of whole videos, the term L_bn of Eq. 9."""

from typing import Any

import keras
from keras import ops

from vad_keras.losses.bags import TopK, bag_score, check_k, labels_of_bags
from vad_keras.typing import Tensor


def bag_cross_entropy(labels: Tensor, scores: Tensor, mask: Tensor | None = None, k: TopK = 0.1) -> Tensor:
    """Binary cross entropy between the label of each video and the top-k mean of its node probabilities.

    ``p_b = mean of the k highest real scores of bag b``, ``loss_b = -(y_b log p_b + (1 - y_b) log(1 - p_b))``.
    Most nodes of an abnormal video are normal, so the mean over all nodes (``k="mean"``, the printed reading of
    Eq. 9) asks too much of them.

    Args:
        labels: ``(B,)``, 1 for an abnormal video and 0 for a normal one.
        scores: probabilities in [0, 1], ``(B, T, ...)``.
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.
        k: number (integer) or share (float) of the real nodes of each video that are averaged, or ``"mean"``.

    Returns:
        float32 ``(B,)``.

    Raises:
        ValueError: if the shapes do not fit or ``k`` is neither a count, a share nor ``"mean"``.

    Example:

    >>> import numpy as np
    >>> scores = np.array([[0.2, 0.8], [0.5, 0.1]])
    >>> loss = bag_cross_entropy(np.array([1, 0]), scores, k=1)  # -log(0.8), -log(0.5)
    >>> [round(float(value), 4) for value in loss]
    [0.2231, 0.6931]

    Reference: Sec 3.4, Eq. 9.
    """
    epsilon = keras.config.epsilon()
    labels = labels_of_bags(labels)
    probability = ops.clip(bag_score(scores, mask, k), epsilon, 1.0 - epsilon)
    return -(labels * ops.log(probability) + (1.0 - labels) * ops.log(1.0 - probability))


@keras.saving.register_keras_serializable("vad_keras")
class BagCrossEntropy(keras.losses.Loss):
    """``bag_cross_entropy`` for ``compile(loss=...)`` of a model with one output, ``(B, T, ...)``, without a mask.

    Args:
        k: number (integer) or share (float) of the nodes of each video that are averaged, or ``"mean"``.
        reduction, name, dtype: as in ``keras.losses.Loss``.

    Raises:
        ValueError: if ``k`` is neither a count, a share nor ``"mean"``.

    Example:

    >>> import numpy as np
    >>> loss = BagCrossEntropy(k=1)
    >>> round(float(loss(np.array([1.0]), np.array([[0.2, 0.5]]))), 4)
    0.6931

    Reference: Sec 3.4, Eq. 9.
    """

    def __init__(
        self,
        k: TopK = 0.1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "bag_cross_entropy",
        dtype: str | keras.DTypePolicy | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        check_k(k)
        self.k = k

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Labels ``(B,)`` and probabilities ``(B, T, ...)`` -> ``(B,)``."""
        return bag_cross_entropy(y_true, y_pred, k=self.k)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the loss."""
        return {**super().get_config(), "dtype": self.dtype, "k": self.k}
