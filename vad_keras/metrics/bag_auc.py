"""Video-level AUC while training, where only the labels of videos are known."""

from typing import Any

import keras
from keras import ops

from vad_keras import checks
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class BagAUC(keras.metrics.AUC):
    """Area under the ROC curve of bags, the score of a bag being the maximum over its real nodes.

    It needs no frame label, so it may choose an epoch on validation videos. The curve is cut at evenly spaced
    thresholds in [0, 1]; ``vad_keras.metrics.video_auc`` is exact.

    Args:
        num_thresholds: points of the curve.
        name, dtype: as in ``keras.metrics.AUC``.

    Call arguments of ``update_state``:
        y_true: ``(B,)`` or ``(B, 1)``, 1 for an abnormal video.
        y_pred: scores in [0, 1], ``(B,)`` or ``(B, T, ...)``.
        sample_weight: ``(B,)`` or ``None``.
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.

    Example:

    >>> import numpy as np
    >>> metric = BagAUC()
    >>> metric.update_state(np.array([0, 1]), np.array([[0.1, 0.9], [0.6, 0.2]]), mask=np.array([[1, 0], [1, 1]]))
    >>> round(float(metric.result()), 3)
    1.0
    """

    def __init__(
        self, num_thresholds: int = 1000, name: str = "bag_auc", dtype: str | keras.DTypePolicy | None = None
    ) -> None:
        checks.integers(2, num_thresholds=num_thresholds)
        super().__init__(num_thresholds=num_thresholds, name=name, dtype=dtype)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None, mask: Tensor | None = None
    ) -> None:
        """Add the bags of one batch."""
        scores = ops.cast(y_pred, "float32")
        if mask is not None:
            mask = ops.cast(mask, "bool")
            for _ in scores.shape[2:]:
                mask = ops.expand_dims(mask, -1)
            scores = ops.where(mask, scores, 0.0)
        if len(scores.shape) > 1:
            scores = ops.max(scores, axis=tuple(range(1, len(scores.shape))))
        super().update_state(ops.reshape(checks.labels(y_true), (-1,)), scores, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the metric."""
        return {"num_thresholds": self.num_thresholds, "name": self.name, "dtype": self.dtype}
