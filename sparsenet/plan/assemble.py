"""From steps to what the interpreter runs: one block of constants, and tapes of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.errors import GraphError
from sparsenet.limits import require_memory
from sparsenet.plan.arena import ALIGNMENT
from sparsenet.plan.ref import Ref, Word
from sparsenet.targets.abi import ROW_BYTES, ROW_WORDS, encode_float
from sparsenet.targets.family import Argument
from sparsenet.targets.registry import Kernel


@dataclass
class Step:
    """One kernel call: the kernel, its arguments by name, the layer it belongs to."""

    kernel: Kernel
    arguments: dict[str, Word]
    layer: str

    def __post_init__(self) -> None:
        if set(self.arguments) != set(self.kernel.arguments):
            wrong = sorted(set(self.arguments) ^ set(self.kernel.arguments))
            raise ValueError(f"{self.kernel.name}: arguments {wrong} missing or unknown")


def aligned_bytes(size: int, alignment: int = 4096) -> npt.NDArray[np.uint8]:
    """``size`` zero bytes whose address is a multiple of ``alignment``; NumPy's own 16 split every vector load."""
    block = np.zeros(size + alignment, np.uint8)
    start = -block.ctypes.data % alignment
    return block[start : start + size]


def pack_constants(constants: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Join all constants in one block; returns the block and the offset of each constant."""
    offsets, size = [], 0
    for array in constants:
        offsets.append(size)
        size += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    block = aligned_bytes(size + ALIGNMENT)
    for array, offset in zip(constants, offsets, strict=True):
        block[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
    return block, offsets


def require_declared(steps: Iterable[Step], constants: Sequence[npt.NDArray[Any]]) -> None:
    """Check that every constant is of the type that the kernel which reads it declares.

    Raises:
        ValueError: one is not.
    """
    for step in steps:
        for argument in step.kernel.signature:
            value, element = step.arguments[argument.name], step.kernel.pointee(argument)
            if element is None or not isinstance(value, Ref) or value.space != "weights":
                continue
            if constants[value.index].dtype != element.dtype:
                given = constants[value.index].dtype
                raise ValueError(f"{step.kernel.name}: {argument.name} is of {element}, got {given}")


def encode_tape(steps: Sequence[Step], place: Callable[[Ref], int]) -> npt.NDArray[np.int64]:
    """The tape of ``steps``, int64 (steps, ROW_WORDS); column 0 is left for the kernel's address, ``place`` encodes a
    pointer.

    Raises:
        GraphError: a call has more arguments than a row has words.
        MemoryLimitError: the tape would take more than ``limits.memory_limit``.
    """
    require_memory(ROW_BYTES * len(steps), f"the schedule of {len(steps):,} kernel calls")
    tape = np.zeros((len(steps), ROW_WORDS), np.int64)
    for row, step in zip(tape, steps, strict=True):
        words = [_word(step, argument, place) for argument in step.kernel.signature]
        if len(words) >= ROW_WORDS:
            raise GraphError(f"layer '{step.layer}' fuses too many operations: {len(words)} arguments")
        row[1 : 1 + len(words)] = words
    return tape


def _word(step: Step, argument: Argument, place: Callable[[Ref], int]) -> int:
    value = step.arguments[argument.name]
    if isinstance(value, Ref):
        if argument.kind == "pointer":
            return place(value)
    elif argument.kind == "number":
        return encode_float(value)
    elif argument.kind == "integer":
        return int(value)
    raise ValueError(f"{step.kernel.name}: {argument.name} is a {argument.kind}, got {value}")
