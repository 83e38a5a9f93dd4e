"""Optimal brain surgeon by layer, in column order: what a weight did, the weights behind it do, as well as they can.

Removing a weight and changing others so that (w - ŵ) H (w - ŵ)ᵀ grows least, where H tells how the inputs vary
together, has a closed form in the inverse of H (Hassibi and Stork 1992). If columns are decided on from the first to
the last, and only those behind may change, one Cholesky factor of the inverse serves all rows and columns (Frantar and
Alistarh, arXiv 2301.00774). ``refit`` then lets all weights that are left change once more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from converters.pruning.columns import Columns
from converters.pruning.moments import Float64Array
from converters.pruning.pattern import BoolArray, Pattern

IntArray = npt.NDArray[np.int64]
#: Share of the mean of the diagonal that is added to it: what hardly ever varied may do so in inputs to come.
DAMPING = 0.01
#: Triangular matrices up to this size are inverted like any other.
_SMALL = 128
#: So few columns are settled one after the other.
_FEW = 8


def damping(covariance: Float64Array) -> float:
    """What is added to the diagonal before anything is inverted."""
    return DAMPING * float(np.trace(covariance)) / len(covariance) or 1.0


def inverse_factor(matrix: Float64Array) -> Float64Array:
    """The upper triangular U with UᵀU = matrix⁻¹, for a symmetric and positive definite matrix."""
    lower = np.asarray(np.linalg.cholesky(matrix[::-1, ::-1]), np.float64)
    return np.ascontiguousarray(_inverted(lower)[::-1, ::-1])


def _inverted(lower: Float64Array) -> Float64Array:
    """The inverse of a lower triangular matrix."""
    if len(lower) <= _SMALL:
        return np.tril(np.linalg.inv(lower))
    half = len(lower) // 2
    inverse = np.zeros_like(lower)
    inverse[:half, :half], inverse[half:, half:] = (
        _inverted(lower[:half, :half]),
        _inverted(lower[half:, half:]),
    )
    inverse[half:, :half] = -inverse[half:, half:] @ (lower[half:, :half] @ inverse[:half, :half])
    return inverse


def sweep(
    rows: Float64Array, factor: Float64Array, pattern: Pattern, columns: Columns, sparsities: Sequence[float]
) -> tuple[Float64Array, Float64Array]:
    """Prune a layer to each of some sparsities, all in one sweep over its columns.

    Args:
        rows: of weights, (outputs, columns).
        factor: the upper triangular factor of the inverse of H (see ``inverse_factor``).
        pattern: of the zeros.
        columns: what the columns are.
        sparsities: share of zeros of each result; a pattern of N:M has its own, whatever is given.

    Returns:
        The pruned rows, (sparsities, outputs, columns), and (w - ŵ) H (w - ŵ)ᵀ of each, (sparsities, outputs).
    """
    starts, squares = np.array(pattern.starts(columns)), np.square(np.diag(factor))
    spans = pattern.spans(columns)
    quotas = _quotas(rows, factor, starts, [end for _, end in spans], sparsities)
    work = np.repeat(
        rows.T[:, None], len(sparsities), axis=1
    )  # (columns, sparsities, outputs): a column is one piece
    loss, owed = np.zeros(work.shape[1:]), np.zeros(len(sparsities))
    for (first, end), quota in zip(spans, quotas, strict=True):
        block, corner = work[first:end], factor[first:end, first:end]
        if pattern.of:
            gone = _worst_of_group(np.square(block) / squares[first:end, None, None], pattern.kept)
        else:
            owed += quota
            gone = _worst_blocks(block, corner, starts[(starts >= first) & (starts < end)] - first, owed)
            owed -= gone.sum(axis=(0, 2))
        errors = _settled(block, corner, gone)
        block[gone] = 0.0  # and not nearly so
        loss += np.square(errors).sum(axis=0)
        _pay(work[end:], factor[first:end, end:], errors)
    return np.ascontiguousarray(work.transpose(1, 2, 0)), loss


def _settled(block: Float64Array, corner: Float64Array, gone: BoolArray) -> Float64Array:
    """Remove what is ``gone`` of some columns, in place, the others making up for it; what is left to those behind.

    By halves, so that most of the work is products of matrices: a layer of 4,608 columns takes a third of the time.

    Args:
        block: the columns, (columns, sparsities, outputs).
        corner: their part of the factor.
        gone: what is to be removed.
    """
    if len(block) > _FEW:
        half = len(block) // 2
        first = _settled(block[:half], corner[:half, :half], gone[:half])
        _pay(block[half:], corner[:half, half:], first)
        return np.concatenate([first, _settled(block[half:], corner[half:, half:], gone[half:])])
    errors = np.empty_like(block)
    for j, column in enumerate(block):
        errors[j] = np.where(gone[j], column, 0.0) / corner[j, j]
        block[j:] -= corner[j, j:, None, None] * errors[j]
    return errors


def _pay(behind: Float64Array, factor: Float64Array, errors: Float64Array) -> None:
    """Change the columns ``behind`` by what is left to them, in place."""
    behind -= (factor.T @ errors.reshape(len(errors), -1)).reshape(behind.shape)


def refit(rows: Float64Array, pruned: Float64Array, matrix: Float64Array, steps: int = 20) -> Float64Array:
    """Change the weights of ``pruned`` that are not zero so that (w - ŵ) H (w - ŵ)ᵀ falls: conjugate gradients.

    Args:
        rows: of the dense weight, (outputs, columns).
        pruned: where to begin; zeros stay.
        matrix: H, (columns, columns).
        steps: each of which makes it smaller, or leaves what is best already.
    """
    mask, scale = pruned != 0, 1.0 / np.diag(matrix)
    found = pruned.copy()
    left = np.where(mask, (rows - found) @ matrix, 0.0)
    direction = left * scale
    power = (left * direction).sum(axis=1)
    for _ in range(steps):
        bent = np.where(mask, direction @ matrix, 0.0)
        step = _ratio(power, (direction * bent).sum(axis=1))
        found += step * direction
        left -= step * bent
        before, power = power, (left * left * scale).sum(axis=1)
        direction = left * scale + _ratio(power, before) * direction
    return found


def _ratio(a: Float64Array, b: Float64Array) -> Float64Array:
    """a / b as a column, 0 where b is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)[:, None]


def _quotas(
    rows: Float64Array,
    factor: Float64Array,
    starts: IntArray,
    ends: Sequence[int],
    sparsities: Sequence[float],
) -> Float64Array:
    """How many weights to lose in each span of columns at each sparsity, (spans, sparsities).

    Where a layer's least important weights are, as long as none has changed, decides.
    """
    sizes = np.diff([*starts, rows.shape[1]])
    scores = np.add.reduceat(np.square(rows) / np.square(factor).sum(axis=0), starts, axis=1) / sizes
    order = scores.argsort(axis=None, kind="stable")
    unit = order % len(starts)
    lost = np.cumsum(sizes[unit])
    span = np.searchsorted(ends, starts[unit], "right")
    quotas = [
        np.bincount(span[:count], sizes[unit[:count]], len(ends))
        for count in np.searchsorted(lost, np.array(sparsities) * rows.size + 0.5, "right")
    ]
    return np.array(quotas, np.float64).T


def _worst_of_group(scores: Float64Array, kept: int) -> BoolArray:
    """Of the columns of one group, (columns, sparsities, outputs), all but the ``kept`` best."""
    ranks = scores.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return ranks < len(scores) - kept


def _worst_blocks(
    block: Float64Array, corner: Float64Array, starts: IntArray, quota: Float64Array
) -> BoolArray:
    """The blocks of a span, (columns, sparsities, outputs), whose loss costs least, as many weights as the quota says.

    All of w lost together costs ‖w U⁻¹‖², U being the part of the factor that belongs to the block.
    """
    sizes = np.diff([*starts, len(block)])
    number = np.repeat(np.arange(len(starts)), sizes)
    own = np.where(number[:, None] == number, corner, 0.0)
    alone = (np.linalg.inv(own).T @ block.reshape(len(block), -1)).reshape(block.shape)
    scores = np.add.reduceat(np.square(alone), starts, axis=0) / sizes[:, None, None]
    gone = np.zeros(scores.shape, np.bool_)
    for level, weights in enumerate(quota):
        order = scores[:, level].argsort(axis=None, kind="stable")
        lost = np.cumsum(sizes[order // block.shape[2]])
        chosen = np.zeros(order.size, np.bool_)
        chosen[order[: np.searchsorted(lost, weights + 0.5, "right")]] = True
        gone[:, level] = chosen.reshape(len(starts), -1)
    return gone[number]
