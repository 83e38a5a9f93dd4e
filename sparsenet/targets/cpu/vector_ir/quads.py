"""Quads, the bytes of four channels of a pixel in one 32-bit number: their products, and how they are taken apart.

Sums of quads' products are int32, as tiles of four ``outputs``: one per channel of the quads that they become.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from sparsenet.errors import SparsenetError
from sparsenet.graph.types import EVERY_BYTE, F32, QUAD
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import llvm
from sparsenet.targets.cpu.vector_ir.llvm import (
    I8,
    I16,
    Product,
    all_of,
    call_intrinsic,
    clipped,
    constant,
    mangled,
    splat,
)
from sparsenet.targets.cpu.vector_ir.tile import Tile
from sparsenet.targets.family import Dot

BYTE_BITS = 8
#: The words ``low`` and ``high`` of four bytes that may be any.
NO_BOUNDS = (0, -1)

#: x86's names of what LLVM makes of nothing else, for vectors of 128, 256 and 512 bits.
_DOTS = {128: "avx512.vpdpbusd.128", 256: "avx512.vpdpbusd.256", 512: "avx512.vpdpbusd.512"}
_WORD_DOTS = {128: "sse2.pmadd.wd", 256: "avx2.pmadd.wd", 512: "avx512.pmaddw.d.512"}
_BYTE_DOTS = {128: "ssse3.pmadd.ub.sw.128", 256: "avx2.pmadd.ub.sw", 512: "avx512.pmaddubs.w.512"}
_TO_WORDS = {128: "sse2.packssdw.128", 256: "avx2.packssdw", 512: "avx512.packssdw.512"}
_TO_BYTES = {128: "sse2.packuswb.128", 256: "avx2.packuswb", 512: "avx512.packuswb.512"}


def quad_product(dot: int, lanes: int) -> Product:
    """``f(b, w, x, sum)``: sum + the products of w's four signed bytes and x's four unsigned ones, by ``dot``.

    They lack ``Dot.middle`` times w's bytes.

    Raises:
        SparsenetError: the CPU that code is made for has no such instruction; LLVM would end the process.
    """
    needed = {
        Dot.VNNI: ("vpdpbusd", {"avx512vnni"} if 32 * lanes == max(_DOTS) else {"avx512vnni", "avxvnni"}),
        Dot.SMULL: ("smull", {"neon"}),
        Dot.SDOT: ("sdot", {"dotprod"}),
        Dot.USDOT: ("usdot", {"i8mm"}),
    }
    name, any_of = needed.get(Dot(dot), ("", set()))
    if name and not any_of & cpu_features():
        raise SparsenetError(
            f"this CPU has no {name} of {32 * lanes} bits, so its kernels cannot be compiled here"
        )
    product = _PRODUCTS[Dot(dot)]
    return lambda b, w, x, total: product(b, w, ready(b, dot, x), total)


def ready(b: ir.IRBuilder, dot: int, x: ir.Value) -> ir.Value:
    """Quads of pixels as ``ready_product`` takes them: less ``Dot.middle``, which changes the first bit of 128."""
    return b.xor(x, constant(EVERY_BYTE * Dot(dot).middle, x.type)) if Dot(dot).middle else x


def ready_product(dot: int) -> Product:
    """As ``quad_product``, of pixels that ``ready`` has made so: once for all products that share them."""
    return _PRODUCTS[Dot(dot)]


def _x86(b: ir.IRBuilder, names: dict[int, str], result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    bits = args[0].type.count * args[0].type.element.width
    return call_intrinsic(b, f"llvm.x86.{names[bits]}", result, args)


def _by_quads(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    return _x86(b, _DOTS, total.type, [total, x, w])


def _neon(b: ir.IRBuilder, name: str, result: ir.Type, args: Sequence[ir.Value]) -> ir.Value:
    """Call NEON's instruction of this name, of a result and the last of ``args``."""
    kinds = f"{mangled(result)}.{mangled(args[-1].type)}" if args[-1].type != result else mangled(result)
    return call_intrinsic(b, f"llvm.aarch64.neon.{name}.{kinds}", result, args)


def _octets(b: ir.IRBuilder, quads: ir.Value) -> ir.Value:
    return b.bitcast(quads, ir.VectorType(I8, QUAD * quads.type.count))


def _by_products(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    words, halves = ir.VectorType(I16, 2 * x.type.count), []
    x, w = _octets(b, x), _octets(b, w)
    for first in (0, words.count):
        part = ir.Constant(ir.VectorType(llvm.I32, words.count), list(range(first, first + words.count)))
        bytes_ = [b.shuffle_vector(value, value, part) for value in (x, w)]
        products = call_intrinsic(b, f"llvm.aarch64.neon.smull.{mangled(words)}", words, bytes_)
        halves.append(_neon(b, "saddlp", total.type, [products]))
    return b.add(total, _neon(b, "addp", total.type, halves))


def _by_signed_quads(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    return _neon(b, "sdot", total.type, [total, _octets(b, x), _octets(b, w)])


def _by_mixed_quads(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    return _neon(b, "usdot", total.type, [total, _octets(b, x), _octets(b, w)])


def _by_bytes(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    octets, words = (ir.VectorType(kind, x.type.count * QUAD * BYTE_BITS // kind.width) for kind in (I8, I16))
    pairs = _x86(b, _BYTE_DOTS, words, [b.bitcast(x, octets), b.bitcast(w, octets)])
    return b.add(total, _x86(b, _WORD_DOTS, total.type, [pairs, constant(1, words)]))


def _by_words(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    words = ir.VectorType(I16, 2 * x.type.count)
    byte, low = constant(BYTE_BITS, words), constant(0xFF, words)
    x, w = b.bitcast(x, words), b.bitcast(w, words)
    even = [b.and_(x, low), b.ashr(b.shl(w, byte), byte)]
    odd = [b.lshr(x, byte), b.ashr(w, byte)]
    for pair in (even, odd):
        total = b.add(total, _x86(b, _WORD_DOTS, total.type, pair))
    return total


def _plain(b: ir.IRBuilder, w: ir.Value, x: ir.Value, total: ir.Value) -> ir.Value:
    top = constant(24, x.type)
    for channel, byte in enumerate(_bytes(b, x)):
        weight = b.ashr(b.shl(w, constant(24 - BYTE_BITS * channel, w.type)), top)
        total = b.add(total, b.mul(byte, weight))
    return total


_PRODUCTS: dict[Dot, Product] = {
    Dot.PLAIN: _plain,
    Dot.WORDS: _by_words,
    Dot.BYTES: _by_bytes,
    Dot.VNNI: _by_quads,
    Dot.SMULL: _by_products,
    Dot.SDOT: _by_signed_quads,
    Dot.USDOT: _by_mixed_quads,
}


def _bytes(b: ir.IRBuilder, quads: ir.Value) -> list[ir.Value]:
    """The four bytes of every quad as int32."""
    low = constant(0xFF, quads.type)
    return [b.and_(b.lshr(quads, constant(BYTE_BITS * channel, quads.type)), low) for channel in range(QUAD)]


def multiply_quads(sums: Tile, pixels: Tile, dot: int) -> Any:
    """``f(acc, weights, x)``: acc + one quad of weights, an integer, times all quads of x."""
    product = quad_product(dot, pixels.lanes)

    def emit(b: ir.IRBuilder, acc: ir.Value, weights: ir.Value, x: ir.Value) -> list[ir.Value]:
        w = sums._splat(b, weights)
        pairs = zip(pixels._split(b, x), sums._split(b, acc), strict=True)
        return [product(b, w, quads, total) for quads, total in pairs]

    return sums._intrinsic([sums.type, types.int64, pixels.type], sums.type, emit)


def with_bytes(pixels: Tile) -> Any:
    """``f(quads, x, rotation, mask)``: quads, and of x, rotated left by so many bits, those that are in the mask."""

    def emit(b: ir.IRBuilder, *given: ir.Value) -> list[ir.Value]:
        rotation, mask = (pixels._splat(b, number) for number in given[2:])
        name, out = f"llvm.fshl.{mangled(pixels._vector)}", []
        for quads, x in zip(pixels._split(b, given[0]), pixels._split(b, given[1]), strict=True):
            rotated = call_intrinsic(b, name, pixels._vector, [x, x, rotation])
            out.append(b.or_(quads, b.and_(rotated, mask)))
        return out

    return pixels._intrinsic([pixels.type] * 2 + [types.int64] * 2, pixels.type, emit)


def four_channels(single: Tile) -> Any:
    """``f(a, b, c, d)``: the tiles of four channels as one tile of four ``outputs``."""
    block = Tile(single.element, single.lanes, single.rows, single.vectors, QUAD)

    def emit(b: ir.IRBuilder, *channels: ir.Value) -> list[ir.Value]:
        return [vector for channel in channels for vector in single._split(b, channel)]

    return block._intrinsic([single.type] * QUAD, block.type, emit)


def steps_of(pixels: Tile) -> Any:
    """``f(quads, zero)``: as float32, how many steps each byte is from ``zero``, in a tile of four ``outputs``.

    A byte below the leading bits of 2**23 is 2**23 + byte, so one subtraction takes the place of two and a conversion.
    """
    values = Tile(F32, pixels.lanes, pixels.rows, pixels.vectors, QUAD)
    leading = np.float32(2**23).view(np.int32).item()

    def emit(b: ir.IRBuilder, quads: ir.Value, zero: ir.Value) -> list[ir.Value]:
        high = constant(leading, pixels._vector)
        apart = [[b.or_(byte, high) for byte in _bytes(b, vector)] for vector in pixels._split(b, quads)]
        start = b.bitcast(b.add(b.trunc(zero, llvm.I32), llvm.I32(leading)), llvm.F32)
        middle = splat(b, start, pixels.lanes)
        in_order = [byte for channel in zip(*apart, strict=True) for byte in channel]
        return [b.fsub(b.bitcast(byte, values._vector), middle) for byte in in_order]

    return values._intrinsic([pixels.type, types.int64], values.type, emit)


def to_float(integers: Tile) -> Any:
    """``f(tile)``: int32 as float32, rounded to the nearest, half to even."""
    floats = Tile(F32, integers.lanes, integers.rows, integers.vectors, integers.outputs)

    def emit(b: ir.IRBuilder, block: ir.Value) -> list[ir.Value]:
        return [b.sitofp(vector, floats._vector) for vector in integers._split(b, block)]

    return floats._intrinsic([integers.type], floats.type, emit)


def pack_quads(pixels: Tile, dot: int, *, bounded: bool = True) -> Any:
    """``f(values, zero, low, high)``: quads of a float32 tile of four ``outputs``, whose numbers are below 2**30.

    A byte is min(max(rint(value) + zero, low), high), half to even, with 0 <= zero <= 255, low and high one byte for
    each channel of a quad, in a word of 32 bits. ``dot`` tells whether this is x86: there saturation clips, and if not
    ``bounded``, zero, low and high are known to be 0, and as ``NO_BOUNDS``.
    """
    floats = Tile(F32, pixels.lanes, pixels.rows, pixels.vectors, QUAD)
    join = _join_x86 if Dot(dot).is_x86 else _join_arm if Dot(dot).is_arm else _join_plain

    def emit(b: ir.IRBuilder, block: ir.Value, *given: ir.Value) -> list[ir.Value]:
        bounds = given if bounded or dot == Dot.PLAIN else ()
        vectors = rounded(b, floats, block, dot)
        return [join(b, vectors[i :: pixels.count], bounds) for i in range(pixels.count)]

    return pixels._intrinsic([floats.type, *[types.int64] * 3], pixels.type, emit)


def _join_plain(b: ir.IRBuilder, channels: Sequence[ir.Value], bounds: Sequence[ir.Value]) -> ir.Value:
    """Quads of four vectors of int32."""
    kind = channels[0].type
    zero = splat(b, b.trunc(bounds[0], llvm.I32), kind.count)
    limits = [[splat(b, byte, kind.count) for byte in bytes_of_word(b, word)] for word in bounds[1:]]
    quads = constant(0, kind)
    for number, (channel, low, high) in enumerate(zip(channels, *limits, strict=True)):
        above = call_intrinsic(b, f"llvm.smax.{mangled(kind)}", kind, [b.add(channel, zero), low])
        byte = call_intrinsic(b, f"llvm.smin.{mangled(kind)}", kind, [above, high])
        quads = b.or_(quads, b.shl(byte, constant(BYTE_BITS * number, kind)))
    return quads


def bytes_of_word(b: ir.IRBuilder, word: ir.Value) -> list[ir.Value]:
    """The four bytes of an integer's lowest 32 bits, as int32."""
    low = b.trunc(word, llvm.I32)
    return [b.and_(b.lshr(low, llvm.I32(BYTE_BITS * i)), llvm.I32(0xFF)) for i in range(QUAD)]


def _join_arm(b: ir.IRBuilder, channels: Sequence[ir.Value], bounds: Sequence[ir.Value]) -> ir.Value:
    """As ``_join_plain``, by saturation."""
    count = channels[0].type.count
    return narrowed(
        b, halves_of(b, channels), bounds, [j * count + i for i in range(count) for j in range(QUAD)]
    )


def halves_of(b: ir.IRBuilder, sums: Sequence[ir.Value], *, words: bool = True) -> list[ir.Value]:
    """Four vectors of int32 as two of int16; with saturation, if ``words``."""
    halves = [all_of(b, *two) for two in (sums[:2], sums[2:])]
    if words:
        return [clipped(b, half, -(2**15), 2**15 - 1, I16) for half in halves]
    return [b.trunc(half, ir.VectorType(I16, half.type.count)) for half in halves]


def narrowed(
    b: ir.IRBuilder, halves: Sequence[ir.Value], bounds: Sequence[ir.Value], order: Sequence[int]
) -> ir.Value:
    """Two vectors of int16 as one of their bytes on AArch64, with saturation, in a vector of int32.

    Byte i of the result is number ``order[i]`` of all. ``bounds`` are nothing, zero, or as of ``saturated``.
    """
    pair = halves[0].type
    few, octets = ir.VectorType(I8, pair.count), ir.VectorType(I8, 2 * pair.count)
    for zero in bounds[:1]:
        start = splat(b, b.trunc(zero, I16), pair.count)
        halves = [call_intrinsic(b, f"llvm.sadd.sat.{mangled(pair)}", pair, [v, start]) for v in halves]
    parts = [call_intrinsic(b, f"llvm.aarch64.neon.sqxtun.{mangled(few)}", few, [v]) for v in halves]
    octet = all_of(b, *parts)
    octet = b.shuffle_vector(octet, octet, ir.Constant(ir.VectorType(llvm.I32, octets.count), list(order)))
    return b.bitcast(within(b, octet, bounds[1:]), ir.VectorType(llvm.I32, pair.count // 2))


def within(b: ir.IRBuilder, octet: ir.Value, bounds: Sequence[ir.Value]) -> ir.Value:
    """The bytes of quads within two bounds of four bytes each, if there are any."""
    for name, bound in zip(("umax", "umin"), bounds, strict=False):
        limit = b.bitcast(splat(b, b.trunc(bound, llvm.I32), octet.type.count // QUAD), octet.type)
        octet = call_intrinsic(b, f"llvm.{name}.{mangled(octet.type)}", octet.type, [octet, limit])
    return octet


def _join_x86(b: ir.IRBuilder, channels: Sequence[ir.Value], bounds: Sequence[ir.Value]) -> ir.Value:
    """As ``_join_plain``, by saturation, which mixes the channels of every four pixels."""
    # In each 128 bits, byte ``pixel`` of channel j is number 4 j + ``pixel`` then.
    squares = range(0, QUAD * channels[0].type.count, QUAD * QUAD)
    order = [at + QUAD * j + pixel for at in squares for pixel in range(QUAD) for j in range(QUAD)]
    return saturated(b, channels, bounds, order)


def saturated(
    b: ir.IRBuilder, sums: Sequence[ir.Value], bounds: Sequence[ir.Value], order: Sequence[int] = ()
) -> ir.Value:
    """Four vectors of int32 as one of their bytes on x86: with saturation to 16 bits, then 8.

    In each 128 bits are four bytes of each of them in turn; byte i of the result is number ``order[i]`` of these.
    ``bounds`` are zero and the words low and high, whose four bytes are for bytes i, i + 1, i + 2 and i + 3 of the
    result, i a multiple of 4; or nothing for no bounds.
    """
    kind = sums[0].type
    words, octets = ir.VectorType(I16, 2 * kind.count), ir.VectorType(I8, QUAD * kind.count)
    halves = [_x86(b, _TO_WORDS, words, pair) for pair in (sums[:2], sums[2:])]
    if bounds:
        zero = splat(b, b.trunc(bounds[0], I16), words.count)
        halves = [
            call_intrinsic(b, f"llvm.sadd.sat.{mangled(words)}", words, [half, zero]) for half in halves
        ]
    octet = _x86(b, _TO_BYTES, octets, halves)
    if order:
        octet = b.shuffle_vector(
            octet, octet, ir.Constant(ir.VectorType(llvm.I32, octets.count), list(order))
        )
    return b.bitcast(within(b, octet, bounds[1:]), kind)


def rounded(b: ir.IRBuilder, floats: Tile, block: ir.Value, dot: int) -> list[ir.Value]:
    """The vectors of a float32 tile as int32, half to even; ``dot`` tells which machine's instructions there are."""
    integers = ir.VectorType(llvm.I32, floats.lanes)
    if Dot(dot).is_arm:
        return [_neon(b, "fcvtns", integers, [value]) for value in floats._split(b, block)]
    wholes = [
        call_intrinsic(b, f"llvm.rint.{mangled(floats._vector)}", floats._vector, [value])
        for value in floats._split(b, block)
    ]
    return [b.fptosi(whole, integers) for whole in wholes]
