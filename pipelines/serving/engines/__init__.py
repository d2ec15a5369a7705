"""Engines run an exported model: in this process, or behind an address. They know neither videos nor windows."""

from typing import Protocol

import numpy as np

from pipelines.serving.model_info import ModelInfo


class Engine(Protocol):
    """What a ``Scorer`` needs. One engine may serve any number of scorers.

    Attributes:
        info: Description of the model, from its ``model.json``.
        version: Version of the model, such as ``"3"``.
    """

    info: ModelInfo
    version: str

    def extract(self, frames: np.ndarray) -> np.ndarray:
        """Compute the nodes of consecutive frames.

        Args:
            frames: uint8 ``(n, S, S, 3)``, RGB, the last snippet may be short. S is ``info.image_size_px``.

        Returns:
            float32 ``(n, G, C)``.
        """

    def score_nodes(self, nodes: np.ndarray) -> dict[str, np.ndarray]:
        """Score the nodes of consecutive frames.

        Args:
            nodes: float32 ``(n, G, C)``.

        Returns:
            The outputs of the signature ``score_nodes`` for one video, by name: ``anomaly_score`` ``(n,)`` always,
            and what else the model gives.
        """
