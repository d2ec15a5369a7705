"""The SavedModel engine: TensorFlow runs the exported graph in this process. It needs no Keras and no model class."""

import numpy as np
import tensorflow as tf

from pipelines.config import UserError
from pipelines.run.failures import machine_error
from pipelines.serving.model_info import read_model_info, version_hash
from pipelines.serving.versions import version_folder
from vad_keras import spec


class SavedModelEngine:
    """An exported model, loaded. It keeps the promises of ``pipelines.serving.engines.Engine``.

    Args:
        path: Folder of a version, or of a model, whose newest version is loaded.

    Raises:
        UserError: There is no exported model at ``path``, or its files are damaged.
    """

    def __init__(self, path):
        folder = version_folder(path)
        self.info = read_model_info(folder)
        self.version = folder.name
        self.sha256 = version_hash(folder)
        self._model = _load(folder)
        self._signatures = self._model.signatures

    def extract(self, frames):
        """Compute the nodes ``(n, G, C)`` of uint8 frames ``(n, S, S, 3)`` and, if the model takes it, their prior."""
        outputs = self._signatures["extract"](frames=frames[np.newaxis])
        taken = (spec.NODES, spec.PRIOR) if self.info.takes_prior else (spec.NODES,)
        return {name: outputs[name][0].numpy() for name in taken}

    def score_nodes(self, inputs):
        """Return the outputs of the signature ``score_nodes`` for what ``extract`` returns of one video."""
        outputs = self._signatures["score_nodes"](**{name: value[np.newaxis] for name, value in inputs.items()})
        return {name: value[0].numpy() for name, value in outputs.items()}

    def close(self):
        """Do nothing: the model goes with the engine."""


def _load(folder):
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # of many kinds, depending on which byte of which file is wrong
        if machine_error(error):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"the model {folder} cannot be loaded ({lines[0][:200]}). Export it again.") from error
