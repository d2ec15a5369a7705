"""Types in the signatures of several modules. Standard library only."""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # of the backend, symbolic, or a NumPy array: Keras has no type for them
Shape: TypeAlias = tuple[int | None, ...]  # None where a size is unknown
