"""Pattern buckets: the sparse register tile (Wilkinson, Cheshmi and Dehnavi, PLDI 2023, "Register Tiling for
Unstructured Sparsity in Neural Network Inference").

A few rows of a sparse matrix are multiplied together. For every column, the set of those rows that have a nonzero there
is a bit mask, its *pattern*; columns are sorted by it, and every pattern has a loop of its own that loads the column's
pixels once and multiplies them into just its rows. No zero is multiplied and no branch depends on a single weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sparsenet.kernels.patterns import patterns, rows_of
from sparsenet.kernels.vector_ir.llvm import F32, I16, I32, I64, displaced, fma, splat, typed_pointer
from sparsenet.kernels.vector_ir.tile import Tile

Step = Callable[[list[ir.Value]], list[ir.Value]]


def _keep_rolled(b: ir.IRBuilder, back: ir.Instruction) -> None:
    """Forbid unrolling: buckets are short, and an odd column before pairs of them costs a hard branch each time."""
    options = b.module.add_metadata(["llvm.loop.unroll.disable"])
    loop = b.module.add_metadata([options, len(b.module.metadata)])
    loop.operands = (loop, options)  # LLVM knows a loop's metadata by its referring to itself
    back.set_metadata("llvm.loop", loop)


def _counted_loop(b: ir.IRBuilder, count: ir.Value, carried: list[ir.Value], body: Step) -> list[ir.Value]:
    """``count`` times ``carried = body(carried)``; what is carried stays in registers."""
    before = b.block
    loop, after = b.append_basic_block("bucket"), b.append_basic_block("next")
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


def multiply_buckets(block: Tile, pixels: Tile) -> Any:
    """``f(acc, stream, counts, source, row_stride)``: acc[output] += w[output, column] * x[column] over all buckets.

    ``counts``: one uint16 per pattern, how many columns it has. ``stream``: per column an int32 byte offset from
    ``source`` and one float32 per output in the pattern. ``pixels`` is ``block`` with one output; returns acc and the
    address behind the stream's last word.
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
        for number, pattern in enumerate(patterns(block.outputs)):
            members = rows_of(pattern)
            count = b.zext(b.load(typed_pointer(b, displaced(b, counts, 2 * number), I16)), I64)
            slots = [r * pixels.count + p for r in members for p in range(pixels.count)]

            def column(carried: list[ir.Value], members: list[int] = members) -> list[ir.Value]:
                stream, *sums = carried
                offset = b.sext(b.load(typed_pointer(b, stream, I32)), I64)
                xs = [
                    pixels._load(b, displaced(b, b.add(start, offset), j * block.lanes * 4))
                    for start in sources
                    for j in range(pixels.vectors)
                ]
                out = []
                for i in range(len(members)):
                    weight = b.load(typed_pointer(b, displaced(b, stream, 4 + 4 * i), F32))
                    w = splat(b, weight, block.lanes)
                    out += [fma(b, w, x, sums[i * pixels.count + p]) for p, x in enumerate(xs)]
                return [displaced(b, stream, 4 + 4 * len(members)), *out]

            stream, *changed = _counted_loop(b, count, [stream, *(sums[s] for s in slots)], column)
            for slot, value in zip(slots, changed, strict=True):
                sums[slot] = value
        return context.make_tuple(b, result, [block._join(b, sums), stream])

    @intrinsic
    def multiply(
        typing_context: Any, acc: Any, stream: Any, counts: Any, source: Any, row_stride: Any
    ) -> Any:
        return result(*arguments), generate

    return multiply
