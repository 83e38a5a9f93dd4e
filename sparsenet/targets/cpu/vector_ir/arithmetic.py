"""Arithmetic on tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import I32, extreme, fma, has_extremes, number_at, splat, widened
from sparsenet.targets.cpu.vector_ir.math import ACTIVATION_IR, exp


class Arithmetic(Block):
    """Operations lane by lane, with scalars, and with one number per channel.

    Sums and products of integers are taken modulo their range.
    """

    def _float_only(self, operation: str) -> None:
        if not self.element.is_float:
            raise TypeError(f"{operation} is not defined for a tile of {self.element}")

    def _compare(self, b: ir.IRBuilder, sign: str, x: ir.Value, y: ir.Value) -> ir.Value:
        """The mask of the lanes where ``x sign y`` holds; it is false for NaN."""
        if self.element.is_float:
            return b.fcmp_ordered(sign, x, y)
        compare = b.icmp_signed if self.element.is_signed else b.icmp_unsigned
        return compare(sign, x, y)

    def _add(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        return b.fadd(x, y) if self.element.is_float else b.add(x, y)

    def _extreme(self, sign: str) -> Callable[..., ir.Value]:
        def operation(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
            x, y = self._apart(b, x), self._apart(b, y)
            if self.element.is_float and has_extremes():
                return extreme(b, sign, x, y)
            chosen = self._compare(b, sign, x, y)
            if self.element.is_float:
                chosen = b.or_(chosen, b.fcmp_unordered("uno", x, x))
            return self._joined(b, b.select(chosen, x, y))

        return operation

    @cached_property
    def splat(self) -> Any:
        """``splat(value)``: every lane of every vector."""
        return self._intrinsic([self._number], self.type, lambda b, v: [self._splat(b, v)] * self.count)

    def _per_channel(self, b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
        """The number at ``pointer`` for channel 0, the next for channel 1...: each in all of its channel's vectors."""
        out = []
        for output in range(self.outputs):
            value = number_at(b, pointer, self.element, output)
            out += [self._splat(b, value)] * (self.rows * self.vectors)
        return out

    @cached_property
    def splat_channels(self) -> Any:
        """``splat_channels(pointer)``: one number per channel (the biases), in every pixel."""
        return self._intrinsic([types.int64], self.type, self._per_channel)

    @cached_property
    def scale_shift(self) -> Any:
        """``scale_shift(tile, scales, shifts)``: tile * scale + shift, one of each per channel, from memory."""

        def emit(b: ir.IRBuilder, block: ir.Value, scales: ir.Value, shifts: ir.Value) -> list[ir.Value]:
            channels = zip(
                self._split(b, block), self._per_channel(b, scales), self._per_channel(b, shifts), strict=True
            )
            return [fma(b, v, scale, shift) for v, scale, shift in channels]

        return self._intrinsic([self.type, types.int64, types.int64], self.type, emit)

    @cached_property
    def fma(self) -> Any:
        """``fma(acc, weight, x)``: acc + weight * x, one scalar weight for the whole tile."""

        def emit(b: ir.IRBuilder, acc: ir.Value, weight: ir.Value, x: ir.Value) -> list[ir.Value]:
            w = self._splat(b, weight)
            return [fma(b, w, v, a) for a, v in zip(self._split(b, acc), self._split(b, x), strict=True)]

        return self._intrinsic([self.type, self._number, self.type], self.type, emit)

    def _elementwise(self, operation: Callable[..., ir.Value], arity: int) -> Any:
        def emit(b: ir.IRBuilder, *blocks: ir.Value) -> list[ir.Value]:
            return [operation(b, *vs) for vs in zip(*(self._split(b, x) for x in blocks), strict=True)]

        return self._intrinsic([self.type] * arity, self.type, emit)

    @cached_property
    def add(self) -> Any:
        """``add(x, y)`` per lane."""
        return self._elementwise(self._add, 2)

    @cached_property
    def sub(self) -> Any:
        """``sub(x, y)`` per lane."""
        return self._elementwise(lambda b, x, y: b.fsub(x, y) if self.element.is_float else b.sub(x, y), 2)

    @cached_property
    def mul(self) -> Any:
        """``mul(x, y)`` per lane."""
        return self._elementwise(lambda b, x, y: b.fmul(x, y) if self.element.is_float else b.mul(x, y), 2)

    @cached_property
    def div(self) -> Any:
        """``div(x, y)`` per lane, of floats."""
        self._float_only("div")
        return self._elementwise(lambda b, x, y: b.fdiv(x, y), 2)

    @cached_property
    def mul_add(self) -> Any:
        """``mul_add(x, y, z)``: x * y + z per lane; of floats rounded once."""
        return self._elementwise(fma, 3)

    @cached_property
    def maximum(self) -> Any:
        """``maximum(x, y)`` per lane; NaN if either is NaN."""
        return self._elementwise(self._extreme(">"), 2)

    @cached_property
    def minimum(self) -> Any:
        """``minimum(x, y)`` per lane; NaN if either is NaN."""
        return self._elementwise(self._extreme("<"), 2)

    def compare(self, sign: str) -> Any:
        """``f(x, y)``: per lane 1 where ``x sign y`` holds, else 0; of NaN nothing holds."""
        one, zero = self._constant(1), self._constant(0)
        return self._elementwise(lambda b, x, y: b.select(self._compare(b, sign, x, y), one, zero), 2)

    @cached_property
    def choose(self) -> Any:
        """``choose(condition, x, y)``: per lane x where the condition is not 0 (NaN is not), else y."""
        zero = self._constant(0)

        def emit(b: ir.IRBuilder, c: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
            unequal = b.fcmp_unordered if self.element.is_float else b.icmp_unsigned
            return b.select(unequal("!=", c, zero), x, y)

        return self._elementwise(emit, 3)

    @cached_property
    def exp(self) -> Any:
        """``exp(x)`` per lane, of floats; see ``math.exp``."""
        self._float_only("exp")
        return self._elementwise(exp, 1)

    def activation(self, name: str) -> Any:
        """``f(tile, *parameters)`` for the activation of this name, of floats; parameters are float32 scalars."""
        self._float_only(name)
        operation = ACTIVATION_IR[name]

        def emit(b: ir.IRBuilder, block: ir.Value, *parameters: ir.Value) -> list[ir.Value]:
            splats = [splat(b, p, self.lanes) for p in parameters]
            return [operation(b, v, *splats) for v in self._split(b, block)]

        return self._intrinsic(
            [self.type, *[types.float32] * len(ACTIVATIONS[name].parameters)], self.type, emit
        )

    def _every_second(self, first: int) -> Any:
        numbers = ir.Constant(ir.VectorType(I32, self.lanes), [2 * i + first for i in range(self.lanes)])
        return self._elementwise(lambda b, x, y: b.shuffle_vector(x, y, numbers), 2)

    @cached_property
    def even_lanes(self) -> Any:
        """``even_lanes(first, second)``: every other number of two tiles that follow each other in memory."""
        return self._every_second(0)

    @cached_property
    def odd_lanes(self) -> Any:
        """``odd_lanes(first, second)``: the numbers that ``even_lanes`` leaves out."""
        return self._every_second(1)

    def _reduce(self, b: ir.IRBuilder, block: ir.Value, combine: Callable[..., ir.Value]) -> ir.Value:
        vectors = self._split(b, block)
        while len(vectors) > 1:
            pairs = [combine(b, x, y) for x, y in zip(vectors[::2], vectors[1::2], strict=False)]
            vectors = pairs + ([vectors[-1]] if len(vectors) % 2 else [])
        vector, width = vectors[0], self.lanes
        while width > 1:
            width //= 2
            numbers = [min(i + width, self.lanes - 1) for i in range(self.lanes)]
            shifted = b.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(I32, self.lanes), numbers))
            vector = combine(b, vector, shifted)
        return widened(b, b.extract_element(vector, ir.Constant(I32, 0)), self.element)

    @cached_property
    def sum(self) -> Any:
        """``sum(tile)``: one number, added pairwise."""
        return self._intrinsic([self.type], self._number, lambda b, block: self._reduce(b, block, self._add))

    @cached_property
    def largest(self) -> Any:
        """``largest(tile)``: one number; NaN if any is."""
        return self._intrinsic(
            [self.type], self._number, lambda b, block: self._reduce(b, block, self._extreme(">"))
        )

    @cached_property
    def smallest(self) -> Any:
        """``smallest(tile)``: one number; NaN if any is."""
        return self._intrinsic(
            [self.type], self._number, lambda b, block: self._reduce(b, block, self._extreme("<"))
        )
