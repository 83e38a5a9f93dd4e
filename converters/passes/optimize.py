"""The passes in the order that lets each find its work done once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.passes.batch_norm_to_affine import batch_norm_to_affine
from converters.passes.common_grids import common_grids
from converters.passes.constant_operand_to_affine import constant_operand_to_affine
from converters.passes.drop_unit_axis import drop_unit_axis
from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.fold_affine import fold_affine
from converters.passes.fold_affine_forward import fold_affine_forward
from converters.passes.fold_pad import fold_pad
from converters.passes.forget_grids import forget_grids
from converters.passes.fuse_activation import fuse_activation
from converters.passes.fuse_add import fuse_add
from converters.passes.fuse_affine import fuse_affine
from converters.passes.fuse_gate import fuse_gate
from converters.passes.lines_in_integers import lines_in_integers
from converters.passes.merge_affine import merge_affine
from converters.passes.reduce_channels import reduce_channels
from converters.passes.remove_identity import remove_identity
from converters.passes.remove_redundant_relu import remove_redundant_relu
from converters.passes.simplify_reshape import simplify_reshape
from converters.passes.sink_transposes import sink_transposes
from converters.passes.spread_grids import spread_grids
from sparsenet.errors import GraphError
from sparsenet.graph import Graph

Pass = Callable[[Graph], Graph]

#: The pass that removes channels that structured pruning has emptied.
REDUCTION: tuple[Pass, ...] = (reduce_channels, eliminate_dead)
PASSES: tuple[Pass, ...] = (
    eliminate_dead,  # a dead reader would look like a second reader to every fusion below
    remove_identity,
    drop_unit_axis,  # before simplify_reshape, which takes away the reshapes that meet then
    simplify_reshape,
    sink_transposes,  # before all fusions: what it brings together, they join
    fuse_gate,
    remove_redundant_relu,
    batch_norm_to_affine,
    constant_operand_to_affine,
    merge_affine,
    fold_affine,
    fold_affine_forward,
    fold_pad,  # behind it: an affine between a pad and its reader is gone now
    fuse_activation,  # before fuse_affine: conv2d → relu → affine joins from the front
    fuse_affine,
    fuse_add,
    *REDUCTION,
    spread_grids,
    common_grids,
    lines_in_integers,  # behind it: a tensor behind a pooling has its grid now
    forget_grids,
)


def optimize(graph: Graph, reduce: bool = True) -> Graph:
    """Run every pass in turn on a copy, verifying the graph after each that has changed it.

    Args:
        graph: as an importer made it.
        reduce: whether to remove channels emptied by structured pruning; without, every tensor that is left has the
            shape it has in the source network.

    Returns:
        A graph that computes the same outputs, under the same names and shapes, from the same inputs. One with numbers
        that follow from sizes (``Node.follows``) comes back as it is: importers open sizes behind the passes.

    Raises:
        GraphError: ``graph`` is invalid, or (naming it) a pass broke a rule.
    """
    return run_passes(graph, [step for step in PASSES if reduce or step is not reduce_channels])


def run_passes(graph: Graph, steps: Sequence[Pass]) -> Graph:
    """Run ``steps`` in turn on a copy; otherwise as ``optimize``."""
    inputs, outputs = graph.inputs, graph.verify().output_infos
    if any(node.follows for node in graph.nodes):
        return graph.copy()
    for step in steps:
        before, graph = graph, step(graph)
        if _is_same(before, graph):
            continue
        try:
            facts = graph.verify()
        except GraphError as error:
            raise GraphError(f"pass {step.__name__}: {error}") from error
        if graph.inputs != inputs or facts.output_infos != outputs:
            raise GraphError(f"pass {step.__name__} changed the graph's inputs or outputs")
    return graph


def _is_same(before: Graph, after: Graph) -> bool:
    """Whether a pass found nothing to do: most passes on most networks."""
    return (
        before.nodes == after.nodes
        and before.outputs == after.outputs
        and before.inputs == after.inputs
        and before.quantization == after.quantization
        and before.constants.keys() == after.constants.keys()
        and all(array is after.constants[name] for name, array in before.constants.items())
    )
