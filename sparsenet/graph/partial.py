"""Handing over tensors of which only a part is valid (see ``graph.Partial``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

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
            # NaN among the counts can only come of one among the inputs, where nothing is right any more.
            counts = np.nan_to_num(values[info.partial.count].reshape(-1)).clip(0, value.shape[axis])
            counts = np.ceil(counts).astype(int)
            longest = counts.max(initial=0)
            value = np.ascontiguousarray(value.take(range(longest), axis=axis))
            rows = np.moveaxis(value, axis, 1)
            for sample, count in enumerate(counts):
                rows[sample, count:] = np.nan
        results[info.name] = value
    return results
