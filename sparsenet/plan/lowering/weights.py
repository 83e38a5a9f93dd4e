"""Weights of convolutions and fully connected layers as matrices."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray
from sparsenet.io.formats.csr import CSR
from sparsenet.io.formats.storage import StoredWeight


def nonzeros(weight: FloatArray | StoredWeight) -> int:
    """How many weights are not zero."""
    return weight.nnz if isinstance(weight, StoredWeight) else int(np.count_nonzero(weight))


def as_csr(weight: FloatArray | StoredWeight) -> CSR:
    """The float32 weights that are not zero, as a CSR matrix."""
    return weight.csr() if isinstance(weight, StoredWeight) else CSR.from_dense(weight)


def as_matrix(weight: FloatArray) -> FloatArray:
    """The weights as a matrix (C_out, C_in / groups * K_h * K_w): those of an output channel in a row."""
    return np.ascontiguousarray(weight.reshape(weight.shape[0], -1))


def zeros_in_words(density: float, zeros: str = "zeros") -> str:
    """The share of weights that are ``zeros``, as text, where the share ``density`` of them is not."""
    return f"{100 * (1 - density):.1f} % {zeros}"
