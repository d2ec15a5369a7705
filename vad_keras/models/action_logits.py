"""The classifier of a published video network, as a prior for the anomaly score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from vad_keras.models.torch_weights import assign_arrays, read_state_dict
from vad_keras.models.video_networks import HEAD
from vad_keras.typing import Tensor


@keras.saving.register_keras_serializable("vad_keras")
class ActionLogits(layers.Dense):
    """Logits of labelled actions, ``x W + b``, at every position of the maps or for features pooled from them.

    The published networks average the maps over time and place before this linear map. A linear map and an average may
    change places: the logits of a clip are the mean of the logits of its positions. So each position, patch or frame
    has logits of its own, which say where and when an action is seen. This holds for average pooling, not for maximum
    pooling, and for the maps of the backbone alone, before a gate re-weighs them.

    Args:
        labels: names of the actions, in the order of the outputs.
        **kwargs: of ``keras.layers.Dense``; ``dtype`` is float32 by default, also in mixed precision.

    Call arguments:
        features: maps or averages of maps, ``(..., C)``.

    Output shape:
        ``(..., len(labels))``, float32.

    Example:

    >>> import numpy as np
    >>> logits = ActionLogits(("fight", "no fight"))
    >>> maps = np.ones((2, 16, 7, 7, 512), "float32")
    >>> tuple(logits(maps).shape), tuple(logits.log_odds(maps, ("fight",)).shape)
    ((2, 16, 7, 7, 2), (2, 16, 7, 7))
    """

    def __init__(self, labels: Sequence[str], **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(len(labels), **kwargs)
        self.labels = tuple(labels)
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"`labels` must differ from each other. Received: {self.labels}.")

    def log_odds(self, features: Tensor, abnormal: Sequence[str]) -> Tensor:
        """Log-odds of some actions against all others, ``log p / (1 - p)`` of the softmax: ``(..., C)`` -> ``(...)``.

        With two labels this is the difference of their logits, so it is linear too.

        Args:
            features: as in a call.
            abnormal: names of the actions that count as abnormal, some of ``labels``.
        """
        self.check_abnormal(abnormal)
        logits = self(features)
        chosen = [index for index, label in enumerate(self.labels) if label in abnormal]
        others = [index for index in range(len(self.labels)) if index not in chosen]
        return _log_sum(logits, chosen) - _log_sum(logits, others)

    def check_abnormal(self, abnormal: Sequence[str]) -> None:
        """Raise a ``ValueError`` unless these are some of ``labels``, and not all."""
        unknown = sorted(set(abnormal) - set(self.labels))
        if unknown or not 0 < len(set(abnormal)) < len(self.labels):
            raise ValueError(
                f"`abnormal` must name some of `labels`, and not all. Received: {tuple(abnormal)} of "
                f"{len(self.labels)} labels{f', unknown: {unknown}' if unknown else ''}."
            )

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "labels": self.labels}
        del config["units"]
        return config


def _log_sum(logits: Tensor, indices: Sequence[int]) -> Tensor:
    return ops.logsumexp(ops.take(logits, indices, axis=-1), axis=-1)


def load_action_logits(path: str | Path, labels: Sequence[str]) -> ActionLogits:
    """Read the classifier ``fc`` of a weights file of torchvision.

    Args:
        path: ``.npz`` or ``.pth`` file with ``fc.weight`` and ``fc.bias``.
        labels: names of the actions, one per output of the file.

    Raises:
        FileNotFoundError: when the file does not exist.
        ValueError: when it has no ``fc``, or another number of outputs than ``labels``.
    """
    arrays = {name: array for name, array in read_state_dict(path).items() if name.startswith(f"{HEAD}.")}
    if f"{HEAD}.weight" not in arrays:
        raise ValueError(f"The weights file {path} has no classifier `{HEAD}.weight`. Give a file with one.")
    outputs, channels = arrays[f"{HEAD}.weight"].shape
    if outputs != len(labels):
        raise ValueError(
            f"The classifier of {path} has {outputs} outputs. Give as many `labels`. Received: {len(labels)}."
        )
    logits = ActionLogits(labels, name=HEAD)
    logits.build((None, channels))
    assign_arrays({HEAD: logits}, arrays, path)
    return logits
