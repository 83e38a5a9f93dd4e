"""Fully connected layers in integers, and convolutions that are one matrix times one vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.integer import Product
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.ref import Ref, Word
from sparsenet.targets.cpu.lower.epilogues import Epilogue
from sparsenet.targets.cpu.lower.linear import MatrixVector
from sparsenet.targets.cpu.lower.pack import linear_blocks
from sparsenet.targets.cpu.lower.pack_picks import picks
from sparsenet.targets.cpu.lower.pack_quads import bias_at, weight_quads
from sparsenet.targets.cpu.lower.quad_epilogue import added
from sparsenet.targets.cpu.lower.select import choose_format
from sparsenet.targets.registry import Kernel

#: Share of quads that are not zero below which picking single quads beats streaming the whole matrix.
BREAK_EVEN_DENSITY = 0.55


def lower_linear(builder: Builder, node: Node) -> None:
    """Lower a fully connected layer."""
    product = Product.of(builder.graph, node)
    assert product is not None
    conv = Convolution.of(builder.graph, builder.shapes, node)
    lower_matrix(builder, conv, product, product.weights.astype(np.int8, copy=False))


def lower_matrix(builder: Builder, conv: Convolution, product: Product, weight: npt.NDArray[np.int8]) -> None:
    """Add ``out = weight @ x + bias``, (C_out, C_in) int8, with x in C order."""
    node, c_out = conv.node, len(weight)
    source, epilogue = builder.plain(conv.x), added(builder, product, over_rows=False)
    out, lanes = builder.new_plain(node.output), builder.plain_vector.lanes // QUAD
    matrix = weight_quads(weight[:, :, None, None])[:c_out]
    density = np.count_nonzero(matrix) / matrix.size
    sparse, reason = choose_format(builder.options.kernels, density, BREAK_EVEN_DENSITY, "quads of zeros")
    make = _sparse if sparse else _dense
    kernel, block, fixed, per_block, nbytes = make(builder, matrix, lanes, epilogue)
    counts = {"macs": weight.size, "nnz": int(np.count_nonzero(weight)), "weights": weight.size}
    builder.decide(node, "csr" if sparse else "dense", kernel, reason, **counts)
    rounding = product.rounding
    fixed |= {"zero": rounding.zero_point, "low": rounding.low, "high": rounding.high}
    bias, scale = bias_at(product.bias, weight, product.x.zero_point), product.multiplier
    for name, numbers in (("bias", bias), ("scale", scale)):
        whole = np.pad(numbers, (0, -c_out % block))
        per_block[name] = builder.constant(whole), block * whole.itemsize
    builder.add(
        MatrixVector(
            node.name, out, 1, source, kernel, epilogue, c_out, block, fixed, per_block,
            channel_blocks=-(-c_out // block), weight_bytes=nbytes,
        )
    )  # fmt: skip


_Weights = tuple[Kernel, int, dict[str, Word], dict[str, tuple[Ref, int]], int]


def _dense(builder: Builder, matrix: npt.NDArray[np.int32], lanes: int, epilogue: Epilogue) -> _Weights:
    """The kernel, the outputs of a block, arguments of all blocks and those that advance by block, bytes."""
    target, (c_out, quads) = builder.target, matrix.shape
    vectors = min(4 if target.registers >= 32 else 2, -(-c_out // lanes))
    block = vectors * lanes
    kernel = builder.plain_vector.kernel("linear_dense_flat", (vectors, target.dot), epilogue.ops)
    blocks = linear_blocks(matrix, block)
    per_block = {"weights": (builder.constant(blocks), block * quads * blocks.itemsize)}
    return kernel, block, {"quads": quads}, per_block, blocks.nbytes


def _sparse(builder: Builder, matrix: npt.NDArray[np.int32], lanes: int, epilogue: Epilogue) -> _Weights:
    packed = picks(matrix, lanes)
    kernel = builder.plain_vector.kernel("linear_csr_flat", (builder.target.dot,), epilogue.ops)
    fixed: dict[str, Word] = {
        name: builder.constant(getattr(packed, name)) for name in ("windows", "weights", "places")
    }
    per_block = {"group_offsets": (builder.constant(packed.group_offsets), packed.group_offsets.itemsize)}
    return kernel, lanes, fixed, per_block, packed.weights.nbytes + packed.places.nbytes


LOWER = {"linear": lower_linear}
