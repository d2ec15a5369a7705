"""Weakly supervised video anomaly detection with self-attention cliques and a mean-field CRF, in Keras 3.

The subpackages load when they are first used, so that ``import vad_keras`` loads neither Keras nor NumPy.

Example:

>>> import vad_keras
>>> vad_keras.layers.MeanFieldCRF(max_iterations=3).max_iterations
3
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vad_keras import layers, losses, metrics, models

__version__ = "0.1.0"
__all__ = ["__version__", "layers", "losses", "metrics", "models"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
