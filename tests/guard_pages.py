"""Bounds checks for kernels by the memory management unit: ``SPARSENET_GUARD=end pytest tests/sparsenet/engine``.

Kernels check no bounds, so here every piece of memory that they may touch stands alone: each packed weight or table,
each buffer and ring of working memory, each input and output lies between pages that may be neither read nor written.
With ``end`` it ends with the last byte of a page, so that a kernel that reads or writes one byte too far dies on the
spot; with ``start`` it begins with the first. What a layout promises to be readable (``layout.GUARD``) is part of its
buffer. With ``end2`` and ``start2``, engines for one thread have two, and every run asks for the second one's help.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import weakref
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

import bench.kernels.one_kernel
import sparsenet.plan.make
import sparsenet.targets.cpu.runtime.prepared
from sparsenet.engine_options import EngineOptions
from sparsenet.graph.feeds import image_shape
from sparsenet.plan.memory import Memory
from sparsenet.plan.rings import GUARD_BYTES, PAGE, Ring
from sparsenet.targets.abi import FIRST_TENSOR
from sparsenet.targets.cpu.runtime.helping import Helping
from sparsenet.targets.cpu.runtime.prepared import Context, Prepared
from sparsenet.targets.cpu.runtime.ring_memory import Arena

Bytes = npt.NDArray[np.uint8]
_PROT_NONE, _PROT_BOTH = 0, mmap.PROT_READ | mmap.PROT_WRITE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Side:
    """Which end of everything is guarded to the byte; None while guards are off."""

    chosen: str | None = None


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _protect(address: int, size: int, protection: int) -> None:
    if _libc.mprotect(address, size, protection) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def places(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Offsets of pieces of these sizes, each on pages of its own with a free page before and behind; bytes in all."""
    offsets, start = [], PAGE
    for size in sizes:
        offsets.append(start + (_pages(size) - size if _Side.chosen == "end" else 0))
        start += _pages(size) + PAGE
    return offsets, start


def block(sizes: Sequence[int]) -> tuple[Bytes, list[int]]:
    """Memory for pieces of these sizes, nothing but which is accessible; and the offset of each."""
    offsets, total = places(sizes)
    address = _libc.mmap(None, total, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    for offset, size in zip(offsets, sizes, strict=True):
        if size:
            _protect(address + offset // PAGE * PAGE, _pages(size), _PROT_BOTH)
    buffer = (ctypes.c_char * total).from_address(address)
    weakref.finalize(buffer, _libc.munmap, address, total)
    return np.frombuffer(buffer, np.uint8), offsets


def guarded_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A contiguous copy of ``array`` between guards."""
    memory, (offset,) = block([array.nbytes])
    copy = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


# --- what stands in for the engine's own memory ---------------------------------------------------------------


def _pack_constants(constants: Sequence[npt.NDArray[Any]]) -> tuple[Bytes, list[int]]:
    memory, offsets = block([array.nbytes for array in constants])
    for array, offset in zip(constants, offsets, strict=True):
        memory[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
    return memory, offsets


_serial = itertools.count(1)
#: Arena size, different for every plan → offset and size of each buffer in it.
_buffers: dict[int, list[tuple[int, int]]] = {}


def _arrange(memory: Memory) -> tuple[int, list[Ring]]:
    offsets, plain = places([buffer.size for buffer in memory.buffers])
    for buffer, offset in zip(memory.buffers, offsets, strict=True):
        buffer.offset = offset
    plain += next(_serial) * PAGE
    _buffers[plain] = [(buffer.offset, buffer.size) for buffer in memory.buffers]
    rings, start, physical = [], plain + PAGE, 0
    for ring in memory.rings:  # no two share memory, and a page stands between them
        ring.offset = physical
        rings.append(Ring(start + GUARD_BYTES, ring.size, physical))
        start += 2 * GUARD_BYTES + 2 * ring.size + PAGE
        physical += ring.size
    return plain, rings


class _GuardedArena(Arena):
    """An arena with holes between its buffers and between its rings."""

    def __init__(self, plain_bytes: int, rings: Sequence[Ring]) -> None:
        plain = plain_bytes - 64  # the engine asks for a little more than the plan
        super().__init__(plain_bytes, rings)
        _protect(self.address, plain + PAGE, _PROT_NONE)
        for offset, size in _buffers[plain]:
            _protect(self.address + offset // PAGE * PAGE, _pages(size), _PROT_BOTH)
        for ring, following in itertools.pairwise(rings):
            end = ring.start + 2 * ring.size + GUARD_BYTES
            _protect(self.address + end, following.start - GUARD_BYTES - end, _PROT_NONE)


def _run(prepared: Prepared, pool: Any, context: Context) -> None:
    shapes = [*map(image_shape, prepared.plan.inputs), *prepared.output_shapes]
    starts = context.bases[FIRST_TENSOR:].copy()
    arrays = [
        np.ctypeslib.as_array((ctypes.c_float * prod(shape)).from_address(start))
        for shape, start in zip(shapes, starts.tolist(), strict=True)
    ]
    copies = [guarded_copy(array) for array in arrays]
    context.bases[FIRST_TENSOR:] = [copy.ctypes.data for copy in copies]
    try:
        _original_run(prepared, pool, context)
    finally:
        context.bases[FIRST_TENSOR:] = starts
    inputs = len(prepared.plan.inputs)
    for array, copy in zip(arrays[inputs:], copies[inputs:], strict=True):
        array[...] = copy


def _call_one_kernel(call: bench.kernels.one_kernel.OneKernel) -> None:
    copies = [guarded_copy(array) for array in call._arrays]
    bases = call._bases.copy()
    call._bases[: len(copies)] = [copy.ctypes.data for copy in copies]
    try:
        _original_call(call)
    finally:
        call._bases[:] = bases
    for array, copy in zip(call._arrays, copies, strict=True):
        if array.flags.writeable:
            array[...] = copy


def _check_options(options: EngineOptions) -> None:
    _original_check(options)
    if options.threads == 1:
        object.__setattr__(options, "threads", 2)


def _always(*_: object) -> bool:
    return True


_original_check = EngineOptions.__post_init__
_original_run = Prepared.run
_original_call = bench.kernels.one_kernel.OneKernel.__call__


def install(side: str) -> None:
    """Guard all kernels of this process from now on; ``side`` is "end", "start", "end2" or "start2"."""
    if side not in ("end", "start", "end2", "start2"):
        raise ValueError(f"SPARSENET_GUARD must be end, start, end2 or start2, got {side!r}")
    _Side.chosen = side.removesuffix("2")
    replaced: list[tuple[Any, str, Any]] = [
        (sparsenet.plan.make, "pack_constants", _pack_constants),
        (Memory, "arrange", _arrange),
        (sparsenet.targets.cpu.runtime.prepared, "Arena", _GuardedArena),
        (Prepared, "run", _run),
        (bench.kernels.one_kernel.OneKernel, "__call__", _call_one_kernel),
    ]
    if side.endswith("2"):
        replaced += [(EngineOptions, "__post_init__", _check_options), (Helping, "wanted", _always)]
    for owner, name, stand_in in replaced:
        setattr(owner, name, stand_in)
