"""What a descriptor says of a public name, and the inputs that many of them share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LENGTHS = np.array([5, 3, 2])
MASK = np.arange(5) < LENGTHS[:, None]
SNIPPET_MASK = np.arange(3) < np.array([3, 2, 1])[:, None]
LABELS = np.array([1, 0, 1], "int32")

# What each promise says. A descriptor may be exempt from one of them, with a reason.
PROMISES = {
    "arguments": "every argument changes something",
    "backends": "TensorFlow, JAX and PyTorch give equal numbers",
    "compiled": "eager, compiled and XLA give equal numbers",
    "config": "the configuration makes an equal object",
    "cut": "a padded video equals the video cut to its length",
    "example": "the docstring has an example",
    "keras_file": "a .keras file gives it back",
    "mixed": "it trains in mixed precision, its softmax and energies in float32",
    "padding": "what stands in padding changes no real frame",
    "saved_model": "a SavedModel gives equal numbers",
    "singles": "a batch equals its videos one by one",
}


@dataclass(frozen=True)
class Descriptor:
    thing: Any
    inputs: dict  # call argument -> array; of a model also the `labels`
    options: dict = field(default_factory=dict)  # arguments it is made with, or a function is called with
    changes: dict = field(default_factory=dict)  # argument -> another value, or a function of a folder that makes one
    other_inputs: dict = field(default_factory=dict)  # argument -> inputs that its other value needs
    other_options: dict = field(default_factory=dict)  # argument -> options that its other value needs
    leaves_out: tuple = ()  # choices whose other value leaves out the code of other choices
    call_options: dict = field(default_factory=dict)
    outputs: tuple = ("output",)
    training_calls: int = 1  # of a model whose arguments show only as training goes on
    call: Callable | None = None  # how a function is called that does not take the inputs one by one
    exempt: dict = field(default_factory=dict)  # promise -> reason

    @property
    def name(self):
        return self.thing.__name__


def random(*shape, seed=0, low=None):
    """float32, normal; uniform in [low, 1] with `low`."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape) if low is None else generator.uniform(low, 1.0, shape)
    return values.astype("float32")


NODES = {"nodes": random(3, 5, 3, 4), "mask": MASK}
