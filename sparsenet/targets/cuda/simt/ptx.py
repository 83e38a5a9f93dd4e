"""Loads and stores that Numba's indexing does not give: vectors of 128 bits, the read-only path, no wrap-around."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.cuda.extending import intrinsic

from sparsenet.graph.types import F32

_GLOBAL = 1  # the address space of device memory in NVVM IR


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    at = builder.addrspacecast(builder.gep(data, [index]), ir.PointerType(element, _GLOBAL))
    return at if lanes == 1 else builder.bitcast(at, ir.PointerType(ir.VectorType(element, lanes), _GLOBAL))


def _load(lanes: int) -> Any:
    def typed(typing_context: Any, array: Any, index: Any) -> Any:
        result = array.dtype if lanes == 1 else types.UniTuple(array.dtype, lanes)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = _pointer(context, builder, sig.args[0], args[0], args[1], lanes)
            loaded = builder.load(pointer, align=F32.itemsize * lanes)
            loaded.set_metadata("invariant.load", builder.module.add_metadata([]))  # ld.global.nc
            if lanes == 1:
                return loaded
            number = ir.IntType(32)
            parts = [builder.extract_element(loaded, number(lane)) for lane in range(lanes)]
            return context.make_tuple(builder, sig.return_type, parts)

        return result(array, types.int64), generate

    return typed


def _write(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    array, index, *values = args
    lanes = len(values)
    pointer = _pointer(context, builder, sig.args[0], array, index, lanes)
    whole = values[0]
    if lanes > 1:
        whole = ir.Constant(ir.VectorType(values[0].type, lanes), ir.Undefined)
        for lane, value in enumerate(values):
            whole = builder.insert_element(whole, value, ir.IntType(32)(lane))
    builder.store(whole, pointer, align=F32.itemsize * lanes)
    return context.get_dummy_value()


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Load one element of an array that nobody writes during the launch."""
    return _load(1)(typing_context, array, index)


@intrinsic
def load2(typing_context: Any, array: Any, index: Any) -> Any:
    """Load two consecutive elements, as ``load``; ``index`` is even."""
    return _load(2)(typing_context, array, index)


@intrinsic
def load4(typing_context: Any, array: Any, index: Any) -> Any:
    """Load four consecutive elements, as ``load``; ``index`` is a multiple of four."""
    return _load(4)(typing_context, array, index)


@intrinsic
def load_shared(typing_context: Any, array: Any, index: Any) -> Any:
    """Load one element of an array in shared memory; a negative ``index`` does not count from the end."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return array.dtype(array, types.int64), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, a: Any) -> Any:
    """Write one element."""
    return types.none(array, types.int64, array.dtype), _write


@intrinsic
def store2(typing_context: Any, array: Any, index: Any, a: Any, b: Any) -> Any:
    """Write two consecutive elements; ``index`` is even."""
    return types.none(array, types.int64, *[array.dtype] * 2), _write


@intrinsic
def store4(typing_context: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Write four consecutive elements; ``index`` is a multiple of four."""
    return types.none(array, types.int64, *[array.dtype] * 4), _write


@intrinsic
def divide(typing_context: Any, a: Any, b: Any) -> Any:
    """Quotient of two numbers from 0 to 2^31 - 1, rounded down: 64-bit division is several times slower."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = [builder.trunc(arg, ir.IntType(32)) for arg in args]
        return builder.zext(builder.udiv(*narrow), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate
