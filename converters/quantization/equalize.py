"""Equalization: the channels of a tensor get ranges alike, so that one scale suits all of them.

Where nothing but operations that let a positive factor pass lies between two layers, a channel may be divided by any
number in the first and multiplied in the second (Nagel et al., arXiv 1906.04721, section 4.1). A depthwise convolution
takes the factor for nothing, as each of its channels has a scale of its own; in another layer large factors make other
weights of the same output small beside them, so that the ranges of tensor and weights meet half way (Xiao et al., arXiv
2211.10438).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.passes.optimize import optimize
from converters.quantization.observe import Batches, Progress, Watched
from sparsenet.checks import shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Node, Shape
from sparsenet.graph.ops import OPS, split_inputs

#: Ops, fused or not, that let a positive factor of a channel pass.
_HOMOGENEOUS = frozenset(
    ("relu", "leaky_relu", "abs", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "resize", "flatten")
)
#: Factors of one tensor differ by at most this: a channel that was hardly ever there may yet come to be.
_MOST = 256.0

Factors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Link:
    """A layer, and all layers that read what it makes."""

    maker: Node
    readers: list[Node]


def equalize(
    graph: Graph, batches: Batches, *, threads: int | None = None, progress: Progress = lambda _: None
) -> Graph:
    """The same network, up to rounding, with channels of like ranges: to be quantized with scales for each channel.

    Args:
        graph: any graph that is not quantized; passes are run on it first.
        batches: some inputs, as ``quantize`` takes them; a few dozen samples are enough.
        threads: of the engine that observes; None takes the CPUs this process may use.
        progress: called with the number of samples whenever some have been observed.

    Raises:
        InputError: an argument has the wrong type or value, or the graph is quantized already.
        GraphError: the graph is invalid.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    if graph.quantization:
        raise InputError(f"'{graph.name}' is quantized already; equalize the float32 network")
    graph = optimize(graph, reduce=False).copy()
    found = list(links(graph))
    largest: dict[str, Factors] = {}
    slopes = {link.maker.output: _slope(link.maker) for link in found}
    watched = Watched([graph], [link.maker.output for link in found], EngineOptions(threads).threads)
    for feeds in watched.chunks(batches):
        for name, (array,) in watched.run(feeds):
            others = tuple(axis for axis in range(array.ndim) if axis != 1)
            below = -array.min(axis=others) / slopes[name]
            largest[name] = np.maximum(largest.get(name, 0.0), np.maximum(array.max(axis=others), below))
        progress(len(next(iter(feeds.values()))))
    for link in found:
        _divide(graph, link, factors(graph, link, largest[link.maker.output]))
    return graph


def links(graph: Graph) -> Iterator[Link]:
    """The layers whose channels may have factors, and their readers, in order."""
    uses, shapes = graph.use_counts(), graph.shapes()
    for maker in graph.nodes:
        if not _is_layer(graph, maker) or not all(step[0] in _HOMOGENEOUS for step in maker.epilogue):
            continue
        if all(uses[name] == 1 for name in split_inputs(maker)[0][1:] if name):
            readers = _readers(graph, maker.output, shapes)
            if readers and all(uses[node.inputs[1]] == 1 for node in readers):
                yield Link(maker, readers)


def factors(graph: Graph, link: Link, largest: Factors) -> Factors:
    """(C,), by what each channel is to be divided, the largest magnitude of each being ``largest``."""
    weights = np.zeros(largest.size)
    for node in link.readers:
        np.maximum(weights, _shares(graph, node), out=weights)
    alone = all(_is_depthwise(graph.constants[node.inputs[1]], largest.size) for node in link.readers)
    seen = (largest > 0) & (weights > 0)
    if not seen.any():
        return np.ones(largest.size)
    wanted = np.ones(largest.size)
    wanted[seen] = largest[seen] if alone else np.sqrt(largest[seen] / weights[seen])
    wanted[~seen] = np.median(wanted[seen])
    return np.maximum(wanted / wanted.max(), 1 / _MOST)


def _slope(node: Node) -> float:
    """By what the node's epilogue multiplies negative numbers: what is rounded in integers is what it gets."""
    slope = math.prod(step[1] for step in node.epilogue if step[0] == "leaky_relu")
    return slope if slope > 0 else 1.0


def _readers(graph: Graph, tensor: str, shapes: dict[str, Shape]) -> list[Node] | None:
    """All layers that read the channels of ``tensor``, also behind what lets factors pass; None if others do, too."""
    if tensor in graph.outputs:
        return None
    found: list[Node] = []
    for node in graph.consumers(tensor):
        if _is_layer(graph, node) and node.inputs.count(tensor) == 1 and node.inputs[0] == tensor:
            found.append(node)
        elif (
            node.op in _HOMOGENEOUS
            and not node.epilogue
            and _keeps_channels(shapes[tensor], shapes[node.output])
        ):
            behind = _readers(graph, node.output, shapes)
            if behind is None:
                return None
            found += behind
        else:
            return None
    return found


def _keeps_channels(before: Shape, after: Shape) -> bool:
    return len(before) > 1 and len(after) > 1 and before[1] == after[1]


def _is_layer(graph: Graph, node: Node) -> bool:
    return OPS[node.op].weighted and node.inputs[1] in graph.constants


def _is_depthwise(weight: FloatArray, channels: int) -> bool:
    return weight.ndim == 4 and weight.shape[:2] == (channels, 1)


def _by_input(weight: FloatArray, channels: int) -> FloatArray:
    """A view of (outputs, inputs, …) as (groups, outputs of a group, inputs of a group, rest)."""
    groups = channels // weight.shape[1]
    return weight.reshape(groups, -1, weight.shape[1], int(np.prod(weight.shape[2:])))


def _shares(graph: Graph, node: Node) -> Factors:
    """(C,), of each input the largest weight, beside the largest of the output that it is for."""
    weight = graph.constants[node.inputs[1]]
    channels = weight.shape[1] * (node.attrs.get("groups", 1) if node.op == "conv2d" else 1)
    magnitudes = np.abs(_by_input(weight, channels)).max(axis=3).astype(np.float64)
    rows = magnitudes.max(axis=2, keepdims=True)
    shares: Factors = (magnitudes / np.where(rows, rows, 1.0)).max(axis=1).reshape(-1)
    return shares


def _divide(graph: Graph, link: Link, by: Factors) -> None:
    """Divide each channel in the layer that makes it, and multiply it in those that read it."""
    for name in split_inputs(link.maker)[0][1:]:
        if name:
            array = graph.constants[name]
            graph.constants[name] = (array / by.reshape(-1, *[1] * (array.ndim - 1))).astype(np.float32)
    for node in link.readers:
        weight = graph.constants[node.inputs[1]]
        inputs = _by_input(weight, by.size) * by.reshape(-1, 1, weight.shape[1], 1)
        graph.constants[node.inputs[1]] = inputs.reshape(weight.shape).astype(np.float32)
