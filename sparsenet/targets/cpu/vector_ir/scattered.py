"""Tiles whose output channels are scattered: their numbers come from an int32 table in memory."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.types import I32
from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import fma, number_at, typed_pointer, widened


class Scattered(Block):
    """The operations of other tiles on consecutive channels, for the ``outputs`` channels listed at ``table``."""

    def _channel_numbers(self, b: ir.IRBuilder, table: ir.Value) -> list[ir.Value]:
        return [number_at(b, table, I32, output) for output in range(self.outputs)]

    def _numbers_at(self, b: ir.IRBuilder, values: ir.Value, table: ir.Value) -> list[ir.Value]:
        """``values[channel]``, in all vectors of the channel."""
        out = []
        for number in self._channel_numbers(b, table):
            value = b.load(b.gep(typed_pointer(b, values, self._scalar), [number]))
            out += [self._splat(b, widened(b, value, self.element))] * (self.rows * self.vectors)
        return out

    def _addresses_at(
        self,
        b: ir.IRBuilder,
        pointer: ir.Value,
        table: ir.Value,
        channel_stride: ir.Value,
        row_stride: ir.Value,
    ) -> list[ir.Value]:
        addresses = []
        for number in self._channel_numbers(b, table):
            addresses += self._addresses(b, b.add(pointer, b.mul(number, channel_stride)), row_stride)
        return addresses

    @cached_property
    def splat_at(self) -> Any:
        """``splat_at(values, table)``: every channel's number, in every pixel."""
        return self._intrinsic([types.int64] * 2, self.type, self._numbers_at)

    @cached_property
    def scale_shift_at(self) -> Any:
        """``scale_shift_at(tile, scales, shifts, table)``: tile * scale + shift, one of each per channel."""

        def emit(
            b: ir.IRBuilder, block: ir.Value, scales: ir.Value, shifts: ir.Value, table: ir.Value
        ) -> list[ir.Value]:
            factors, terms = self._numbers_at(b, scales, table), self._numbers_at(b, shifts, table)
            return [fma(b, *operands) for operands in zip(self._split(b, block), factors, terms, strict=True)]

        return self._intrinsic([self.type, *[types.int64] * 3], self.type, emit)

    @cached_property
    def load_at(self) -> Any:
        """``load_at(pointer, table, channel_stride, row_stride)``: the pixels of the listed channels."""
        return self._intrinsic(
            [types.int64] * 4,
            self.type,
            lambda b, *where: [self._load(b, address) for address in self._addresses_at(b, *where)],
        )

    @cached_property
    def store_at(self) -> Any:
        """``store_at(pointer, table, channel_stride, row_stride, tile)``: of a channel named twice, the later stays."""

        def emit(b: ir.IRBuilder, *operands: ir.Value) -> None:
            *where, block = operands
            for address, vector in zip(self._addresses_at(b, *where), self._split(b, block), strict=True):
                self._store(b, vector, address)

        return self._intrinsic([*[types.int64] * 4, self.type], types.void, emit)
