"""Sparse register tiles: a few rows of a sparse matrix multiplied together, sharing the loads of their columns.

After Wilkinson, Cheshmi and Dehnavi, "Register Tiling for Unstructured Sparsity in Neural Network Inference" (PLDI
2023): columns are sorted by *pattern*, the set of rows that have a nonzero in them, and every pattern has a loop that
loads the column's pixels once and multiplies them into just its rows; no branch depends on a single weight. Here a loop
is given a partition of all rows (``patterns.step_kinds``), mostly a pattern beside its complement. That halves the
number of loops, whose ends are hard to predict, and each of them keeps all sums busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.graph import types as elements
from sparsenet.targets.cpu.patterns import bucket_kinds, rows_of, step_kinds
from sparsenet.targets.cpu.vector_ir.llvm import (
    CACHE_LINE,
    I32,
    I64,
    Product,
    displaced,
    fma,
    has_lane_products,
    number_at,
    prefetch_ahead,
    typed_pointer,
)
from sparsenet.targets.cpu.vector_ir.tile import Tile, splat_weights

#: Types of a column's byte offset in the stream, and of the number of steps of a kind.
OFFSET, COUNT = elements.I32, elements.U16

Body = Callable[[list[ir.Value]], list[ir.Value]]


def _keep_rolled(b: ir.IRBuilder, back: ir.Instruction) -> None:
    """Forbid unrolling: counts are small, and an odd step before pairs of them costs a hard branch each time."""
    options = b.module.add_metadata(["llvm.loop.unroll.disable"])
    loop = b.module.add_metadata([options, len(b.module.metadata)])
    loop.operands = (loop, options)  # LLVM knows a loop's metadata by its referring to itself
    back.set_metadata("llvm.loop", loop)


def counted_loop(b: ir.IRBuilder, count: ir.Value, carried: list[ir.Value], body: Body) -> list[ir.Value]:
    """``count`` times ``carried = body(carried)``; what is carried stays in registers."""
    before = b.block
    loop, after = b.append_basic_block("step"), b.append_basic_block("next")
    zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
    b.cbranch(b.icmp_unsigned("==", count, zero), after, loop)
    b.position_at_end(loop)
    left, inside = b.phi(I64), [b.phi(value.type) for value in carried]
    changed = body(list(inside))
    fewer, end = b.sub(left, one), b.block
    for phi, first, later in zip([left, *inside], [count, *carried], [fewer, *changed], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, end)
    _keep_rolled(b, b.cbranch(b.icmp_unsigned("==", fewer, zero), after, loop))
    b.position_at_end(after)
    results = [b.phi(value.type) for value in carried]
    for phi, first, later in zip(results, carried, changed, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, end)
    return results


def _offsets(b: ir.IRBuilder, stream: ir.Value, count: int) -> list[ir.Value]:
    """``count`` int32 at ``stream``. What limits steps of many blocks is loads: there, one load brings two."""
    if count > 2 and count % 2 == 0:
        return [half for first in range(0, count, 2) for half in _halves(b, stream, first)]
    return [number_at(b, stream, OFFSET, i) for i in range(count)]


def _halves(b: ir.IRBuilder, stream: ir.Value, first: int) -> list[ir.Value]:
    address = displaced(b, stream, OFFSET.itemsize * first)
    both = b.load(typed_pointer(b, address, I64))
    both.align = OFFSET.itemsize
    return [b.sext(b.trunc(both, I32), I64), b.ashr(both, ir.Constant(I64, 32))]


def multiply_steps(block: Tile, pixels: Tile) -> Any:
    """``f(acc, stream, counts, source, row_stride)``: acc[row] += w[row, column] * x[column] for all steps of a group.

    Args of f:
        acc: sums, one output of ``block`` per row.
        stream: address of the steps, kind after kind: per step for every block the int32 byte offset of its column's
            pixels from ``source``, then one weight per row, block after block.
        counts: address of one uint16 per kind, its steps.
        row_stride: bytes between image rows, as ``pixels``, which is ``block`` with one output, reads them.

    Returns:
        acc, and the address behind the last step.
    """
    result = types.Tuple((block.type, types.int64))
    arguments = (block.type, *[types.int64] * 4)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> Any:
        acc, stream, counts, source, row_stride = values
        sums = block._split(b, acc)
        # One address per image row, so that a column costs no address arithmetic but its own offset.
        sources = [source]
        for _ in range(1, pixels.rows):
            sources.append(b.add(sources[-1], row_stride))

        def starts(offset: ir.Value) -> list[ir.Value]:
            if has_lane_products():  # there an addition extends the offset, too: once is less
                return pixels._row_starts(b, b.add(source, offset), row_stride)
            return [b.add(start, offset) for start in sources]

        for number, kind in enumerate(step_kinds(block.outputs)):
            count = number_at(b, counts, COUNT, number)

            def step(now: list[ir.Value], kind: tuple[int, ...] = kind) -> list[ir.Value]:
                stream, *sums = now
                place = displaced(b, stream, OFFSET.itemsize * len(kind))
                # Every row has one weight in a step.
                weights = iter(splat_weights(b, block, place))
                for offset, pattern in zip(_offsets(b, stream, len(kind)), kind, strict=True):
                    xs = [x for start in starts(offset) for x in pixels._load_run(b, start, pixels.vectors)]
                    for row in rows_of(pattern):
                        w = next(weights)
                        for i, x in enumerate(xs, row * pixels.count):
                            sums[i] = fma(b, w, x, sums[i])
                return [displaced(b, place, block.outputs * block.item), *sums]

            stream, *sums = counted_loop(b, count, [stream, *sums], step)
        return context.make_tuple(b, result, [block._join(b, sums), stream])

    @intrinsic
    def multiply(
        typing_context: Any, acc: Any, stream: Any, counts: Any, source: Any, row_stride: Any
    ) -> Any:
        return result(*arguments), generate

    return multiply


def multiply_buckets(block: Tile, pixels: Tile, product: Product) -> Any:
    """``f(acc, stream, counts, source, row_stride)`` as of ``multiply_steps``, with a loop for each single pattern.

    Rows that cannot be put into groups of about as many nonzeros each, as those of a quad, profit less from partitions:
    rows that run out multiply zeros. Single patterns take 10-25 % less time there. Weights of small maps are read once
    or twice, from L3: fetched ahead, ResNet-50 takes 4-7 % less time, layers whose weights are in L2 up to 4 % more.

    Args:
        product: ``product(b, w, x, sum)`` is the sum with w * x added.
    """
    result = types.Tuple((block.type, types.int64))
    arguments = (block.type, *[types.int64] * 4)

    def generate(context: Any, b: ir.IRBuilder, signature: Any, values: Any) -> Any:
        acc, stream, counts, source, row_stride = values
        sums = block._split(b, acc)
        sources = [source]
        for _ in range(1, pixels.rows):
            sources.append(b.add(sources[-1], row_stride))

        for number, (pattern,) in enumerate(bucket_kinds(block.outputs)):
            rows = rows_of(pattern)

            def step(now: list[ir.Value], rows: list[int] = rows) -> list[ir.Value]:
                stream, *sums = now
                prefetch_ahead(b, stream, CACHE_LINE)
                offset, *places = (displaced(b, stream, block.item * i) for i in range(len(rows) + 1))
                weights = [block._splat(b, number_at(b, place, block.element, 0)) for place in places]
                start = number_at(b, offset, OFFSET, 0)
                for i in range(pixels.count):
                    row, j = divmod(i, pixels.vectors)
                    x = pixels._load(b, displaced(b, b.add(sources[row], start), j * block.vector_bytes))
                    for number, w in zip((row * pixels.count + i for row in rows), weights, strict=True):
                        sums[number] = product(b, w, x, sums[number])
                return [displaced(b, stream, block.item * (len(rows) + 1)), *sums]

            stream, *sums = counted_loop(b, number_at(b, counts, COUNT, number), [stream, *sums], step)
        return context.make_tuple(b, result, [block._join(b, sums), stream])

    @intrinsic
    def multiply(
        typing_context: Any, acc: Any, stream: Any, counts: Any, source: Any, row_stride: Any
    ) -> Any:
        return result(*arguments), generate

    return multiply
