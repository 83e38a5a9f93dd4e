"""Fully connected layers."""

from __future__ import annotations

from functools import partial

from sparsenet.graph import Node
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import zeros_in_words
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower.epilogues import epilogue_of
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.weights import Weights, sparse

#: A nonzero takes so many times the instructions of a weight in a dense row.
_PER_NONZERO = 1.4


def lower(builder: Builder, node: Node) -> None:
    """Sparse if few enough weights are not zero."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    weights = builder.once(partial(Weights.of, values=builder.options.values), conv)
    epilogue = epilogue_of(builder, node)
    x, out = builder.flat(conv.x), builder.new(node.output)
    i8 = "i8" if weights.small else ""
    found = sparse(weights, 1, 1, 1) if builder.options.sparse else None
    known: dict[str, Word] = {"bias": builder.constant(weights.bias), "c_out": len(weights.bias)}
    if weights.scale is not None:
        known["scale"] = builder.constant(weights.scale)
    if found is not None and _PER_NONZERO * len(found.values) < weights.numbers.size:
        weight_format, kernel = "csr", Kernel(f"f32_linear_csr{i8}_flat", (), epilogue.ops)
        values, places, counts = (builder.constant(array) for array in found)
        known |= {"weights": values, "places": places, "counts": counts}
    else:
        weight_format, kernel = "dense", Kernel(f"f32_linear_dense{i8}_flat", (), epilogue.ops)
        known |= {"weights": builder.constant(weights.numbers), "c_in": weights.numbers.shape[1]}
    reads = [Read(x, whole=True), *(Read(read.value, whole=True) for read in epilogue.reads)]
    builder.add(out, kernel, reads, {**known, **epilogue.arguments}, units=1, by_rows=False)
    builder.choose(
        node,
        weight_format,
        kernel,
        zeros_in_words(weights.nnz / weights.numbers.size),
        **conv.counts(weights.nnz),
    )


LOWER = {"linear": lower}
