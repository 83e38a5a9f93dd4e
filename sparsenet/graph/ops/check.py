"""Checks that a node follows its op's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparsenet.errors import GraphError
from sparsenet.graph.node import Node
from sparsenet.graph.ops.activations import ACTIVATIONS
from sparsenet.graph.ops.attribute import MAX_EPILOGUE_ARGUMENTS, MAX_FUSED_OPS, REQUIRED
from sparsenet.graph.ops.epilogues import (
    FUSED_OP_TENSORS,
    epilogue_fits,
    epilogue_tensors,
)
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import LARGEST_FLOAT32
from sparsenet.graph.ops.table import OPS, split_inputs
from sparsenet.graph.types import FloatArray


def check_node(node: Node) -> None:
    """Raise GraphError unless op, attribute names, input count and epilogue of ``node`` follow the table."""
    where = f"node '{node.name}'"
    schema = OPS.get(node.op)
    if schema is None:
        raise GraphError(f"{where} has unknown op '{node.op}'; sparsenet.graph.ops.OPS lists those there are")
    if len(node.outputs) != 1:
        raise GraphError(f"{where} ({node.op}) has {len(node.outputs)} outputs, expected 1")
    known = schema.known_attributes
    for name in node.attrs:
        if name not in known:
            raise GraphError(
                f"{where} ({node.op}) has unknown attribute '{name}'; known: {', '.join(sorted(known))}"
            )
    for name, default in schema.defaults.items():
        if default is REQUIRED and name not in node.attrs:
            raise GraphError(f"{where} ({node.op}) lacks the attribute '{name}'")
    _check_numbers(node, where)
    _check_inputs(node, schema, where)


def _check_numbers(node: Node, where: str) -> None:
    """Check the names of the fused ops, and the numbers there and among the attributes."""
    for step in node.epilogue:
        if not isinstance(step, list) or not step or step[0] not in (*ACTIVATIONS, *FUSED_OP_TENSORS):
            raise GraphError(f"{where} has the unknown epilogue step {step!r:.80}")
        if len(step) - 1 != len(_parameters(step[0])):
            raise GraphError(f"{where}: epilogue step {step!r:.80} has the wrong number of parameters")
    if not epilogue_fits(node.epilogue):
        raise GraphError(
            f"{where} has an epilogue of {len(node.epilogue)} steps; at most {MAX_FUSED_OPS} are allowed, "
            f"reading at most {MAX_EPILOGUE_ARGUMENTS} numbers and tensors"
        )
    parameters = [node.attrs[name] for name in _parameters(node.op)]
    parameters += [number for step in node.epilogue for number in step[1:]]
    if not all(isinstance(number, int | float) for number in parameters):
        raise GraphError(
            f"{where} ({node.op}) has an activation with parameters {parameters!r:.80}, not numbers"
        )
    for number in (*node.attrs.values(), *parameters):
        if isinstance(number, int | float) and not abs(number) <= LARGEST_FLOAT32:
            raise GraphError(
                f"{where} ({node.op}) has the attribute {number!r:.40}, which float32 cannot hold"
            )


def _parameters(op: Any) -> Sequence[str]:
    return ACTIVATIONS[op].parameters if op in ACTIVATIONS else ()


def _check_inputs(node: Node, schema: OpSchema, where: str) -> None:
    if node.epilogue and len(node.inputs) <= len(epilogue_tensors(node.epilogue)):
        raise GraphError(f"{where} has too few inputs for its epilogue")
    own, _ = split_inputs(node)
    if schema.variadic:
        if not own or "" in own:
            raise GraphError(f"{where} ({node.op}) has no inputs, or an absent one")
        return
    if len(own) > len(schema.inputs):
        raise GraphError(f"{where} ({node.op}) has {len(own)} inputs, expected at most {len(schema.inputs)}")
    for role, name in zip(schema.inputs, own, strict=True):
        if not name and not role.endswith("?"):
            raise GraphError(f"{where} ({node.op}) lacks its input '{role}'")


def check_constants(node: Node, constants: Mapping[str, FloatArray]) -> None:
    """Raise GraphError if weights, biases, scales or shifts of ``node``, which follows the table, are no constants."""
    schema = OPS[node.op]
    if not schema.constants and not node.epilogue:
        return
    own, extra = split_inputs(node)
    required = [
        name for role, name in zip(schema.roles, own, strict=False) if name and role in schema.constants
    ]
    tensors = zip(epilogue_tensors(node.epilogue), extra, strict=True)
    required += [name for (_, tensor), name in tensors if tensor.per_channel]
    for name in required:
        if name not in constants:
            raise GraphError(f"node '{node.name}' ({node.op}) needs a constant where it reads '{name}'")
