"""One layer operated on, given the moments of what it reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.pruning.columns import Columns
from converters.pruning.moments import Float64Array, Moments
from converters.pruning.pattern import Pattern
from converters.pruning.reconstruct import damping, inverse_factor, refit, sweep
from sparsenet.graph import FloatArray


def tried(
    weight: FloatArray,
    bias: FloatArray,
    columns: Columns,
    moments: Sequence[Moments],
    pattern: Pattern,
    sparsities: Sequence[float],
) -> tuple[list[tuple[FloatArray, FloatArray]], Float64Array]:
    """The layer at each of some sparsities, not refitted: weight and bias, and the share of its outputs' variance lost.

    Args:
        weight, bias: dense.
        columns: the layer's.
        moments: of each group, where nothing is pruned before the layer.
        pattern: of the zeros.
        sparsities: to try.
    """
    swept = [
        sweep(rows.astype(np.float64), inverse_factor(_damped(group)), pattern, columns, sparsities)
        for rows, group in zip(columns.rows(weight), moments, strict=True)
    ]
    found = [
        _layer([rows[level] for rows, _ in swept], weight, bias, columns, moments)
        for level in range(len(sparsities))
    ]
    lost = sum((loss.sum(axis=1) for _, loss in swept), np.zeros(len(sparsities)))
    return found, lost / _variance(moments)


def operated(
    weight: FloatArray,
    bias: FloatArray,
    columns: Columns,
    moments: Sequence[Moments],
    pattern: Pattern,
    sparsity: float,
) -> tuple[FloatArray, FloatArray, float]:
    """The layer's new weight and bias, and the share of its outputs' variance that is lost, with those."""
    found = [
        _pruned(rows, group, pattern, columns, sparsity)
        for rows, group in zip(columns.rows(weight), moments, strict=True)
    ]
    rest = sum(
        float(group.variance.sum() + (rows * (rows @ group.covariance - 2 * group.cross)).sum())
        for rows, group in zip(found, moments, strict=True)
    )
    return *_layer(found, weight, bias, columns, moments), max(rest, 0.0) / _variance(moments)


def _layer(
    found: Sequence[Float64Array],
    weight: FloatArray,
    bias: FloatArray,
    columns: Columns,
    moments: Sequence[Moments],
) -> tuple[FloatArray, FloatArray]:
    """Weight and bias of a layer with these rows in its groups: each output keeps the mean that it had."""
    shift = [group.made - rows @ group.means for rows, group in zip(found, moments, strict=True)]
    pruned = columns.weight(np.stack(found).astype(np.float32)).reshape(weight.shape)
    return pruned, (bias + np.concatenate(shift)).astype(np.float32)


def _pruned(
    rows: FloatArray, moments: Moments, pattern: Pattern, columns: Columns, sparsity: float
) -> Float64Array:
    """The rows of a group, as near as they can be to those that make of x̂ what the dense ones made of x."""
    matrix = _damped(moments)
    factor = inverse_factor(matrix)
    target = (moments.cross + damping(moments.covariance) * rows) @ factor.T @ factor
    return refit(target, sweep(target, factor, pattern, columns, [sparsity])[0][0], matrix)


def _damped(moments: Moments) -> Float64Array:
    return moments.covariance + damping(moments.covariance) * np.eye(len(moments.covariance))


def _variance(moments: Sequence[Moments]) -> float:
    """Of all outputs, summed; 1 if they never vary."""
    return sum(float(group.variance.sum()) for group in moments) or 1.0
