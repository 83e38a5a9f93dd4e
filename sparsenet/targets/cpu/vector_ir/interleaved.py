"""Interleaving of several lines of floats to one, and its inverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import shuffled

Vectors = Sequence[ir.Value]


def interleave(lines: Block) -> Any:
    """``f(tile)``: of one vector per line, as many in a row: float x of line j becomes number x * lines + j."""
    return _rearranging(lines, _interleaved)


def deinterleave(lines: Block) -> Any:
    """``f(tile)``: consecutive vectors become one per line, the inverse of ``interleave``."""
    return _rearranging(lines, _apart)


def _rearranging(lines: Block, rearrange: Callable[[ir.IRBuilder, Vectors], list[ir.Value]]) -> Any:
    return lines._intrinsic([lines.type], lines.type, lambda b, block: rearrange(b, lines._split(b, block)))


def _interleaved(b: ir.IRBuilder, v: Vectors) -> list[ir.Value]:
    count = len(v)
    if count == 1:
        return list(v)
    lanes = v[0].type.count
    if count % 2:
        # Vector k of the result takes lane (k * lanes + i) // count of line (k * lanes + i) % count.
        return [
            _collected(b, v, [((k * lanes + i) % count, (k * lanes + i) // count) for i in range(lanes)])
            for k in range(count)
        ]
    pairs = zip(_interleaved(b, v[::2]), _interleaved(b, v[1::2]), strict=True)
    return [
        shuffled(b, x, y, lambda i, half=half: (half * lanes + i) // 2 + i % 2 * lanes)  # type: ignore[misc]
        for x, y in pairs
        for half in (0, 1)
    ]


def _apart(b: ir.IRBuilder, v: Vectors) -> list[ir.Value]:
    count = len(v)
    if count == 1:
        return list(v)
    lanes = v[0].type.count
    if count % 2:
        # Lane i of line j is number i * count + j of the floats in a row.
        return [
            _collected(b, v, [((i * count + j) // lanes, (i * count + j) % lanes) for i in range(lanes)])
            for j in range(count)
        ]
    pairs = list(zip(v[::2], v[1::2], strict=True))
    even, odd = (
        _apart(b, [shuffled(b, x, y, lambda i, first=first: 2 * i + first) for x, y in pairs])  # type: ignore[misc]
        for first in (0, 1)
    )
    return [line for both in zip(even, odd, strict=True) for line in both]


def _collected(b: ir.IRBuilder, v: Vectors, places: Sequence[tuple[int, int]]) -> ir.Value:
    """Lane i is lane ``places[i][1]`` of vector ``places[i][0]``; vectors are mixed in one after the other."""
    lanes = len(places)
    result, *rest = sorted({vector for vector, _ in places})
    mixed = shuffled(b, v[result], v[result], lambda i: places[i][1] if places[i][0] == result else i)
    if rest:
        second = rest.pop(0)
        mixed = shuffled(
            b, v[result], v[second], lambda i: places[i][1] + (lanes if places[i][0] == second else 0)
        )
    for vector in rest:
        mixed = shuffled(
            b, mixed, v[vector],
            lambda i, vector=vector: lanes + places[i][1] if places[i][0] == vector else i,  # type: ignore[misc]
        )  # fmt: skip
    return mixed
