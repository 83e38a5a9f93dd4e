"""Handing over tensors of which only a part is valid (see ``graph.Partial``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray, TensorInfo


def cut(values: Mapping[str, FloatArray], infos: Sequence[TensorInfo]) -> dict[str, FloatArray]:
    """The tensors of ``infos``, partial ones as long as the longest sample of the batch; NaN where another is shorter.

    ``values`` holds whole tensors and the counts they need, by name.
    """
    results = {}
    for info in infos:
        value = values[info.name]
        if info.partial is not None:
            axis = info.partial.axis
            counts = whole_counts(values[info.partial.count], value.shape[axis])
            longest = counts.max(initial=0)
            value = np.ascontiguousarray(value.take(range(longest), axis=axis))
            rows = np.moveaxis(value, axis, 1)
            for sample, count in enumerate(counts):
                rows[sample, count:] = np.nan
        results[info.name] = value
    return results


def whole_counts(counts: FloatArray, size: int) -> npt.NDArray[np.int64]:
    """The valid elements of an axis of ``size`` for each sample, whatever a network made of their ``counts``."""
    # NaN among the counts can only come of one among the inputs, where nothing is right any more.
    known = np.nan_to_num(counts.reshape(-1)).clip(0, size)
    return np.asarray(np.ceil(known), np.int64)
