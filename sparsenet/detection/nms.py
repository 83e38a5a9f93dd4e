"""Greedy non-maximum suppression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.checks import real_number
from sparsenet.graph import FloatArray
from sparsenet.graph.feeds import real_array


def non_maximum_suppression(boxes: FloatArray, scores: FloatArray, iou: float = 0.4) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, best first.

    A box goes if it overlaps a better one that stays by more than ``iou`` (intersection over union). Equal scores
    keep their order.

    Args:
        boxes: (k, 4), left, top, right, bottom.
        scores: (k,).
        iou: 0 to 1.

    Raises:
        InputError: an argument has the wrong type, shape or value.
    """
    real_number(iou, "iou", 0, 1)
    boxes = real_array(boxes, "boxes", (None, 4))
    scores = real_array(scores, "scores", (len(boxes),))
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes[order].T
    area = (right - left) * (bottom - top)
    alive = np.ones(len(order), np.bool_)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = slice(i + 1, None)
        width = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        height = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        # Without a division two empty boxes leave each other alone.
        alive[rest] &= common <= iou * (area[i] + area[rest] - common)
    return order[alive].astype(np.int64)
