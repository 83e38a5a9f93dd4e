"""Lanes chosen by number, by mask and by index: the edges of a line, and gathers."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph import types as elements
from sparsenet.targets.cpu.vector_ir.block import Block
from sparsenet.targets.cpu.vector_ir.llvm import (
    I1,
    I32,
    I64,
    call_intrinsic,
    constant,
    displaced,
    has_mask_registers,
    mangled,
    splat,
    typed_pointer,
)


class Lanes(Block):
    """Masks, masked loads and stores, gathers."""

    def _lane_numbers(self, j: int) -> ir.Value:
        return ir.Constant(ir.VectorType(I64, self.lanes), [j * self.lanes + i for i in range(self.lanes)])

    def _between(self, b: ir.IRBuilder, low: ir.Value, high: ir.Value, j: int) -> ir.Value:
        """Mask of the lanes of the j-th vector whose number is in [low, high)."""
        # 32-bit compares: half the vectors of 64-bit ones. Line lengths fit easily.
        numbers = ir.Constant(ir.VectorType(I32, self.lanes), [j * self.lanes + i for i in range(self.lanes)])
        lo = splat(b, b.trunc(low, I32), self.lanes)
        hi = splat(b, b.trunc(high, I32), self.lanes)
        return b.and_(b.icmp_signed(">=", numbers, lo), b.icmp_signed("<", numbers, hi))

    @cached_property
    def keep(self) -> Any:
        """``keep(tile, low, high, other)``: lanes numbered [low, high) along each row; ``other`` (scalar) elsewhere."""

        def emit(
            b: ir.IRBuilder, block: ir.Value, low: ir.Value, high: ir.Value, other: ir.Value
        ) -> list[ir.Value]:
            rest = self._splat(b, other)
            masks = [self._between(b, low, high, j) for j in range(self.vectors)]
            return [b.select(masks[i % self.vectors], v, rest) for i, v in enumerate(self._split(b, block))]

        return self._intrinsic([self.type, types.int64, types.int64, self._number], self.type, emit)

    @cached_property
    def keep_lanes(self) -> Any:
        """``keep_lanes(tile, bits, other)``: ``other`` (scalar) where a bit is 0; ``bits``: a mask per vector."""

        def emit(b: ir.IRBuilder, block: ir.Value, bits: ir.Value, other: ir.Value) -> list[ir.Value]:
            rest = self._splat(b, other)
            masks = [self._bit_mask(b, displaced(b, bits, j * self.mask_bytes)) for j in range(self.vectors)]
            return [b.select(masks[i % self.vectors], v, rest) for i, v in enumerate(self._split(b, block))]

        return self._intrinsic([self.type, types.int64, self._number], self.type, emit)

    def _bit_mask(self, b: ir.IRBuilder, address: ir.Value) -> ir.Value:
        """The mask of one vector from the integer at ``address``."""
        word = b.load(typed_pointer(b, address, ir.IntType(8 * self.mask_bytes)))
        if not has_mask_registers() and self.lanes <= 8 * self.item:
            number = ir.VectorType(ir.IntType(8 * self.item), self.lanes)
            bits = ir.Constant(number, [1 << i for i in range(self.lanes)])
            all_bits = b.zext(word, number.element) if word.type.width < 8 * self.item else word
            own = b.and_(splat(b, all_bits, self.lanes), bits)
            return b.icmp_unsigned("!=", own, constant(0, number))
        narrow = b.trunc(word, ir.IntType(self.lanes)) if self.lanes < word.type.width else word
        return b.bitcast(narrow, ir.VectorType(I1, self.lanes))

    @cached_property
    def keep_pixels(self) -> Any:
        """``keep_pixels(tile, bits)``: zero in lanes whose bit is 0; ``bits``: one mask per vector of a row."""

        def emit(b: ir.IRBuilder, block: ir.Value, bits: ir.Value) -> list[ir.Value]:
            zero = self._constant(0)
            masks = [self._bit_mask(b, displaced(b, bits, j * self.mask_bytes)) for j in range(self.vectors)]
            return [b.select(masks[i % self.vectors], v, zero) for i, v in enumerate(self._split(b, block))]

        return self._intrinsic([self.type, types.int64], self.type, emit)

    @cached_property
    def load_between(self) -> Any:
        """``load_between(pointer, low, high)``: lanes [low, high) from memory, 0 elsewhere; reads nothing else."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, low: ir.Value, high: ir.Value) -> list[ir.Value]:
            starts = [displaced(b, pointer, j * self.vector_bytes) for j in range(self.vectors)]
            return [self._load_masked(b, p, self._between(b, low, high, j)) for j, p in enumerate(starts)]

        return self._intrinsic([types.int64] * 3, self.type, emit)

    @cached_property
    def store_between(self) -> Any:
        """``store_between(pointer, low, high, tile)``: only the lanes numbered [low, high) are written."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, low: ir.Value, high: ir.Value, block: ir.Value) -> None:
            for j, value in enumerate(self._split(b, block)):
                address = displaced(b, pointer, j * self.vector_bytes)
                self._store_masked(b, value, address, self._between(b, low, high, j))

        return self._intrinsic([types.int64, types.int64, types.int64, self.type], types.void, emit)

    @cached_property
    def store_channels_between(self) -> Any:
        """``store_channels_between(pointer, channel_stride, low, high, tile)``: one vector per channel, masked."""

        def emit(
            b: ir.IRBuilder,
            pointer: ir.Value,
            stride: ir.Value,
            low: ir.Value,
            high: ir.Value,
            block: ir.Value,
        ) -> None:
            mask = self._between(b, low, high, 0)
            for output, value in enumerate(self._split(b, block)):
                pointer = b.add(pointer, stride) if output else pointer
                self._store_masked(b, value, pointer, mask)

        return self._intrinsic([*[types.int64] * 4, self.type], types.void, emit)

    @cached_property
    def load_channels_between(self) -> Any:
        """``load_channels_between(pointer, channel_stride, low, high)``: one vector per channel, lanes [low, high)."""

        def emit(
            b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, low: ir.Value, high: ir.Value
        ) -> list[ir.Value]:
            out, mask = [], self._between(b, low, high, 0)
            for output in range(self.outputs):
                pointer = b.add(pointer, stride) if output else pointer
                out.append(self._load_masked(b, pointer, mask))
            return out

        return self._intrinsic([types.int64] * 4, self.type, emit)

    @cached_property
    def load_corner(self) -> Any:
        """``load_corner(pointer, row_stride, rows, columns)``: the first so many lanes of the first so many rows."""

        def emit(
            b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, rows: ir.Value, columns: ir.Value
        ) -> list[ir.Value]:
            return [
                self._load_masked(b, address, mask)
                for address, mask in self._corner(b, pointer, stride, rows, columns)
            ]

        return self._intrinsic([types.int64] * 4, self.type, emit)

    @cached_property
    def store_corner(self) -> Any:
        """``store_corner(pointer, row_stride, rows, columns, tile)``: only those lanes of those rows are written."""

        def emit(
            b: ir.IRBuilder,
            pointer: ir.Value,
            stride: ir.Value,
            rows: ir.Value,
            columns: ir.Value,
            block: ir.Value,
        ) -> None:
            corner = self._corner(b, pointer, stride, rows, columns)
            for (address, mask), value in zip(corner, self._split(b, block), strict=True):
                self._store_masked(b, value, address, mask)

        return self._intrinsic([*[types.int64] * 4, self.type], types.void, emit)

    def _corner(
        self, b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, rows: ir.Value, columns: ir.Value
    ) -> list[tuple[ir.Value, ir.Value]]:
        """Address and mask of every row of a tile of single vectors."""
        zero, out = ir.Constant(I64, 0), []
        for row in range(self.rows):
            pointer = b.add(pointer, stride) if row else pointer
            inside = b.icmp_signed("<", ir.Constant(I64, row), rows)
            out.append((pointer, self._between(b, zero, b.select(inside, columns, zero), 0)))
        return out

    def _load_masked(self, b: ir.IRBuilder, address: ir.Value, mask: ir.Value) -> ir.Value:
        operands = [typed_pointer(b, address, self._vector), I32(self.item), mask, self._constant(0)]
        return call_intrinsic(b, f"llvm.masked.load.{mangled(self._vector)}.p0", self._vector, operands)

    def _store_masked(self, b: ir.IRBuilder, value: ir.Value, address: ir.Value, mask: ir.Value) -> None:
        operands = [value, typed_pointer(b, address, self._vector), I32(self.item), mask]
        call_intrinsic(b, f"llvm.masked.store.{mangled(self._vector)}.p0", ir.VoidType(), operands)

    @cached_property
    def gather_between(self) -> Any:
        """``gather_between(pointer, stride, low, high)``: lane i at ``pointer + i * stride``, 0 outside [low, high)."""

        def emit(
            b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, low: ir.Value, high: ir.Value
        ) -> list[ir.Value]:
            out = []
            for j in range(self.vectors):
                steps = b.mul(self._lane_numbers(j), splat(b, stride, self.lanes))
                out.append(
                    self._gather(
                        b, b.add(splat(b, pointer, self.lanes), steps), self._between(b, low, high, j)
                    )
                )
            return out

        return self._intrinsic([types.int64] * 4, self.type, emit)

    def _gather(self, b: ir.IRBuilder, addresses: ir.Value, mask: ir.Value) -> ir.Value:
        pointers = b.inttoptr(addresses, ir.VectorType(self._scalar.as_pointer(), self.lanes))
        name = f"llvm.masked.gather.{mangled(self._vector)}.v{self.lanes}p0"
        return call_intrinsic(b, name, self._vector, [pointers, I32(self.item), mask, self._constant(0)])

    def gather_numbers(self, index_bytes: int) -> Any:
        """``f(base, numbers)``: lane i is number ``numbers[i]`` behind ``base``; unsigned, so many bytes each."""
        shift = self.item.bit_length() - 1

        def emit(b: ir.IRBuilder, base: ir.Value, numbers: ir.Value) -> list[ir.Value]:
            integers = ir.VectorType(ir.IntType(8 * index_bytes), self.lanes)
            everything = ir.Constant(ir.VectorType(I1, self.lanes), [True] * self.lanes)
            out = []
            for j in range(self.vectors):
                at = displaced(b, numbers, j * self.lanes * index_bytes)
                indices = b.load(typed_pointer(b, at, integers))
                indices.align = index_bytes
                wide = b.zext(indices, ir.VectorType(I64, self.lanes))
                distances = b.shl(wide, ir.Constant(wide.type, [shift] * self.lanes))
                out.append(self._gather(b, b.add(splat(b, base, self.lanes), distances), everything))
            return out

        return self._intrinsic([types.int64, types.int64], self.type, emit)

    @cached_property
    def gather(self) -> Any:
        """``gather(base, offsets)``: lane i from ``base + offsets[i]``; offsets are int32 byte counts in memory."""

        def emit(b: ir.IRBuilder, base: ir.Value, offsets: ir.Value) -> list[ir.Value]:
            integers, offset_bytes = ir.VectorType(I32, self.lanes), elements.I32.itemsize
            everything = ir.Constant(ir.VectorType(I1, self.lanes), [True] * self.lanes)
            out = []
            for j in range(self.vectors):
                indices = b.load(
                    typed_pointer(b, displaced(b, offsets, j * self.lanes * offset_bytes), integers)
                )
                indices.align = offset_bytes
                wide = b.sext(indices, ir.VectorType(I64, self.lanes))
                out.append(self._gather(b, b.add(splat(b, base, self.lanes), wide), everything))
            return out

        return self._intrinsic([types.int64, types.int64], self.type, emit)
