"""A matrix of quads times one vector of them: output features along the lanes.

A quad of weights is four signed bytes, for four consecutive inputs of one output (see ``vector_ir.quads``).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from sparsenet.graph.types import U8X4
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import (
    call_intrinsic,
    displaced,
    prefetch_ahead,
    splat,
    typed_pointer,
)
from sparsenet.targets.cpu.vector_ir.quads import quad_product
from sparsenet.targets.cpu.vector_ir.tile import Tile

#: x86's instructions that take any lanes of one vector: by lanes, what a CPU must have for them and their name.
_PERMUTE = {16: ("avx512f", "avx512.permvar.si.512"), 8: ("avx2", "avx2.permd")}


def multiply_outputs(sums: Tile, dot: int) -> Any:
    """``f(acc, weights, x)``: acc plus one quad of inputs, an integer, times that of every output.

    ``weights`` is the address of a stream of vectors: those of this quad of inputs come next.
    """
    product = quad_product(dot, sums.lanes)

    def emit(b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, x: ir.Value) -> list[ir.Value]:
        prefetch_ahead(b, weights, sums.vectors * sums.vector_bytes)
        quads = splat(b, b.trunc(x, llvm.I32), sums.lanes)
        return [
            product(b, sums._load(b, displaced(b, weights, j * sums.vector_bytes)), quads, total)
            for j, total in enumerate(sums._split(b, acc))
        ]

    return sums._intrinsic([sums.type, types.int64, types.int64], sums.type, emit)


def multiply_picked(sums: Tile, dot: int) -> Any:
    """``f(acc, weights, places, window)``: acc plus one quad of each output times the quad of inputs that it picks.

    Args of f:
        acc: one vector.
        weights: address of a quad of weights for every lane, in a stream of them.
        places: address of a byte for every lane: which quad behind ``window``, below the number of lanes.
        window: address of the first of the quads that can be picked; a vector of them is read.
    """
    product, lanes = quad_product(dot, sums.lanes), sums.lanes
    pixels, places_type = Tile(U8X4, lanes), ir.VectorType(llvm.I8, lanes)
    feature, name = _PERMUTE.get(lanes, ("", ""))
    permutes = feature in cpu_features()

    def emit(b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, places: ir.Value, window: ir.Value) -> Any:
        prefetch_ahead(b, weights, sums.vector_bytes)
        loaded = b.load(typed_pointer(b, places, places_type))
        loaded.align = 1
        (total,) = sums._split(b, acc)
        if permutes:
            numbers, quads = b.zext(loaded, pixels._vector), pixels._load(b, window)
            order = [quads, numbers]
            picked = call_intrinsic(b, f"llvm.x86.{name}", pixels._vector, order)
        else:
            picked = _picked_one_by_one(b, window, loaded, pixels)
        return [product(b, sums._load(b, weights), picked, total)]

    return sums._intrinsic([sums.type, *[types.int64] * 3], sums.type, emit)


def _picked_one_by_one(b: ir.IRBuilder, window: ir.Value, places: ir.Value, pixels: Tile) -> ir.Value:
    start = typed_pointer(b, window, llvm.I32)
    picked = ir.Constant(pixels._vector, ir.Undefined)
    for lane in range(pixels.lanes):
        place = b.zext(b.extract_element(places, llvm.I32(lane)), llvm.I64)
        number = b.load(b.gep(start, [place]))
        number.align = 1
        picked = b.insert_element(picked, number, llvm.I32(lane))
    return picked
