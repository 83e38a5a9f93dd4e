"""The table of ATen operations that have a counterpart. No torch import: rules see names, shapes and plain numbers.

The operations are those left by ``torch.export`` and ``run_decompositions({})``: functional, with convolutions,
linear layers, pooling and activations still whole; what has no rule here, torch spells out. To support one more
operation, add a rule under its name (``str(target)`` without "aten.") to the file of its kind, and a test; rules read
arguments by their ATen schema names.
"""

from __future__ import annotations

from converters.torch.call import Rule
from converters.torch.ops import arithmetic as torch_math
from converters.torch.ops import choice as torch_choice
from converters.torch.ops import filled as torch_filled
from converters.torch.ops import layers as torch_layers
from converters.torch.ops import logic as torch_logic
from converters.torch.ops import shapes as torch_shape_ops
from converters.torch.ops import windows as torch_windows

RULES: dict[str, Rule] = {
    **torch_layers.RULES,
    **torch_math.RULES,
    **torch_logic.RULES,
    **torch_shape_ops.RULES,
    **torch_choice.RULES,
    **torch_windows.RULES,
    **torch_filled.RULES,
}
