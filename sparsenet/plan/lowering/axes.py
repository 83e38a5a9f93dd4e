"""Iteration over the axes of tensors, as sizes and strides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple


def contiguous_strides(shape: Sequence[int]) -> list[int]:
    """Strides of a tensor in C order."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def broadcast_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> list[int]:
    """Strides over the axes of ``target`` of an operand that is broadcast to it; 0 where it is repeated."""
    missing = len(target) - len(shape)
    operand = zip(shape, strides, target[missing:], strict=True)
    return [0] * missing + [stride if size == wanted else 0 for size, stride, wanted in operand]


class AxisSplit(NamedTuple):
    """A tensor in C order seen as three axes: those before one of its own, that one, and those behind it."""

    outer: int
    size: int
    inner: int

    @classmethod
    def of(cls, shape: Sequence[int], axis: int) -> AxisSplit:
        """A tensor of this ``shape`` split around ``axis``."""
        return cls(prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))


def merge_axes(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """The same iteration over fewer axes: axes of size 1 are left out, neighbours evenly strided in every operand are
    joined.
    """
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
