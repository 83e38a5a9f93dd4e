"""Loads and stores of tiles."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import I32, displaced, prefetch_ahead
from sparsenet.targets.cpu.vector_ir.scalars import load_number, store_number


class Memory(Block):
    """Loads and stores of whole vectors."""

    @cached_property
    def load(self) -> Any:
        """``load(pointer, row_stride)``: a tile from memory."""
        return self._intrinsic(
            [types.int64, types.int64],
            self.type,
            lambda b, p, rs: [self._load(b, a) for a in self._addresses(b, p, rs)],
        )

    @cached_property
    def load_number(self) -> Any:
        """``load_number(pointer, index)``: one number of an array, an integer as an int64."""
        return load_number(self.element)

    @cached_property
    def store_number(self) -> Any:
        """``store_number(pointer, index, value)``: store one number of an array."""
        return store_number(self.element)

    @cached_property
    def load_streamed(self) -> Any:
        """``load_streamed(pointer)``: the next of a stream of rows, and a hint to fetch those further on."""

        def emit(b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
            prefetch_ahead(b, pointer, self.vectors * self.vector_bytes)
            return [self._load(b, displaced(b, pointer, j * self.vector_bytes)) for j in range(self.vectors)]

        return self._intrinsic([types.int64], self.type, emit)

    def _channel_addresses(
        self, b: ir.IRBuilder, pointer: ir.Value, channel_stride: ir.Value, row_stride: ir.Value
    ) -> list[ir.Value]:
        addresses = []
        for output in range(self.outputs):
            pointer = b.add(pointer, channel_stride) if output else pointer
            addresses += self._addresses(b, pointer, row_stride)
        return addresses

    @cached_property
    def load_channels(self) -> Any:
        """``load_channels(pointer, channel_stride, row_stride)``: the pixels of ``outputs`` channels."""
        return self._intrinsic(
            [types.int64] * 3,
            self.type,
            lambda b, p, cs, rs: [self._load(b, a) for a in self._channel_addresses(b, p, cs, rs)],
        )

    @cached_property
    def store_channels(self) -> Any:
        """``store_channels(pointer, channel_stride, row_stride, tile)``: store the pixels of ``outputs`` channels."""

        def emit(b: ir.IRBuilder, p: ir.Value, cs: ir.Value, rs: ir.Value, block: ir.Value) -> None:
            for address, vector in zip(
                self._channel_addresses(b, p, cs, rs), self._split(b, block), strict=True
            ):
                self._store(b, vector, address)

        return self._intrinsic([*[types.int64] * 3, self.type], types.void, emit)

    @cached_property
    def load_every_second(self) -> Any:
        """``load_every_second(pointer, row_stride)``: as ``load``, from every other number (windows of stride 2)."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
            out, numbers = [], ir.Constant(ir.VectorType(I32, self.lanes), [2 * i for i in range(self.lanes)])
            start = pointer
            for row in range(self.rows):
                start = b.add(start, row_stride) if row else start
                for j in range(self.vectors):
                    low = self._load(b, displaced(b, start, 2 * j * self.vector_bytes))
                    high = self._load(b, displaced(b, start, (2 * j + 1) * self.vector_bytes))
                    out.append(b.shuffle_vector(low, high, numbers))
            return out

        return self._intrinsic([types.int64, types.int64], self.type, emit)

    @cached_property
    def store(self) -> Any:
        """``store(pointer, row_stride, tile)``: store a tile."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value, block: ir.Value) -> None:
            for address, vector in zip(
                self._addresses(b, pointer, row_stride), self._split(b, block), strict=True
            ):
                self._store(b, vector, address)

        return self._intrinsic([types.int64, types.int64, self.type], types.void, emit)
