"""Vectors for Numba: the only file that knows LLVM.

Numba has no vector type, and LLVM's auto-vectorizer prefers 256 bits and gives up on pointers that may alias. Here a
``Tile`` is a block of hardware vectors held in registers, ``rows x vectors`` of ``lanes`` float32 each, and kernels
are written in plain Numba over it::

    tile = Tile(lanes=16, rows=1, vectors=4)
    load, fma = tile.load, tile.fma
    acc = fma(acc, weight, load(pointer, row_stride))

Every pointer and stride is an int64 count of *bytes*. Kernels do no bounds checks: what they read was validated when
the model was loaded and planned. NaN stays NaN in every operation (`minimum`/`maximum` compare with the tile's value
on the side that an unordered comparison returns). Lanes are 16 (AVX-512), 8 (AVX2) or 4 (SSE, NEON); LLVM splits
vectors longer than the machine's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

F32 = ir.FloatType()
I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
Emit = Callable[..., Any]


class TileType(types.Type):
    """Numba's view of a tile: ``count`` vectors of ``lanes`` float32, always in registers."""

    def __init__(self, count: int, lanes: int) -> None:
        self.count, self.lanes = count, lanes
        super().__init__(name=f"Tile({count}x{lanes})")


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: TileType) -> None:
        vector = ir.VectorType(F32, numba_type.lanes)
        super().__init__(manager, numba_type, ir.LiteralStructType([vector] * numba_type.count))


# --- scalars -----------------------------------------------------------------------------------------------------


def _pointer(b: ir.IRBuilder, address: ir.Value, pointee: ir.Type) -> ir.Value:
    return b.inttoptr(address, pointee.as_pointer())


def _offset(b: ir.IRBuilder, address: ir.Value, constant: int) -> ir.Value:
    return b.add(address, ir.Constant(I64, constant)) if constant else address


@intrinsic
def load_f32(typing_context: Any, address: Any, index: Any) -> Any:
    """``((float*)address)[index]``"""
    return types.float32(types.int64, types.int64), lambda c, b, s, a: b.load(
        b.gep(_pointer(b, a[0], F32), [a[1]])
    )


@intrinsic
def store_f32(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """``((float*)address)[index] = value``"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store(a[2], b.gep(_pointer(b, a[0], F32), [a[1]]))
        return c.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), emit


@intrinsic
def load_i32(typing_context: Any, address: Any, index: Any) -> Any:
    """``((int32_t*)address)[index]`` as int64"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        return b.sext(b.load(b.gep(_pointer(b, a[0], I32), [a[1]])), I64)

    return types.int64(types.int64, types.int64), emit


@intrinsic
def load_i64(typing_context: Any, address: Any, index: Any) -> Any:
    """``((int64_t*)address)[index]``"""
    return types.int64(types.int64, types.int64), lambda c, b, s, a: b.load(
        b.gep(_pointer(b, a[0], I64), [a[1]])
    )


@intrinsic
def store_i64(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """``((int64_t*)address)[index] = value``"""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store(a[2], b.gep(_pointer(b, a[0], I64), [a[1]]))
        return c.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


# --- calls and synchronisation -----------------------------------------------------------------------------------


@intrinsic
def call_kernel(typing_context: Any, function: Any, args: Any, bases: Any) -> Any:
    """Call the kernel whose machine code starts at ``function``."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.call(_pointer(b, a[0], ir.FunctionType(ir.VoidType(), [I64] * 2)), a[1:])
        return c.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


@intrinsic
def atomic_load(typing_context: Any, address: Any) -> Any:
    """Sequentially consistent load of an int64."""
    return types.int64(types.int64), lambda c, b, s, a: b.load_atomic(_pointer(b, a[0], I64), "seq_cst", 8)


@intrinsic
def atomic_store(typing_context: Any, address: Any, value: Any) -> Any:
    """Sequentially consistent store of an int64."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.store_atomic(a[1], _pointer(b, a[0], I64), "seq_cst", 8)
        return c.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def atomic_add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to an int64 and return the value before."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        return b.atomic_rmw("add", _pointer(b, a[0], I64), a[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def cycle_counter(typing_context: Any) -> Any:
    """The processor's time stamp counter."""
    return types.int64(), lambda c, b, s, a: _intrinsic_call(b, "llvm.readcyclecounter", I64, [])


@intrinsic
def yield_processor(typing_context: Any) -> Any:
    """Let another thread have this core: libc's ``sched_yield``."""

    def emit(c: Any, b: ir.IRBuilder, s: Any, a: Sequence[ir.Value]) -> Any:
        b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(I32, []), "sched_yield"), [])
        return c.get_dummy_value()

    return types.void(), emit


# --- vectors -----------------------------------------------------------------------------------------------------


def _vector(lanes: int) -> ir.VectorType:
    return ir.VectorType(F32, lanes)


def _splat(b: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def _constant(value: float, lanes: int) -> ir.Value:
    return ir.Constant(_vector(lanes), [value] * lanes)


def _intrinsic_call(b: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    function_type = ir.FunctionType(result, [x.type for x in args])
    return b.call(cgutils.get_or_insert_function(b.module, function_type, name), args)


def _fma(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    return _intrinsic_call(b, f"llvm.fma.v{x.type.count}f32", x.type, [x, y, z])


def _clip(b: ir.IRBuilder, x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """min(max(x, low), high); an unordered comparison is false and returns x, so NaN stays NaN."""
    x = b.select(b.fcmp_ordered("<", x, low), low, x)
    return b.select(b.fcmp_ordered(">", x, high), high, x)


def _exp(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """e**x per lane: range reduction by ln 2 in two parts, degree-6 polynomial, 2**n by exponent bits.

    Relative error below 3e-7 for results in the normal range; saturates at the ends of float32.
    """
    lanes = x.type.count
    k = lambda v: _constant(v, lanes)  # noqa: E731
    x = _clip(b, x, k(-87.3), k(88.3))
    n = _intrinsic_call(b, f"llvm.rint.v{lanes}f32", x.type, [b.fmul(x, k(math.log2(math.e)))])
    r = _fma(b, n, k(-0.693359375), x)
    r = _fma(b, n, k(2.12194440e-4), r)
    p = k(1 / 720)
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = _fma(b, p, r, k(coefficient))
    integers = ir.VectorType(I32, lanes)
    # A NaN would be poison to fptosi; its lane of n is replaced and p carries the NaN through the product.
    n = b.select(b.fcmp_unordered("uno", n, n), k(0.0), n)
    bits = b.add(b.fptosi(n, integers), ir.Constant(integers, [127] * lanes))
    return b.fmul(p, b.bitcast(b.shl(bits, ir.Constant(integers, [23] * lanes)), x.type))


def _sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    one = _constant(1.0, x.type.count)
    return b.fdiv(one, b.fadd(one, _exp(b, b.fsub(_constant(-0.0, x.type.count), x))))


def _tanh(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    lanes = x.type.count
    k = lambda v: _constant(v, lanes)  # noqa: E731
    large = b.fsub(k(1.0), b.fdiv(k(2.0), b.fadd(k(1.0), _exp(b, b.fadd(x, x)))))
    # 1 - 2/(1+e^2x) cancels near zero: below 0.25 the odd Taylor series is exact to float32.
    square = b.fmul(x, x)
    p = k(-1382 / 155925)
    for coefficient in (62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1.0):
        p = _fma(b, p, square, k(coefficient))
    small = b.fcmp_ordered("<", square, k(0.0625))
    return b.select(small, b.fmul(x, p), large)


def _hard_sigmoid(b: ir.IRBuilder, x: ir.Value) -> ir.Value:
    lanes = x.type.count
    return _clip(
        b,
        _fma(b, x, _constant(1 / 6, lanes), _constant(0.5, lanes)),
        _constant(0.0, lanes),
        _constant(1.0, lanes),
    )


#: Activation word → (builder, vector, *parameter vectors) -> vector.
ACTIVATION_IR: dict[str, Callable[..., ir.Value]] = {
    "relu": lambda b, x: b.select(
        b.fcmp_ordered("<", x, _constant(0.0, x.type.count)), _constant(0.0, x.type.count), x
    ),
    "leaky_relu": lambda b, x, slope: b.select(
        b.fcmp_ordered("<", x, _constant(0.0, x.type.count)), b.fmul(x, slope), x
    ),
    "clip": _clip,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "silu": lambda b, x: b.fmul(x, _sigmoid(b, x)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda b, x: b.fmul(x, _hard_sigmoid(b, x)),
}


class Tile:
    """Operations on a register block of ``rows x vectors`` vectors of ``lanes`` float32, for ``outputs`` channels.

    In memory, vector ``(i, j)`` of a channel stands at ``pointer + i * row_stride + j * lanes * 4``.
    """

    def __init__(self, lanes: int, rows: int = 1, vectors: int = 1, outputs: int = 1) -> None:
        self.lanes, self.rows, self.vectors, self.outputs = lanes, rows, vectors, outputs
        self.count = outputs * rows * vectors
        self.type = TileType(self.count, lanes)
        self._ir = ir.LiteralStructType([_vector(lanes)] * self.count)

    def _intrinsic(self, arguments: Sequence[types.Type], result: types.Type, emit: Emit) -> Any:
        """An intrinsic over ``arguments``; ``emit(builder, *values)`` returns vectors, a value or None."""

        def generate(context: Any, b: ir.IRBuilder, signature: Any, values: Sequence[ir.Value]) -> Any:
            out = emit(b, *values)
            if isinstance(out, list):
                block = ir.Constant(self._ir, ir.Undefined)
                for i, vector in enumerate(out):
                    block = b.insert_value(block, vector, i)
                return block
            return context.get_dummy_value() if out is None else out

        names = ", ".join(f"a{i}" for i in range(len(arguments)))
        scope: dict[str, Any] = {"signature": result(*arguments), "generate": generate}
        source = f"def operation(typing_context, {names}):\n    return signature, generate\n"
        exec(source, scope)  # noqa: S102 - Numba reads an intrinsic's arity off its signature
        return intrinsic(scope["operation"])

    def _split(self, b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        return [b.extract_value(block, i) for i in range(self.count)]

    def _addresses(self, b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
        starts = [pointer]
        for _ in range(1, self.rows):
            starts.append(b.add(starts[-1], row_stride))
        return [_offset(b, start, j * self.lanes * 4) for start in starts for j in range(self.vectors)]

    def _load(self, b: ir.IRBuilder, address: ir.Value) -> ir.Value:
        vector = b.load(_pointer(b, address, _vector(self.lanes)))
        vector.align = 4
        return vector

    @cached_property
    def splat(self) -> Any:
        """``splat(value)``: every lane of every vector."""
        return self._intrinsic(
            [types.float32], self.type, lambda b, v: [_splat(b, v, self.lanes)] * self.count
        )

    @cached_property
    def load(self) -> Any:
        """``load(pointer, row_stride)``"""
        return self._intrinsic(
            [types.int64, types.int64],
            self.type,
            lambda b, p, rs: [self._load(b, a) for a in self._addresses(b, p, rs)],
        )

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
        """``store_channels(pointer, channel_stride, row_stride, tile)``"""

        def emit(b: ir.IRBuilder, p: ir.Value, cs: ir.Value, rs: ir.Value, block: ir.Value) -> None:
            for address, vector in zip(
                self._channel_addresses(b, p, cs, rs), self._split(b, block), strict=True
            ):
                b.store(vector, _pointer(b, address, _vector(self.lanes))).align = 4

        return self._intrinsic([*[types.int64] * 3, self.type], types.void, emit)

    def _per_channel(self, b: ir.IRBuilder, pointer: ir.Value) -> list[ir.Value]:
        """The float32 at ``pointer`` for channel 0, the next for channel 1...: each in all of its channel's vectors."""
        out = []
        for output in range(self.outputs):
            value = b.load(_pointer(b, _offset(b, pointer, 4 * output), F32))
            out += [_splat(b, value, self.lanes)] * (self.rows * self.vectors)
        return out

    @cached_property
    def splat_channels(self) -> Any:
        """``splat_channels(pointer)``: one float32 per channel (the biases), in every pixel."""
        return self._intrinsic([types.int64], self.type, self._per_channel)

    @cached_property
    def scale_shift(self) -> Any:
        """``scale_shift(tile, scales, shifts)``: tile * scale + shift, one of each per channel, from memory."""

        def emit(b: ir.IRBuilder, block: ir.Value, scales: ir.Value, shifts: ir.Value) -> list[ir.Value]:
            channels = zip(
                self._split(b, block), self._per_channel(b, scales), self._per_channel(b, shifts), strict=True
            )
            return [_fma(b, v, scale, shift) for v, scale, shift in channels]

        return self._intrinsic([self.type, types.int64, types.int64], self.type, emit)

    @cached_property
    def load_every_second(self) -> Any:
        """``load_every_second(pointer, row_stride)``: as ``load``, from every other float (windows of stride 2)."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value) -> list[ir.Value]:
            out, numbers = [], ir.Constant(ir.VectorType(I32, self.lanes), [2 * i for i in range(self.lanes)])
            start = pointer
            for row in range(self.rows):
                start = b.add(start, row_stride) if row else start
                for j in range(self.vectors):
                    low = self._load(b, _offset(b, start, j * self.lanes * 8))
                    high = self._load(b, _offset(b, start, j * self.lanes * 8 + self.lanes * 4))
                    out.append(b.shuffle_vector(low, high, numbers))
            return out

        return self._intrinsic([types.int64, types.int64], self.type, emit)

    @cached_property
    def store(self) -> Any:
        """``store(pointer, row_stride, tile)``"""

        def emit(b: ir.IRBuilder, pointer: ir.Value, row_stride: ir.Value, block: ir.Value) -> None:
            for address, vector in zip(
                self._addresses(b, pointer, row_stride), self._split(b, block), strict=True
            ):
                b.store(vector, _pointer(b, address, _vector(self.lanes))).align = 4

        return self._intrinsic([types.int64, types.int64, self.type], types.void, emit)

    @cached_property
    def fma(self) -> Any:
        """``fma(acc, weight, x)``: acc + weight * x, one scalar weight for the whole tile."""

        def emit(b: ir.IRBuilder, acc: ir.Value, weight: ir.Value, x: ir.Value) -> list[ir.Value]:
            w = _splat(b, weight, self.lanes)
            return [_fma(b, w, v, a) for a, v in zip(self._split(b, acc), self._split(b, x), strict=True)]

        return self._intrinsic([self.type, types.float32, self.type], self.type, emit)

    def _elementwise(self, operation: Callable[..., ir.Value], arity: int) -> Any:
        def emit(b: ir.IRBuilder, *blocks: ir.Value) -> list[ir.Value]:
            return [operation(b, *vs) for vs in zip(*(self._split(b, x) for x in blocks), strict=True)]

        return self._intrinsic([self.type] * arity, self.type, emit)

    @cached_property
    def add(self) -> Any:
        """``add(x, y)`` per lane."""
        return self._elementwise(lambda b, x, y: b.fadd(x, y), 2)

    @cached_property
    def sub(self) -> Any:
        """``sub(x, y)`` per lane."""
        return self._elementwise(lambda b, x, y: b.fsub(x, y), 2)

    @cached_property
    def mul(self) -> Any:
        """``mul(x, y)`` per lane."""
        return self._elementwise(lambda b, x, y: b.fmul(x, y), 2)

    @cached_property
    def mul_add(self) -> Any:
        """``mul_add(x, y, z)``: x * y + z per lane, rounded once."""
        return self._elementwise(_fma, 3)

    @cached_property
    def maximum(self) -> Any:
        """Per lane; NaN if either is NaN."""

        def largest(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
            return b.select(b.or_(b.fcmp_ordered(">", x, y), b.fcmp_unordered("uno", x, x)), x, y)

        return self._elementwise(largest, 2)

    @cached_property
    def exp(self) -> Any:
        """``exp(x)`` per lane; see ``_exp``."""
        return self._elementwise(_exp, 1)

    def activation(self, word: str) -> Any:
        """``f(tile, *parameters)`` for an activation word; parameters are float32 scalars."""
        from sparsenet.ops import ACTIVATIONS

        operation = ACTIVATION_IR[word]

        def emit(b: ir.IRBuilder, block: ir.Value, *parameters: ir.Value) -> list[ir.Value]:
            splats = [_splat(b, p, self.lanes) for p in parameters]
            return [operation(b, v, *splats) for v in self._split(b, block)]

        return self._intrinsic([self.type, *[types.float32] * len(ACTIVATIONS[word])], self.type, emit)

    # --- lanes at the edges of a line

    def _lane_numbers(self, j: int) -> ir.Value:
        return ir.Constant(ir.VectorType(I64, self.lanes), [j * self.lanes + i for i in range(self.lanes)])

    def _between(self, b: ir.IRBuilder, low: ir.Value, high: ir.Value, j: int) -> ir.Value:
        """Mask of the lanes of the j-th vector whose number is in [low, high)."""
        # 32-bit compares: half the vectors of 64-bit ones. Line lengths fit easily.
        numbers = ir.Constant(ir.VectorType(I32, self.lanes), [j * self.lanes + i for i in range(self.lanes)])
        lo = _splat(b, b.trunc(low, I32), self.lanes)
        hi = _splat(b, b.trunc(high, I32), self.lanes)
        return b.and_(b.icmp_signed(">=", numbers, lo), b.icmp_signed("<", numbers, hi))

    @cached_property
    def keep(self) -> Any:
        """``keep(tile, low, high, other)``: lanes numbered [low, high) along each row; ``other`` (scalar) elsewhere."""

        def emit(
            b: ir.IRBuilder, block: ir.Value, low: ir.Value, high: ir.Value, other: ir.Value
        ) -> list[ir.Value]:
            rest = _splat(b, other, self.lanes)
            masks = [self._between(b, low, high, j) for j in range(self.vectors)]
            return [b.select(masks[i % self.vectors], v, rest) for i, v in enumerate(self._split(b, block))]

        return self._intrinsic([self.type, types.int64, types.int64, types.float32], self.type, emit)

    @cached_property
    def keep_pixels(self) -> Any:
        """``keep_pixels(tile, bits)``: zero in lanes whose bit is 0; ``bits``: one uint16 per vector of a row."""

        def emit(b: ir.IRBuilder, block: ir.Value, bits: ir.Value) -> list[ir.Value]:
            masks, zero = [], _constant(0.0, self.lanes)
            for j in range(self.vectors):
                word = b.load(_pointer(b, _offset(b, bits, 2 * j), ir.IntType(16)))
                narrow = b.trunc(word, ir.IntType(self.lanes)) if self.lanes < 16 else word
                masks.append(b.bitcast(narrow, ir.VectorType(I1, self.lanes)))
            return [b.select(masks[i % self.vectors], v, zero) for i, v in enumerate(self._split(b, block))]

        return self._intrinsic([self.type, types.int64], self.type, emit)

    @cached_property
    def load_between(self) -> Any:
        """``load_between(pointer, low, high)``: lanes [low, high) from memory, 0 elsewhere; reads nothing else."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, low: ir.Value, high: ir.Value) -> list[ir.Value]:
            vector, zero = _vector(self.lanes), _constant(0.0, self.lanes)
            align = ir.Constant(I32, 4)
            name = f"llvm.masked.load.v{self.lanes}f32.p0"
            out = []
            for j in range(self.vectors):
                address = _pointer(b, _offset(b, pointer, j * self.lanes * 4), vector)
                out.append(
                    _intrinsic_call(b, name, vector, [address, align, self._between(b, low, high, j), zero])
                )
            return out

        return self._intrinsic([types.int64] * 3, self.type, emit)

    @cached_property
    def store_between(self) -> Any:
        """``store_between(pointer, low, high, tile)``: only the lanes numbered [low, high) are written."""

        def emit(b: ir.IRBuilder, pointer: ir.Value, low: ir.Value, high: ir.Value, block: ir.Value) -> None:
            vector, align = _vector(self.lanes), ir.Constant(I32, 4)
            for j, value in enumerate(self._split(b, block)):
                address = _pointer(b, _offset(b, pointer, j * self.lanes * 4), vector)
                mask = self._between(b, low, high, j)
                _intrinsic_call(
                    b, f"llvm.masked.store.v{self.lanes}f32.p0", ir.VoidType(), [value, address, align, mask]
                )

        return self._intrinsic([types.int64, types.int64, types.int64, self.type], types.void, emit)

    @cached_property
    def gather_between(self) -> Any:
        """``gather_between(pointer, stride, low, high)``: lane i at ``pointer + i * stride``, 0 outside [low, high)."""

        def emit(
            b: ir.IRBuilder, pointer: ir.Value, stride: ir.Value, low: ir.Value, high: ir.Value
        ) -> list[ir.Value]:
            out = []
            for j in range(self.vectors):
                steps = b.mul(self._lane_numbers(j), _splat(b, stride, self.lanes))
                out.append(
                    self._gather(
                        b, b.add(_splat(b, pointer, self.lanes), steps), self._between(b, low, high, j)
                    )
                )
            return out

        return self._intrinsic([types.int64] * 4, self.type, emit)

    def _gather(self, b: ir.IRBuilder, addresses: ir.Value, mask: ir.Value) -> ir.Value:
        vector = _vector(self.lanes)
        pointers = b.inttoptr(addresses, ir.VectorType(F32.as_pointer(), self.lanes))
        name = f"llvm.masked.gather.v{self.lanes}f32.v{self.lanes}p0"
        return _intrinsic_call(
            b, name, vector, [pointers, ir.Constant(I32, 4), mask, _constant(0.0, self.lanes)]
        )

    @cached_property
    def gather(self) -> Any:
        """``gather(base, offsets)``: lane i from ``base + offsets[i]``; offsets are int32 byte counts in memory."""

        def emit(b: ir.IRBuilder, base: ir.Value, offsets: ir.Value) -> list[ir.Value]:
            integers = ir.VectorType(I32, self.lanes)
            everything = ir.Constant(ir.VectorType(I1, self.lanes), [True] * self.lanes)
            out = []
            for j in range(self.vectors):
                indices = b.load(_pointer(b, _offset(b, offsets, j * self.lanes * 4), integers))
                indices.align = 4
                wide = b.sext(indices, ir.VectorType(I64, self.lanes))
                out.append(self._gather(b, b.add(_splat(b, base, self.lanes), wide), everything))
            return out

        return self._intrinsic([types.int64, types.int64], self.type, emit)

    @cached_property
    def even_lanes(self) -> Any:
        """``even_lanes(first, second)``: every other float of two tiles that follow each other in memory."""

        def evens(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
            numbers = ir.Constant(ir.VectorType(I32, self.lanes), [2 * i for i in range(self.lanes)])
            return b.shuffle_vector(x, y, numbers)

        return self._elementwise(evens, 2)

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
        return b.extract_element(vector, ir.Constant(I32, 0))

    @cached_property
    def sum(self) -> Any:
        """``sum(tile)``: one float32, added pairwise."""
        return self._intrinsic(
            [self.type], types.float32, lambda b, block: self._reduce(b, block, lambda b, x, y: b.fadd(x, y))
        )


def outer_product(block: Tile, pixels: Tile) -> Any:
    """``f(acc, pointer, x)``: the dense register tile, acc[channel] += w[channel] * x for the ``block``'s channels.

    ``pointer`` is one float32 weight per channel, consecutive; ``pixels`` is ``block`` with a single channel.
    """

    def emit(b: ir.IRBuilder, acc: ir.Value, pointer: ir.Value, x: ir.Value) -> list[ir.Value]:
        sums, xs = block._split(b, acc), pixels._split(b, x)
        out = []
        for channel in range(block.outputs):
            w = _splat(b, b.load(_pointer(b, _offset(b, pointer, 4 * channel), F32)), block.lanes)
            out += [_fma(b, w, v, sums[channel * pixels.count + p]) for p, v in enumerate(xs)]
        return out

    return block._intrinsic([block.type, types.int64, pixels.type], block.type, emit)
