"""Bias correction: the rounding of weights shifts the mean of each output channel, and the bias takes that back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray


def expected_shift(
    weight: FloatArray, rounded: FloatArray, means: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(C_out,): by how much the mean of each output rises when ``weight`` becomes ``rounded``.

    Nagel et al., arXiv 1906.04721, section 4.2: the error of the weights times the mean of the inputs.

    Args:
        weight: (C_out, C_in of a group, …).
        rounded: of the same shape.
        means: (C_in,), the mean of each input channel.
    """
    error = (rounded.astype(np.float64) - weight).reshape(*weight.shape[:2], -1).sum(axis=2)
    groups = means.size // weight.shape[1]
    inputs = means.reshape(groups, -1)
    return np.einsum("goc,gc->go", error.reshape(groups, -1, weight.shape[1]), inputs).reshape(-1)
