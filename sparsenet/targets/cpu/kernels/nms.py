"""Greedy non-maximum suppression of boxes, class by class."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import load_f32, store_f32
from sparsenet.targets.registry import Kernel


@device
def _span(box: int, axis: int, center: int) -> tuple[float, float]:
    """A box on one axis, from its low to its high end."""
    a, b = np.float64(load_f32(box, axis)), np.float64(load_f32(box, axis + 2))
    if center != 0:
        return a - b / 2, a + b / 2
    if a < b:
        return a, b
    return b, a


@device
def _overlap(a: int, b: int, center: int) -> float:
    """Intersection over union, 0 where either has no area or is not a number."""
    both, total, product = 1.0, 1.0, 1.0
    for axis in range(2):
        a_low, a_high = _span(a, axis, center)
        b_low, b_high = _span(b, axis, center)
        low = a_low if a_low > b_low else b_low
        high = a_high if a_high < b_high else b_high
        if not (high > low and a_high > a_low and b_high > b_low):
            return 0.0
        both *= high - low
        total *= a_high - a_low
        product *= b_high - b_low
    return both / (total + product - both)


def build(kernel: Kernel) -> Any:
    """``order``: of each group and class the boxes from the best on, -1 behind the last that counts.

    Rows [group, class, box] of at most ``count`` boxes each, then -1 up to ``rows``.
    """
    read = arguments(kernel)
    box_bytes = 4 * kernel.element.itemsize  # two corners, or a center and the sizes

    def nms(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        boxes, order = given.boxes, given.order
        groups, classes, size, count = given.groups, given.classes, given.size, given.count
        rows, center, limit = given.rows, given.center, given.limit
        out = given.out
        row = 0
        for line in range(groups * classes):
            first, these = row, boxes + line // classes * size * box_bytes
            for place in range(size):
                box = int(load_f32(order, line * size + place))
                if box < 0 or row - first == count:
                    break
                clear = True
                for kept in range(first, row):
                    if (
                        _overlap(
                            these + box * box_bytes,
                            these + int(load_f32(out, kept * 3 + 2)) * box_bytes,
                            center,
                        )
                        > limit
                    ):
                        clear = False
                        break
                if clear:
                    store_f32(out, row * 3, line // classes)
                    store_f32(out, row * 3 + 1, line % classes)
                    store_f32(out, row * 3 + 2, box)
                    row += 1
        for place in range(row * 3, rows * 3):
            store_f32(out, place, -1)

    return kernel_entry(nms)
