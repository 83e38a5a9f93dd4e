"""The activations: functions of one number, each an op, and a fused op that an epilogue may hold.

Kernels are compiled for them, and machine code that is kept goes by this file: here is nothing that code does not
depend on. To add one: an entry here, its formula in ``reference/activations.py`` and in each target's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        parameters: names of the numbers it takes beside x, in order; attributes of the op of its name.
        least: no result is smaller; the name of a parameter where that says so.
    """

    parameters: tuple[str, ...] = ()
    least: float | str = -math.inf

    def least_of(self, numbers: Sequence[float]) -> float:
        """No result is smaller, its parameters being ``numbers``."""
        return numbers[self.parameters.index(self.least)] if isinstance(self.least, str) else self.least


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(least=0.0),
    "leaky_relu": Activation(("slope",)),
    "clip": Activation(("min", "max"), least="min"),
    "sigmoid": Activation(least=0.0),
    "tanh": Activation(),
    "silu": Activation(),
    "hard_sigmoid": Activation(least=0.0),  # clip(x / 6 + 1/2, 0, 1), as in PyTorch
    "hard_swish": Activation(),  # x * hard_sigmoid(x)
    "elu": Activation(("alpha",)),  # x where x >= 0, alpha * (exp(x) - 1) elsewhere
    "gelu": Activation(),  # x * (1 + erf(x / sqrt(2))) / 2
    "softplus": Activation(least=0.0),  # log(1 + exp(x))
    "erf": Activation(),
    "exp": Activation(least=0.0),
    "log": Activation(),
    "sqrt": Activation(least=0.0),
    "abs": Activation(least=0.0),
    "floor": Activation(),
    "round": Activation(),  # halves to the even neighbour
    "reciprocal": Activation(),
}
