"""Fully connected layers in integers, and convolutions that are one matrix times one vector."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.integer import Product
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.ref import Ref, Word
from sparsenet.targets.cpu.lower.linear import MatrixVector
from sparsenet.targets.cpu.lower.pack import linear_blocks
from sparsenet.targets.cpu.lower.pack_picks import picks
from sparsenet.targets.cpu.lower.pack_quads import bias_at, weight_quads
from sparsenet.targets.cpu.lower.quad_epilogue import bounds, fused
from sparsenet.targets.cpu.lower.select import choose_format

#: Share of quads that are not zero below which picking single quads beats streaming the whole matrix.
BREAK_EVEN_DENSITY = 0.55


def lower_linear(builder: Builder, node: Node) -> None:
    """Lower a fully connected layer."""
    product = Product.of(builder.graph, node)
    assert product is not None
    conv = Convolution.of(builder.graph, builder.shapes, node)
    lower_matrix(builder, conv, product, product.weights.astype(np.int8, copy=False))


def lower_matrix(builder: Builder, conv: Convolution, product: Product, weight: npt.NDArray[np.int8]) -> None:
    """Add ``out = weight @ x + bias``, (C_out, C_in) int8, with x in C order; to bytes, or float32 without a grid."""
    node, c_out = conv.node, len(weight)
    source, epilogue = builder.plain(conv.x), fused(builder, product, over_rows=False)
    with builder.computing(in_bytes=product.out is not None):
        out = builder.new_plain(node.output)
    matrix = weight_quads(weight[:, :, None, None])[:c_out]
    density = np.count_nonzero(matrix) / matrix.size
    sparse, reason = choose_format(builder.options.kernels, density, BREAK_EVEN_DENSITY, "quads of zeros")
    kind = "csr" if sparse else "dense"
    packed = (_sparse if sparse else _dense)(builder, matrix)
    algorithm = f"linear_{kind}_flat" if product.out is not None else f"linear8_{kind}_flat"
    kernel = out.layout.vector.kernel(algorithm, packed.tile, epilogue.ops)
    counts = {"macs": weight.size, "nnz": int(np.count_nonzero(weight)), "weights": weight.size}
    builder.decide(node, kind, kernel, reason, **counts)
    fixed, per_block, block = packed.fixed, packed.per_block, packed.block
    each: dict[str, npt.NDArray[Any]] = {
        "bias": bias_at(product.bias, weight, product.x.zero_point, builder.target.dot),
        "scale": product.multiplier,
    }
    if product.out is not None:
        fixed |= {"zero": product.out.zero_point}
        each |= bounds(product, c_out)
    for name, numbers in each.items():
        whole = np.pad(numbers, (0, -c_out % block))
        per_block[name] = builder.constant(whole), block * whole.itemsize
    builder.add(
        MatrixVector(
            node.name, out, 1, source, kernel, epilogue, c_out, block, fixed, per_block,
            channel_blocks=-(-c_out // block), weight_bytes=packed.nbytes,
        )
    )  # fmt: skip


class _Packed(NamedTuple):
    """Weights in the form that a kernel streams.

    Attributes:
        tile: the kernel's tile parameters.
        block: outputs that belong together.
        fixed: arguments that are the same for all blocks.
        per_block: arguments to advance by block, and by how many bytes.
        nbytes: of all weights.
    """

    tile: tuple[int, ...]
    block: int
    fixed: dict[str, Word]
    per_block: dict[str, tuple[Ref, int]]
    nbytes: int


def _dense(builder: Builder, matrix: npt.NDArray[np.int32]) -> _Packed:
    target, (c_out, quads), lanes = builder.target, matrix.shape, builder.vector.lanes
    vectors = min(4 if target.registers >= 32 else 2, -(-c_out // lanes))
    block = vectors * lanes
    blocks = linear_blocks(matrix, block)
    per_block = {"weights": (builder.constant(blocks), block * quads * blocks.itemsize)}
    return _Packed((vectors, target.dot), block, {"quads": quads}, per_block, blocks.nbytes)


def _sparse(builder: Builder, matrix: npt.NDArray[np.int32]) -> _Packed:
    lanes = builder.vector.lanes
    packed = picks(matrix, lanes)
    fixed: dict[str, Word] = {
        name: builder.constant(getattr(packed, name)) for name in ("windows", "weights", "places")
    }
    per_block = {"group_offsets": (builder.constant(packed.group_offsets), packed.group_offsets.itemsize)}
    nbytes = packed.weights.nbytes + packed.places.nbytes
    return _Packed((builder.target.dot,), lanes, fixed, per_block, nbytes)


LOWER = {"linear": lower_linear}
