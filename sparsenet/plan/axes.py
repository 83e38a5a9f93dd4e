"""Walks over the axes of tensors, as sizes and strides."""

from __future__ import annotations

from collections.abc import Sequence


def merge_axes(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """The same walk over fewer axes: those of size 1 left out, neighbours that every operand passes evenly joined."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        now = [operand[axis] for operand in strides]
        if sizes and all(known[-1] == step * size for known, step in zip(steps, now, strict=True)):
            sizes[-1] *= size
            for known, step in zip(steps, now, strict=True):
                known[-1] = step
        else:
            sizes.append(size)
            for known, step in zip(steps, now, strict=True):
                known.append(step)
    return (sizes, steps) if sizes else ([1], [[0] for _ in strides])
