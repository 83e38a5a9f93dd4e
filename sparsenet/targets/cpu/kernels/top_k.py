"""Indices of the largest numbers on one axis of a plain tensor viewed as (outer, axis, inner), in order."""

from __future__ import annotations

from typing import Any

from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import device, kernel_entry
from sparsenet.targets.cpu.vector_ir import load_f32, store_f32
from sparsenet.targets.registry import Kernel


@device
def _comes_before(x: int, step: int, sign: float, a: int, b: int) -> bool:
    """Whether element ``a`` of a line is in front of ``b``: NaN, then the larger, then the first."""
    left, right = sign * load_f32(x, a * step), sign * load_f32(x, b * step)
    if left > right or left < right:
        return left > right
    if (left != left) != (right != right):
        return left != left
    return a < b


@device
def _sift_down(heap: int, size: int, step: int, x: int, sign: float, place: int) -> None:
    """Let the index at ``place`` sink until what is below it comes before it."""
    index = int(load_f32(heap, place * step))
    while 2 * place + 1 < size:
        child = 2 * place + 1
        below = int(load_f32(heap, child * step))
        if child + 1 < size:
            other = int(load_f32(heap, (child + 1) * step))
            if _comes_before(x, step, sign, below, other):
                child, below = child + 1, other
        if not _comes_before(x, step, sign, index, below):
            break
        store_f32(heap, place * step, below)
        place = child
    store_f32(heap, place * step, index)


def build(kernel: Kernel) -> Any:
    """The ``count`` first of a line in the order of ``sign`` times its numbers, as indices.

    The result itself is the heap. ``filtered``: only numbers above ``least`` are taken, and the result ends with -1
    where there are too few of them.
    """
    read = arguments(kernel)
    number_bytes, filtered = kernel.element.itemsize, kernel.parameter("filtered") == 1

    def top_k(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        x, outer, axis, inner = given.x, given.outer, given.axis, given.inner
        count, sign, least, out = given.count, given.sign, given.least, given.out
        for item in range(outer * inner):
            line = x + (item // inner * axis * inner + item % inner) * number_bytes
            heap = out + (item // inner * count * inner + item % inner) * number_bytes
            size = 0
            for i in range(axis):
                if filtered and not load_f32(line, i * inner) > least:
                    continue
                if size < count:
                    store_f32(heap, size * inner, i)
                    size += 1
                    if size == count:
                        for place in range(size // 2 - 1, -1, -1):
                            _sift_down(heap, size, inner, line, sign, place)
                elif _comes_before(line, inner, sign, i, int(load_f32(heap, 0))):
                    store_f32(heap, 0, i)
                    _sift_down(heap, size, inner, line, sign, 0)
            if size < count:
                for place in range(size // 2 - 1, -1, -1):
                    _sift_down(heap, size, inner, line, sign, place)
            for end in range(size - 1, 0, -1):
                last = load_f32(heap, end * inner)
                store_f32(heap, end * inner, load_f32(heap, 0))
                store_f32(heap, 0, last)
                _sift_down(heap, end, inner, line, sign, 0)
            for place in range(size, count):
                store_f32(heap, place * inner, -1)

    return kernel_entry(top_k)
