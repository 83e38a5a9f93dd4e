"""Reading a kernel's row of the tape, by the names that its family declares."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from sparsenet.targets.abi import BASE_SHIFT, OFFSET_MASK
from sparsenet.targets.cpu.vector_ir.llvm import F32, I64, typed_pointer
from sparsenet.targets.family import Argument
from sparsenet.targets.registry import Kernel


def arguments(kernel: Kernel, step: int | None = None) -> Any:
    """``f(args, bases)``: what ``kernel`` is called with, or one step of its epilogue, under the declared names.

        read = arguments(kernel)
        given = read(args, bases)            # in the kernel
        given.x, given.c_out, given.eps      # an address, an int64, a float32

    What is not used is not read. A name that is not declared is an error when the kernel is compiled.
    """
    ending = "" if step is None else str(step)
    own = [
        (index, argument._replace(name=argument.name.partition(".")[0]))
        for index, argument in enumerate(kernel.signature)
        if argument.name.partition(".")[2] == ending
    ]
    names = namedtuple("names", [argument.name for _, argument in own])  # type: ignore[misc]
    result = types.NamedTuple([_TYPES[argument.kind] for _, argument in own], names)

    @intrinsic
    def read(typing_context: Any, args: Any, bases: Any) -> Any:
        def emit(context: Any, builder: Any, call: Any, given: Sequence[Any]) -> Any:
            args, bases = (typed_pointer(builder, address, I64) for address in given)
            values = [_emit(builder, args, bases, index, argument) for index, argument in own]
            return context.make_tuple(builder, result, values)

        return result(types.int64, types.int64), emit

    return read


_TYPES = {"pointer": types.int64, "integer": types.int64, "number": types.float32}


def _emit(builder: Any, args: Any, bases: Any, index: int, argument: Argument) -> Any:
    place = builder.gep(args, [I64(index)])
    if argument.kind == "number":
        return builder.load(builder.bitcast(place, F32.as_pointer()))
    word = builder.load(place)
    if argument.kind == "integer":
        return word
    base = builder.load(builder.gep(bases, [builder.ashr(word, I64(BASE_SHIFT))]))
    return builder.add(base, builder.and_(word, I64(OFFSET_MASK)))
