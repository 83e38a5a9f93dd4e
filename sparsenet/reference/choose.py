"""Choosing by value: the largest numbers, elements by computed index, boxes that do not overlap, what is not zero."""

from __future__ import annotations

from itertools import product

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def top_k(inputs: list[Array], attrs: Attrs) -> Array:
    """Indices of the ``count`` largest (or smallest) numbers of an axis, NaN first, of equal ones the first."""
    x = inputs[0] if attrs["largest"] else -inputs[0]
    order = np.argsort(np.where(np.isnan(x), -np.inf, -x), axis=attrs["axis"], kind="stable")
    # Infinity sorts with NaN; a second stable sort puts NaN in front.
    infinite = ~np.isnan(np.take_along_axis(x, order, attrs["axis"]))
    order = np.take_along_axis(order, np.argsort(infinite, axis=attrs["axis"], kind="stable"), attrs["axis"])
    return order.take(range(attrs["count"]), axis=attrs["axis"]).astype(np.float64)


def indices_of(numbers: Array, size: int) -> np.ndarray:
    """Computed indices of an axis: negative ones count from the back, and what leaves it stops at the end."""
    numbers = np.nan_to_num(numbers, nan=0.0, posinf=size, neginf=-size)
    whole = np.floor(numbers + 0.5)
    return np.asarray(np.where(whole < 0, whole + size, whole).clip(0, size - 1), np.int64)


def gather_elements(inputs: list[Array], attrs: Attrs) -> Array:
    """Elements of x: each result reads its own index on the axis, and its own place on all others."""
    x, numbers = inputs
    return np.take_along_axis(x, indices_of(numbers, x.shape[attrs["axis"]]), attrs["axis"])


def gather_nd(inputs: list[Array], _attrs: Attrs) -> Array:
    """The elements of each sample at the places that the last axis of the indices names."""
    x, numbers = inputs
    places = [indices_of(numbers[..., i], x.shape[1 + i]) for i in range(numbers.shape[-1])]
    sample = np.arange(len(x)).reshape(-1, *[1] * (numbers.ndim - 2))
    return np.asarray(x[(sample, *places)])


def nms(inputs: list[Array], attrs: Attrs) -> Array:
    """Greedy non-maximum suppression (Viola & Jones 2004, section 5.6, and after them every detector)."""
    boxes, scores = inputs
    samples, groups, classes, size = scores.shape
    most = min(attrs["count"], size)
    least, largest_overlap = (float(np.float32(attrs[f"{name}_threshold"])) for name in ("score", "iou"))
    out = np.full((samples, groups * classes * most, 3), -1.0)
    for sample in range(samples):
        rows: list[tuple[int, int, int]] = []
        for group, label in product(range(groups), range(classes)):
            line, kept = scores[sample, group, label], list[int]()
            for box in np.argsort(-line, kind="stable"):
                if len(kept) == most or not line[box] > least:
                    break
                these = boxes[sample, group]
                if not any(overlap(these[box], these[k], attrs["center"]) > largest_overlap for k in kept):
                    kept.append(int(box))
            rows += [(group, label, box) for box in kept]
        out[sample, : len(rows)] = np.array(rows).reshape(-1, 3)
    return out


def overlap(a: Array, b: Array, center: bool) -> float:
    """Intersection over union of two boxes, 0 where either has no area."""
    spans = [
        [
            (p - q / 2, p + q / 2) if center else (min(p, q), max(p, q))
            for p, q in ((x[0], x[2]), (x[1], x[3]))
        ]
        for x in (a, b)
    ]
    areas = [(high - low) * (right - left) for (low, high), (left, right) in spans]
    sides = [min(p[1], q[1]) - max(p[0], q[0]) for p, q in zip(*spans, strict=True)]
    if min(sides) <= 0 or min(areas) <= 0:
        return 0.0
    both = sides[0] * sides[1]
    return float(both / (areas[0] + areas[1] - both))


def fill(inputs: list[Array], attrs: Attrs) -> Array:
    """``value`` in place of everything behind the first ``count`` elements of an axis."""
    x, count = inputs
    places = np.arange(x.shape[attrs["axis"]]).reshape(-1, *[1] * (x.ndim - attrs["axis"] - 1))
    return np.where(places < count.reshape(-1, *[1] * (x.ndim - 1)), x, attrs["value"])


def nonzero(inputs: list[Array], _attrs: Attrs) -> Array:
    """The place of every number that is not 0, one column each, in C order; -1 in the columns left over."""
    x = inputs[0]
    out = np.full((len(x), x.ndim - 1, int(np.prod(x.shape[1:]))), -1.0)
    for sample, places in enumerate(out):
        found = np.argwhere(x[sample] != 0).T
        places[:, : found.shape[1]] = found
    return out


OPERATIONS: dict[str, Operation] = {
    "top_k": top_k,
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "nms": nms,
    "nonzero": nonzero,
    "first": lambda inputs, _attrs: inputs[0],  # how much of it is valid is another result
    "fill": fill,
}
