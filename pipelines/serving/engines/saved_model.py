"""The SavedModel engine: TensorFlow runs the exported graph in this process. It needs no Keras and no model class."""

import numpy as np
import tensorflow as tf

from pipelines.serving.model_info import read_model_info
from pipelines.serving.versions import version_folder
from vad_keras import spec


class SavedModelEngine:
    """An exported model, loaded. It keeps the promises of ``pipelines.serving.engines.Engine``.

    Args:
        path: Folder of a version, or of a model, whose newest version is loaded.

    Raises:
        UserError: There is no exported model at ``path``.
    """

    def __init__(self, path):
        folder = version_folder(path)
        self.info = read_model_info(folder)
        self.version = folder.name
        self._model = tf.saved_model.load(str(folder))
        self._signatures = self._model.signatures

    def extract(self, frames):
        """Compute the nodes ``(n, G, C)`` of uint8 frames ``(n, S, S, 3)``."""
        return self._signatures["extract"](frames=frames[np.newaxis])[spec.NODES][0].numpy()

    def score_nodes(self, nodes):
        """Return the outputs of the signature ``score_nodes`` for float32 nodes ``(n, G, C)`` of one video."""
        outputs = self._signatures["score_nodes"](nodes=nodes[np.newaxis])
        return {name: value[0].numpy() for name, value in outputs.items()}
