"""Graphs of a single node, for tests that look at one op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet import Graph, Node, TensorInfo, reference

Array = npt.NDArray[np.float32]


def one_node_graph(
    op: str,
    activations: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Array] | None = None,
    attrs: Mapping[str, Any] | None = None,
    inputs: Sequence[str] | None = None,
) -> Graph:
    """A verified graph of one ``op`` over ``activations`` (shapes with their batch), then ``constants``."""
    constants = dict(constants or {})
    infos = [TensorInfo(name, (None, *shape[1:])) for name, shape in activations.items()]
    names = list(inputs) if inputs is not None else [*activations, *constants]
    graph = Graph("one", infos, ["y"], [Node(op, "node", names, ["y"], dict(attrs or {}))], constants)
    graph.verify()
    return graph


def reference_of(
    op: str, *arrays: Array, constants: Mapping[str, Array] | None = None, **attrs: Any
) -> Array:
    """The reference result of ``op`` over ``arrays`` and ``constants``; its shape is held against the inferred one."""
    feeds = {f"x{i}": array for i, array in enumerate(arrays)}
    graph = one_node_graph(op, {name: array.shape for name, array in feeds.items()}, constants, attrs)
    result = reference.run(graph, feeds)["y"]
    (info,) = graph.output_infos()
    assert result.shape[1:] == info.shape[1:]
    assert result.dtype == np.float32
    return result
