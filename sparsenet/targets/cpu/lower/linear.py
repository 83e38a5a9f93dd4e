"""Fully connected layers, and whatever else is one matrix times one vector."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph import FloatArray, Node
from sparsenet.io.formats.storage import StoredWeight
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import as_csr, nonzeros
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.cpu.lower.epilogues import Epilogue, epilogue_of
from sparsenet.targets.cpu.lower.pack import linear_blocks, linear_groups
from sparsenet.targets.cpu.lower.select import choose_format
from sparsenet.targets.registry import Kernel

#: Density below which gathering single inputs beats streaming the whole matrix: a gather costs about four plain
#: loads, and a nonzero takes six bytes against four per dense weight.
BREAK_EVEN_DENSITY = 0.4


@dataclass(eq=False)
class MatrixVector(Stage):
    """A stage that computes ``out = matrix @ source + bias``; a block is ``block_channels`` output features."""

    source: Value
    kernel: Kernel
    epilogue: Epilogue
    channels: int
    block_channels: int
    fixed: dict[str, Word]
    per_block: dict[str, tuple[Ref, int]]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, 0, 1), *self.epilogue.needs(0, 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        begin = blocks[0] * self.block_channels
        to.call(
            self.kernel,
            x=to.whole(self.source),
            c_out=min(blocks[1] * self.block_channels, self.channels) - begin,
            out=to.whole(self.out) + begin * self.out.layout.itemsize,
            **self.fixed,
            **{name: start + blocks[0] * step for name, (start, step) in self.per_block.items()},
            **self.epilogue.arguments(to, 0, begin),
        )


def lower_linear(builder: Builder, node: Node) -> None:
    """Lower a fully connected layer."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    lower_matrix(builder, conv, conv.stored or conv.weight)


def lower_matrix(builder: Builder, conv: Convolution, matrix: FloatArray | StoredWeight) -> None:
    """Add ``out = matrix @ x + bias`` with x in C order; a stored weight is decoded only for the dense kernel."""
    node, (c_out, c_in) = conv.node, matrix.shape
    source = builder.plain(conv.x)
    epilogue = epilogue_of(builder, node, False)
    out = builder.new_plain(node.output)
    vector = builder.vector.fitting(c_out)
    lanes = vector.lanes
    nnz = builder.once(nonzeros, matrix)
    size = c_out * c_in
    counts = {"macs": size, "nnz": nnz, "weights": size}
    sparse, reason = choose_format(builder.options.kernels, nnz / size, BREAK_EVEN_DENSITY)
    if sparse:
        csr = builder.once(as_csr, matrix)
        group_offsets, stream = builder.once(linear_groups, csr, lanes)
        index_bytes = stream.itemsize * stream.shape[1] // lanes - csr.values.itemsize
        kernel, block = vector.kernel("linear_csr_flat", (index_bytes,), epilogue.ops), lanes
        fixed: dict[str, Word] = {"stream": builder.constant(stream)}
        per_block = {"group_offsets": (builder.constant(group_offsets), group_offsets.itemsize)}
        nbytes = stream.nbytes
    else:
        vectors = min(4, -(-c_out // lanes))
        block = vectors * lanes
        kernel = vector.kernel("linear_dense_flat", (vectors,), epilogue.ops)
        dense = conv.weight if isinstance(matrix, StoredWeight) else matrix
        blocks = builder.once(linear_blocks, dense, block)
        fixed, nbytes = {"c_in": c_in}, blocks.nbytes
        per_block = {"weights": (builder.constant(blocks), block * c_in * blocks.itemsize)}
    builder.decide(node, "csr" if sparse else "dense", kernel, reason, **counts)
    per_block["bias"] = (builder.padded_constant(conv.bias), block * conv.bias.itemsize)
    builder.add(
        MatrixVector(
            node.name, out, 1, source, kernel, epilogue, c_out, block, fixed, per_block,
            channel_blocks=-(-c_out // block), weight_bytes=nbytes,
        )
    )  # fmt: skip


LOWER = {"linear": lower_linear}
