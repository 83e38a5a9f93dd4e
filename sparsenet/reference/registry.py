"""Op name → reference function, joined from the families; a test holds it against ``sparsenet.graph.ops.OPS``."""

from __future__ import annotations

from sparsenet.reference import (
    activations,
    choose,
    conv2d,
    elementwise,
    linear,
    normalization,
    pad,
    pooling,
    rearrange,
    reduce,
    resize,
    softmax,
)
from sparsenet.reference.operation import Operation
from sparsenet.tables import Table

OPERATIONS: Table[Operation] = Table.joined(
    conv2d.OPERATIONS,
    linear.OPERATIONS,
    normalization.OPERATIONS,
    pooling.OPERATIONS,
    elementwise.OPERATIONS,
    activations.OPERATIONS,
    softmax.OPERATIONS,
    rearrange.OPERATIONS,
    pad.OPERATIONS,
    resize.OPERATIONS,
    reduce.OPERATIONS,
    choose.OPERATIONS,
)
