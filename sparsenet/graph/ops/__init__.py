"""The op table: for each op its inputs, attributes, shape rule, rule for parts, and traits, all in one entry.

Whatever reads graphs (reference backend, planner, importers, model file) is written against this table. Symbols:
``N`` batch (``None`` in shapes), ``C`` channels, ``H W`` rows and columns, ``F`` features. Layout of image tensors is
NCHW. One file for each family has the entries, with the rules they name; ``schema`` says what an entry tells.
"""

from __future__ import annotations

from sparsenet.graph.ops.activations import ACTIVATIONS
from sparsenet.graph.ops.attribute import REQUIRED
from sparsenet.graph.ops.check import check_constants, check_node
from sparsenet.graph.ops.epilogues import (
    FUSED_OP_TENSORS,
    epilogue_fits,
    epilogue_tensors,
)
from sparsenet.graph.ops.infer import infer_shape, partial_of
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import LARGEST_EXPANSION, MAX_RANK
from sparsenet.graph.ops.table import OPS, as_step, attributes, split_inputs, value_inputs

__all__ = [
    "ACTIVATIONS",
    "FUSED_OP_TENSORS",
    "LARGEST_EXPANSION",
    "MAX_RANK",
    "OPS",
    "REQUIRED",
    "OpSchema",
    "as_step",
    "attributes",
    "check_constants",
    "check_node",
    "epilogue_fits",
    "epilogue_tensors",
    "infer_shape",
    "partial_of",
    "split_inputs",
    "value_inputs",
]
