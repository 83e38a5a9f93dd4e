"""Layers by themselves: each reads what the source network has there, not what the layers before it made.

Where numbers are rounded, a layer that is right in itself carries on what others rounded to the other side, so a
difference far behind says nothing of the layer that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparsenet.graph import Graph, Shape, TensorInfo


@dataclass(frozen=True)
class Apart:
    """A network whose layers read the source's tensors.

    Attributes:
        graph: it has every tensor of the source as an input, and what each layer makes as an output.
        feeds: its inputs.
        results: tensor of the network → the output with what its layer made.
    """

    graph: Graph
    feeds: dict[str, np.ndarray]
    results: dict[str, str]


def layers_apart(graph: Graph, feeds: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> Apart:
    """``graph`` with its tensors cut where ``values`` says what they are; all others stay as they are made.

    Args:
        graph: verified; sizes that it leaves open are those of its shapes from now on.
        feeds: its inputs.
        values: tensor → the source's numbers, of the tensor's shape.
    """
    shapes, partial, apart = graph.shapes(), graph.partial(), graph.copy()
    taken = {*shapes, *graph.constants}
    known = {name for name, value in values.items() if name not in partial and _fits(value, shapes.get(name))}
    cut = [node.output for node in graph.nodes if node.output in known]
    results = {name: _unused(f"{name}.result", taken) for name in cut}
    read = {name for node in graph.nodes for name in node.inputs}
    apart.inputs = [TensorInfo(info.name, info.shape) for info in graph.inputs]
    apart.inputs += [TensorInfo(name, shapes[name]) for name in results if name in read]
    for node in apart.nodes:
        node.follows = {}
        node.outputs = [results.get(name, name) for name in node.outputs]
    apart.outputs = [results.get(node.output, node.output) for node in graph.nodes]
    for name, result in results.items():
        if name in graph.quantization:
            apart.quantization[result] = graph.quantization[name]
            if name not in read:
                del apart.quantization[name]
    given = {info.name: np.asarray(feeds[info.name], np.float32) for info in graph.inputs}
    given |= {name: np.asarray(values[name], np.float32) for name in results if name in read}
    return Apart(apart, given, {node.output: results.get(node.output, node.output) for node in graph.nodes})


def _fits(value: np.ndarray, shape: Shape | None) -> bool:
    return shape is not None and value.shape[1:] == shape[1:]


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name
