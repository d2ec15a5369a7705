"""A score from elsewhere as a logit of the detector, with a trainable weight."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from vad_keras import checks
from vad_keras.typing import Shape, Tensor


@keras.saving.register_keras_serializable("vad_keras")
class PriorLogit(keras.layers.Layer):
    """Standardize a score from elsewhere and weigh it: ``w (x - mean) / deviation``.

    The prior may be the log-odds of an action classifier, a pose model, an audio alarm or a zone of the picture: any
    number that is higher where an abnormal event is more likely. ``w`` is trainable. ``mean`` and ``deviation`` are
    not: ``adapt`` sets them from training videos, and until then they are 0 and 1.

    Args:
        initial_weight: of ``w``.

    Call arguments:
        prior: numbers of any shape; one that is NaN or infinite counts as missing and gives 0.

    Output shape:
        Same as ``prior``, float32.

    Example:

    >>> import numpy as np
    >>> layer = PriorLogit()
    >>> layer.adapt(np.array([1.0, 3.0]))
    >>> [float(value) for value in layer(np.array([1.0, 2.0, 5.0, np.nan], "float32"))]
    [-1.0, 0.0, 3.0, 0.0]
    """

    def __init__(self, initial_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        checks.numbers_in("(-inf, inf)", initial_weight=initial_weight)
        self.initial_weight = initial_weight

    def build(self, input_shape: Shape | None = None) -> None:
        fixed = {"shape": (), "trainable": False, "autocast": False}
        start = keras.initializers.Constant(self.initial_weight)
        self.weight = self.add_weight(name="weight", shape=(), initializer=start, autocast=False)
        self.mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.deviation = self.add_weight(name="deviation", initializer="ones", **fixed)
        self.built = True

    def adapt(self, values: ArrayLike) -> None:
        """Take mean and standard deviation of the finite ``values``, numbers of any shape.

        Raises:
            ValueError: when none of them is finite. Equal values leave the deviation at 1.
        """
        known = np.asarray(values, "float64")
        known = known[np.isfinite(known)]
        if not known.size:
            raise ValueError("`values` must hold at least one finite number.")
        if not self.built:
            self.build()
        deviation = known.std()
        self.mean.assign(known.mean())
        self.deviation.assign(deviation if deviation > 0 else 1.0)

    def call(self, prior: Tensor) -> Tensor:
        prior = ops.cast(prior, "float32")
        known = ops.isfinite(prior)
        prior = ops.where(known, prior, ops.zeros_like(prior))  # also in the gradient
        weight, mean, deviation = map(ops.convert_to_tensor, (self.weight, self.mean, self.deviation))
        return ops.where(known, weight * (prior - mean) / deviation, ops.zeros_like(prior))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_weight": self.initial_weight}
