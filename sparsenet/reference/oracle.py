"""Runs a whole graph with the reference operations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Node, TensorInfo
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops import attributes, split_inputs
from sparsenet.graph.partial import cut
from sparsenet.reference.epilogue import apply_epilogue
from sparsenet.reference.integer import run_integer_node
from sparsenet.reference.operation import Array
from sparsenet.reference.registry import OPERATIONS


def run(
    graph: Graph, feeds: Mapping[str, npt.ArrayLike], keep: Collection[str] | Literal["all"] | None = None
) -> dict[str, FloatArray]:
    """Compute ``graph`` in float64, its integer nodes exactly, and return float32 arrays by tensor name.

    Args:
        graph: a verified graph.
        feeds: one float32 (or float64) array per graph input, of its shape, all with the same batch.
        keep: names of tensors to return beside the graph outputs; ``"all"`` for every input and node output.

    Partial tensors are cut to their valid elements (see ``cut``).

    Raises:
        InputError: an input is missing, unknown, or of the wrong shape or dtype.
    """
    partial = graph.partial()
    wanted = {*graph.outputs, *(keep if keep is not None and keep != "all" else ())}
    counts = {partial[name].count for name in wanted if name in partial}
    values = compute(graph, feeds, keep if keep == "all" else wanted | counts)
    infos = [TensorInfo(name, (), partial=partial.get(name)) for name in values]
    return {name: value for name, value in cut(values, infos).items() if keep == "all" or name in wanted}


def compute(
    graph: Graph, feeds: Mapping[str, npt.ArrayLike], keep: Collection[str] | Literal["all"] | None = None
) -> dict[str, FloatArray]:
    """Compute as ``run`` does, but return partial tensors whole, padding included."""
    values: dict[str, Array] = _checked(graph, feeds)
    wanted = set(graph.outputs) | (set() if keep is None or keep == "all" else set(keep))
    constants = {name: array.astype(np.float64) for name, array in graph.constants.items()}
    readers = graph.use_counts()
    run_one = runner(graph)
    kept: dict[str, Array] = {}

    def finish(name: str, value: Array) -> None:
        values[name] = value
        if keep == "all" or name in wanted:
            kept[name] = value

    for name, value in list(values.items()):
        finish(name, value)
    for name in wanted & constants.keys():
        kept[name] = constants[name]
    # NaN and infinity are data here, as in the engine: they travel through, they do not warn.
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            finish(node.output, run_one(node, [_read(name, values, constants) for name in node.inputs]))
            for name in node.inputs:
                readers[name] -= 1
                if readers[name] == 0:
                    values.pop(name, None)
        return {name: value.astype(np.float32) for name, value in kept.items()}


def runner(graph: Graph) -> Callable[[Node, list[Array | None]], Array]:
    """``f(node, inputs)`` for the nodes of a verified graph: in integers those that can be, all others in float64."""
    integers = integer_nodes(graph, graph.shapes()) if graph.quantization else frozenset()

    def run_one(node: Node, inputs: list[Array | None]) -> Array:
        if node.name in integers:
            return run_integer_node(graph, node, inputs)
        return run_node(node, inputs)

    return run_one


def run_node(node: Node, inputs: list[Array | None]) -> Array:
    """Result of one node, epilogue included; ``inputs`` are those of ``node.inputs``, None where absent."""
    own_names, epilogue_names = split_inputs(node)
    count = len(node.inputs) - len(epilogue_names)
    own = inputs[:count] + [None] * (len(own_names) - count)
    tensors = [tensor for tensor in inputs[count:] if tensor is not None]
    return apply_epilogue(OPERATIONS[node.op](own, attributes(node)), node.epilogue, tensors)


def _read(name: str, values: Mapping[str, Array], constants: Mapping[str, Array]) -> Array | None:
    if not name:
        return None
    return values[name] if name in values else constants[name]


def _checked(graph: Graph, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    names = [info.name for info in graph.inputs]
    unknown = [name for name in feeds if name not in names]
    if unknown:
        raise InputError(f"the graph has no input '{unknown[0]}'; its inputs are: {', '.join(names)}")
    values: dict[str, Array] = {}
    for info in graph.inputs:
        if info.name not in feeds:
            raise InputError(f"input '{info.name}' is missing; the graph needs: {', '.join(names)}")
        array = np.asarray(feeds[info.name])
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"input '{info.name}' has dtype {array.dtype}, expected float32")
        if array.ndim != len(info.shape) or array.shape[1:] != info.shape[1:]:
            raise InputError(
                f"input '{info.name}' has shape {array.shape}, expected {info.shape} with None the batch"
            )
        values[info.name] = array.astype(np.float64)
    if len({array.shape[0] for array in values.values()}) > 1:
        sizes = ", ".join(f"'{name}' has {array.shape[0]}" for name, array in values.items())
        raise InputError(f"all inputs must have the same batch: {sizes}")
    return values
