"""Graph → Graph: every pass is one function in the file of its name, works on a copy and never changes the maths."""

from __future__ import annotations

from converters.passes.batch_norm_to_affine import batch_norm_to_affine
from converters.passes.constant_operand_to_affine import constant_operand_to_affine
from converters.passes.drop_unit_axis import drop_unit_axis
from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.fold_affine import fold_affine
from converters.passes.fold_affine_forward import fold_affine_forward
from converters.passes.fold_pad import fold_pad
from converters.passes.fuse_activation import fuse_activation
from converters.passes.fuse_add import fuse_add
from converters.passes.fuse_affine import fuse_affine
from converters.passes.fuse_gate import fuse_gate
from converters.passes.lines_in_integers import lines_in_integers
from converters.passes.merge_affine import merge_affine
from converters.passes.optimize import PASSES, REDUCTION, optimize, run_passes
from converters.passes.permute_channels import permute_channels
from converters.passes.reduce_channels import kept_channels, reduce_channels
from converters.passes.remove_identity import remove_identity
from converters.passes.remove_redundant_relu import remove_redundant_relu
from converters.passes.simplify_reshape import simplify_reshape
from converters.passes.sink_transposes import sink_transposes

__all__ = [
    "PASSES",
    "REDUCTION",
    "batch_norm_to_affine",
    "constant_operand_to_affine",
    "drop_unit_axis",
    "eliminate_dead",
    "fold_affine",
    "fold_affine_forward",
    "fold_pad",
    "fuse_activation",
    "fuse_add",
    "fuse_affine",
    "fuse_gate",
    "kept_channels",
    "lines_in_integers",
    "merge_affine",
    "optimize",
    "permute_channels",
    "reduce_channels",
    "remove_identity",
    "remove_redundant_relu",
    "run_passes",
    "simplify_reshape",
    "sink_transposes",
]
