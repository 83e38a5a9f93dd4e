"""Kernels read their row of the tape by the names that their family declares."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

from sparsenet.graph.types import F32, I32
from sparsenet.targets.abi import ARENA, encode_float, encode_pointer
from sparsenet.targets.cpu import arguments as module
from sparsenet.targets.cpu.arguments import arguments
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.families import CPU_FAMILIES
from sparsenet.targets.cpu.vector_ir import store_f32
from sparsenet.targets.family import Argument, signature
from sparsenet.targets.registry import Kernel

NORMALIZE = Kernel("f32_normalize_none_flat", 4)


def test_a_declaration_tells_names_and_kinds() -> None:
    assert signature("*x *offsets:i32 *stream:any rows eps:f32") == (
        Argument("x", "pointer"),
        Argument("offsets", "pointer", "i32"),
        Argument("stream", "pointer", "any"),
        Argument("rows", "integer"),
        Argument("eps", "number"),
    )


def test_an_array_is_of_the_type_of_its_family_or_of_a_declared_one() -> None:
    kernel = Kernel("f32_copy_none_rows", 16, (1,), ("affine", "add", "elu"))
    elements = {argument.name: kernel.pointee(argument) for argument in kernel.signature}
    assert elements["x"] == elements["out"] == elements["residual.1"] == kernel.element == F32
    assert elements["lane_bits"] is elements["channels"] is elements["alpha.2"] is None
    kernel = Kernel("f32_resize_none_rows", 16)
    elements = {argument.name: kernel.pointee(argument) for argument in kernel.signature}
    assert (elements["rows_low"], elements["rows_weight"]) == (I32, F32)


@pytest.mark.parametrize("word", ["eps:f16", "eps:any", "rows:", "*x:", "*x:i7", "*", "2x", ":f32", "**x"])
def test_a_declaration_of_nothing_known_is_an_error(word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{word}' declares no argument")):
        signature(f"*x {word} rows")


def test_each_kind_is_read_as_what_it_is() -> None:
    read = arguments(NORMALIZE)

    def kernel(args, bases):  # type: ignore[no-untyped-def]
        given = read(args, bases)
        store_f32(given.out, 0, given.eps)
        store_f32(given.out, 1, np.float32(given.size))
        store_f32(given.out, 2, np.float32(given.out - given.x))

    memory = np.zeros(8, np.float32)
    row = np.array([encode_pointer(ARENA, 4), 3, 5, encode_float(0.25), encode_pointer(ARENA, 12)], np.int64)
    bases = np.array([0, memory.ctypes.data], np.int64)
    entry = kernel_entry(kernel)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(entry.address)(row.ctypes.data, bases.ctypes.data)
    assert NORMALIZE.arguments == ["x", "runs", "size", "eps", "out"]
    assert memory.tolist() == [0, 0, 0, 0.25, 5, 8, 0, 0]


def test_a_name_that_is_not_declared_does_not_compile() -> None:
    read = arguments(NORMALIZE)

    def kernel(args, bases):  # type: ignore[no-untyped-def]
        store_f32(read(args, bases).pitch, 0, np.float32(0))

    with pytest.raises(TypingError, match="pitch"):
        kernel_entry(kernel)


def test_each_step_of_an_epilogue_has_names_of_its_own() -> None:
    kernel = Kernel("f32_copy_none_flat", 4, (), ("affine", "clip", "add"))
    assert kernel.arguments == [
        *("x", "size", "out", "scale.0", "shift.0", "min.1", "max.1"),
        *("residual.2", "residual_row.2", "residual_channel.2"),
    ]
    assert [argument.kind for argument in kernel.signature[3:8]] == [
        *("pointer", "pointer", "number", "number", "pointer")
    ]


@pytest.mark.parametrize("family", CPU_FAMILIES)
def test_every_declared_argument_is_read(family: str) -> None:
    """By the kernel's file, or by what it shares with others: a loop, the end of a tile."""
    folder, declared = Path(module.__file__).parent, set(CPU_FAMILIES[family].arguments)
    own = (folder / f"{CPU_FAMILIES[family].module.replace('cpu.', 'kernels/')}.py").read_text()
    imported = re.findall(r"^from sparsenet\.targets\.cpu\.(\w+) import", own, re.MULTILINE)
    shared = "".join(
        (folder / f"{name}.py").read_text() for name in imported if name in ("pointwise", "requantize")
    )
    read, read_there = (set(re.findall(r"\bgiven\.(\w+)", text)) for text in (own, shared))
    assert read <= declared <= read | read_there
