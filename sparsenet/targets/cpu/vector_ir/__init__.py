"""Vectors for Numba: the only package that knows LLVM.

Numba has no vector type, and LLVM's auto-vectorizer prefers 256 bits and gives up on pointers that may alias. Here a
``Tile`` is a block of hardware vectors held in registers, ``rows x vectors`` of ``lanes`` numbers each, and kernels
are written in plain Numba over it::

    tile = Tile(F32, lanes=16, rows=1, vectors=4)
    load, fma = tile.load, tile.fma
    acc = fma(acc, weight, load(pointer, row_stride))

Every pointer and stride is an int64 count of *bytes*. Kernels do no bounds checks: what they read was validated when
the model was loaded and planned. NaN stays NaN in every operation (`minimum`/`maximum` compare with the tile's value
on the side that an unordered comparison returns). A vector has 64 bytes (AVX-512), 32 (AVX2) or 16 (SSE, NEON):
16, 8 or 4 float32. LLVM splits vectors longer than the machine's. Outside of vectors an integer of any size is
an int64.
"""

from __future__ import annotations

from sparsenet.targets.cpu.vector_ir.channel_lanes import channel_product, channel_start, transpose_square
from sparsenet.targets.cpu.vector_ir.interleaved import deinterleave, interleave
from sparsenet.targets.cpu.vector_ir.quads import (
    NO_BOUNDS,
    four_channels,
    multiply_quads,
    pack_quads,
    quad_product,
    steps_of,
    to_float,
    with_bytes,
)
from sparsenet.targets.cpu.vector_ir.runtime import (
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
    atomic_swap,
    call_kernel,
    cycle_counter,
    stack_memory,
)
from sparsenet.targets.cpu.vector_ir.scalars import (
    load_f32,
    load_i32,
    load_i64,
    load_number,
    store_f32,
    store_i64,
    store_number,
)
from sparsenet.targets.cpu.vector_ir.steps import multiply_buckets, multiply_steps
from sparsenet.targets.cpu.vector_ir.tile import Tile, outer_product
from sparsenet.targets.cpu.vector_ir.waiting import breathe, nanoseconds, sleep_while, wake_all

__all__ = [
    "NO_BOUNDS",
    "Tile",
    "atomic_add",
    "atomic_load",
    "atomic_replace",
    "atomic_store",
    "atomic_swap",
    "breathe",
    "call_kernel",
    "channel_product",
    "channel_start",
    "cycle_counter",
    "deinterleave",
    "four_channels",
    "interleave",
    "load_f32",
    "load_i32",
    "load_i64",
    "load_number",
    "multiply_buckets",
    "multiply_quads",
    "multiply_steps",
    "nanoseconds",
    "outer_product",
    "pack_quads",
    "quad_product",
    "sleep_while",
    "stack_memory",
    "steps_of",
    "store_f32",
    "store_i64",
    "store_number",
    "to_float",
    "transpose_square",
    "wake_all",
    "with_bytes",
]
