"""The table of ATen operations that have a counterpart. No torch import: rules see names, shapes and plain numbers.

The operations are those left by ``torch.export`` and ``run_decompositions({})``: functional, with convolutions,
linear layers, pooling and activations still whole; what has no rule here, torch spells out. To support one more
operation, add a rule under its name (``str(target)`` without "aten.") to the file of its kind, and a test; rules read
arguments by their ATen schema names.
"""

from __future__ import annotations

from converters import (
    torch_choice,
    torch_filled,
    torch_layers,
    torch_logic,
    torch_math,
    torch_shape_ops,
    torch_windows,
)
from converters.torch_call import Rule

RULES: dict[str, Rule] = {
    **torch_layers.RULES,
    **torch_math.RULES,
    **torch_logic.RULES,
    **torch_shape_ops.RULES,
    **torch_choice.RULES,
    **torch_windows.RULES,
    **torch_filled.RULES,
}
