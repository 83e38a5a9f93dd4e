"""Fully connected layers, and whatever else is one matrix times one vector."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import lanes_for
from sparsenet.plan.lower.epilogues import flat_arguments, words
from sparsenet.plan.pack import linear_blocks, linear_groups
from sparsenet.plan.select import choose_format

#: Density below which gathering single inputs beats streaming the whole matrix: a gather costs about four plain
#: loads, and eight bytes per nonzero stand against four per weight.
BREAK_EVEN_DENSITY = 0.35


def lower_linear(builder: Builder, node: Node) -> None:
    """A fully connected layer."""
    own, _ = split_inputs(node)
    weight = builder.graph.constants[own[1]]
    bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
    lower_matrix(builder, node, weight, bias, own[0])


def lower_matrix(builder: Builder, node: Node, matrix: FloatArray, bias: FloatArray, x: str) -> None:
    """``out = matrix @ x + bias`` with x in C order."""
    c_out, c_in = matrix.shape
    source = builder.plain(x)
    epilogue = flat_arguments(builder, node)
    place = builder.new_plain(node.output)
    lanes = lanes_for(c_out)
    nnz = int(np.count_nonzero(matrix))
    density = nnz / matrix.size
    counts = {"macs": matrix.size, "nnz": nnz, "weights": matrix.size}
    sparse, reason = choose_format(builder.options.kernels, density, BREAK_EVEN_DENSITY)
    common = {
        "x": source.first,
        "bias": builder.padded_constant(bias),
        "c_out": c_out,
        "out": place.first,
        **epilogue,
    }
    if sparse:
        kernel = Kernel("f32_linear_csr_flat", lanes, (), words(node))
        group_offsets, stream = linear_groups(np.ascontiguousarray(matrix), lanes)
        builder.decide(node, "csr", kernel, reason, **counts)
        builder.emit(
            kernel, group_offsets=builder.constant(group_offsets), stream=builder.constant(stream), **common
        )
        return
    vectors = min(4, -(-c_out // lanes))
    kernel = Kernel("f32_linear_dense_flat", lanes, (vectors,), words(node))
    builder.decide(node, "dense", kernel, reason, **counts)
    builder.emit(
        kernel, weights=builder.constant(linear_blocks(matrix, vectors * lanes)), c_in=c_in, **common
    )


LOWER = {"linear": lower_linear}
