"""Whether engines computed the same, asked before anyone's time is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.verify import relative_error
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray

#: Largest difference ÷ largest value: of a whole network's outputs, and of one kernel's.
TOLERANCE, KERNEL_TOLERANCE = 1e-3, 1e-4


def check_outputs(outputs: Mapping[str, Sequence[FloatArray]], what: str) -> dict[str, float]:
    """Largest relative difference of each engine's outputs from the first engine's.

    Args:
        outputs: engine → outputs in the order of the graph.
        what: the network and its sparsity, for messages.

    Raises:
        SparsenetError: the first engine returns NaN or infinity, or another differs by more than ``TOLERANCE``.
    """
    first, expected = next(iter(outputs.items()))
    if not all(np.isfinite(y).all() for y in expected):
        raise SparsenetError(f"{what}: '{first}' returns NaN or infinity")
    errors = {}
    for name, got in outputs.items():
        errors[name] = max(relative_error(a, b) for a, b in zip(got, expected, strict=True))
        if not errors[name] <= TOLERANCE:
            raise SparsenetError(
                f"{what}: outputs of '{name}' and '{first}' differ by {errors[name]:.2g} relative, so their times "
                "mean nothing"
            )
    return errors
