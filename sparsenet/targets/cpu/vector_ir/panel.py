"""Products over a panel: the pixels of a tile, copied so that those of a tap are behind each other."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.targets.cpu.vector_ir.llvm import I32, I64, displaced, number_at, shuffled, typed_pointer
from sparsenet.targets.cpu.vector_ir.quads import ready, ready_product
from sparsenet.targets.cpu.vector_ir.steps import OFFSET, counted_loop
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import Dot

#: A quad of weights and the byte offset of its tap, int32 each.
STEP_BYTES = 8


def made_ready(pixels: Tile, dot: Dot) -> Any:
    """``f(quads)``: as ``multiply_stream`` takes them."""
    return pixels._elementwise(lambda b, x: ready(b, dot, x), 1)


def multiply_stream(sums: Tile, pixels: Tile, dot: Dot) -> Any:
    """``f(acc, stream, count, panel)``: acc plus ``count`` quads of weights times the pixels of their taps, and
    the address behind the last.

    The stream has two quads, then the offsets of both, in turns, and at last one quad and its offset if ``count`` is
    odd. One load brings the weights of a turn, from which products take theirs by number.
    """
    product, result = ready_product(dot), types.Tuple((sums.type, types.int64))

    def turn(b: ir.IRBuilder, panel: ir.Value, now: list[ir.Value], together: int) -> list[ir.Value]:
        at, *totals = now
        weights = b.load(typed_pointer(b, at, ir.VectorType(I32, together)))
        weights.align = OFFSET.itemsize
        offsets = [number_at(b, at, OFFSET, together + i) for i in range(together)]
        for number, offset in enumerate(offsets):
            w = shuffled(b, weights, weights, lambda _: number, sums.lanes)  # noqa: B023 - called at once
            xs = pixels._load_run(b, b.add(panel, offset), len(totals))
            totals = [product(b, w, x, total) for x, total in zip(xs, totals, strict=True)]
        return [displaced(b, at, together * STEP_BYTES), *totals]

    def generate(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> Any:
        acc, stream, count, panel = values
        one, carried = ir.Constant(I64, 1), [stream, *sums._split(b, acc)]
        carried = counted_loop(b, b.lshr(count, one), carried, lambda now: turn(b, panel, now, 2))
        at, *totals = counted_loop(b, b.and_(count, one), carried, lambda now: turn(b, panel, now, 1))
        return context.make_tuple(b, result, [sums._join(b, totals), at])

    @intrinsic
    def multiply(typing_context: Any, acc: Any, stream: Any, count: Any, panel: Any) -> Any:
        return result(sums.type, *[types.int64] * 3), generate

    return multiply
