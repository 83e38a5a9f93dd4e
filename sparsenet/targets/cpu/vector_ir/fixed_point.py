"""Sums times fixed-point multipliers as 16-bit numbers of steps (see ``lower.fixed_point``)."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from sparsenet.targets.cpu.panels import SHIFT
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import I16, I64, all_of, call_intrinsic, clipped, constant, mangled
from sparsenet.targets.family import Dot


def steps_of_sums(b: ir.IRBuilder, dot: Dot, pair: Sequence[ir.Value], multiplier: ir.Value) -> ir.Value:
    """The steps of two vectors of int32 in one of int16, with saturation; ``multiplier`` is a vector as they are."""
    if not dot.is_arm:
        return _plain(b, all_of(b, *pair), all_of(b, multiplier, multiplier))
    kind, parts = multiplier.type, []
    short = ir.VectorType(I16, kind.count)
    for sums in pair:
        product = call_intrinsic(b, f"llvm.aarch64.neon.sqdmulh.{mangled(kind)}", kind, [sums, multiplier])
        narrow = f"llvm.aarch64.neon.sqrshrn.{mangled(short)}"
        parts.append(call_intrinsic(b, narrow, short, [product, llvm.I32(SHIFT)]))
    return all_of(b, *parts)


def _plain(b: ir.IRBuilder, sums: ir.Value, multiplier: ir.Value) -> ir.Value:
    wide = ir.VectorType(I64, sums.type.count)
    product = b.mul(b.sext(sums, wide), b.sext(multiplier, wide))
    steps = b.add(b.ashr(product, constant(31, wide)), constant(1 << (SHIFT - 1), wide))
    return clipped(b, b.ashr(steps, constant(SHIFT, wide)), -(2**15), 2**15 - 1, I16)
