"""Adam as the publications of the baselines ran it: the L2 penalty is part of the gradient."""

from typing import Any

import keras

from vad_keras import checks
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class AdamL2(keras.optimizers.Adam):
    """Adam with ``l2 * weight`` added to the gradient of every weight, as ``torch.optim.Adam(weight_decay=l2)``.

    The ``weight_decay`` of Keras is decoupled (AdamW): it takes ``learning_rate * weight_decay * weight`` off each
    weight, which at these rates is almost nothing. Gradients are clipped before the penalty is added.

    Args:
        learning_rate: number or schedule.
        l2: weight of the penalty.
        **kwargs: the other arguments of ``keras.optimizers.Adam``.

    Raises:
        ValueError: if ``l2`` is negative.

    Example:

    >>> float(AdamL2(0.001, l2=0.005).l2)
    0.005

    Reference: Kingma and Ba, Adam, ICLR 2015; Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        l2: float = 0.0,
        **kwargs: Any,
    ) -> None:
        checks.numbers_in("[0, inf)", l2=l2)
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.l2 = l2

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        """One step of Adam with the penalty in the gradient."""
        super().update_step(gradient + self.l2 * keras.ops.cast(variable, gradient.dtype), variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild the optimizer."""
        return {**super().get_config(), "l2": self.l2}
