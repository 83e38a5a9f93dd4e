"""The table of ATen operations that have a counterpart. No torch import: rules see names, shapes and plain numbers.

The operations are those left by ``torch.export`` and ``run_decompositions({})``: functional, with convolutions,
linear layers, pooling and activations still whole; torch decomposes what has no rule here. To support one more
operation, add a rule under its name (``str(target)`` without "aten.") to the file of its kind, and a test; rules read
arguments by their ATen schema names.
"""

from __future__ import annotations

from converters.torch.call import Rule
from converters.torch.ops import (
    activations,
    arithmetic,
    choice,
    filled,
    layers,
    logic,
    quantize,
    reduce,
    shapes,
    windows,
)
from sparsenet.tables import Table

RULES: Table[Rule] = Table.joined(
    layers.RULES,
    activations.RULES,
    arithmetic.RULES,
    reduce.RULES,
    logic.RULES,
    shapes.RULES,
    choice.RULES,
    windows.RULES,
    filled.RULES,
    quantize.RULES,
)
