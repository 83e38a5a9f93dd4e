"""Batch normalization at inference, as the affine map that it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.graph import FloatArray


def as_affine(statistics: Sequence[FloatArray], eps: float) -> tuple[FloatArray, FloatArray]:
    """Scale and shift per channel, computed in float64 and rounded once.

    γ·(x - μ)/√(σ² + ε) + β = x·scale + shift with scale = γ/√(σ² + ε) and shift = β - μ·scale (Ioffe and Szegedy 2015,
    algorithm 2). A variance below -ε gives NaN, and what is beyond float32 infinity, as the formula itself would.

    Args:
        statistics: γ, β, μ and σ², float32 (C,).
        eps: ε.
    """
    gamma, beta, mean, variance = (array.astype(np.float64) for array in statistics)
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + eps)
        return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)
