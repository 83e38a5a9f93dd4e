"""Whether two graphs are one network with the same numbers, up to rounding."""

from __future__ import annotations

import numpy as np

from converters.writing.origins import weights
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Node
from sparsenet.graph.ops import OPS, split_inputs

#: By node that reads constants, those that it reads; without biases.
Constants = dict[str, list[FloatArray]]


def constants_of(graph: Graph) -> Constants:
    """The constants of a graph but for biases."""
    read = {
        node.name: [graph.constants[name] for name in _without_bias(node) if name in graph.constants]
        for node in graph.nodes
    }
    return {name: arrays for name, arrays in read.items() if arrays}


def biases_of(graph: Graph) -> dict[str, FloatArray]:
    """The bias of each layer, (C_out,), by the layer's name; zeros if it has none."""
    return {
        node.name: graph.constants.get(split_inputs(node)[0][2], np.zeros(len(weight), np.float32))
        for node, _, weight in graph.weights()
    }


def require_same(graph: Graph, source: Graph, name: str) -> None:
    """Raise InputError unless a graph differs from that of its source, called ``name``, in numbers alone."""
    if graph.quantization:
        raise InputError(f"'{graph.name}' is quantized: a float32 network alone can be written back")
    other = other_structure(graph, source)
    if other is not None:
        raise InputError(
            f"'{graph.name}' is not what '{name}' becomes when it is converted: they differ in '{other}'; "
            "prune what it becomes with optimize=False, so that no channels are cut"
        )


def changed_layers(graph: Graph, source: Graph) -> list[str]:
    """The layers that have another weight or bias in one of two graphs of one structure."""
    before, now = ((weights(one), biases_of(one)) for one in (source, graph))
    return [
        name
        for name in now[0]
        if not all(np.array_equal(a[name], b[name]) for a, b in zip(before, now, strict=True))
    ]


def other_structure(wanted: Graph, got: Graph) -> str | None:
    """A node that reads constants in only one of two graphs, or of other shapes; None if there is none."""
    shapes = [
        {name: [array.shape for array in arrays] for name, arrays in constants_of(graph).items()}
        for graph in (wanted, got)
    ]
    names = [*shapes[0], *shapes[1]]
    return next((name for name in names if shapes[0].get(name) != shapes[1].get(name)), None)


def other_numbers(wanted: Graph, got: Graph, tolerance: float) -> str | None:
    """A node that reads other numbers in two graphs of one structure; None if there is none.

    Args:
        tolerance: by how much numbers may differ: as a share of the largest of their channel, those of a bias of the
            largest of all.
    """
    made, biases, made_biases = constants_of(got), biases_of(wanted), biases_of(got)
    for name, arrays in constants_of(wanted).items():
        if not all(_near(a, b, tolerance) for a, b in zip(arrays, made[name], strict=True)):
            return name
        if name in biases:
            size = max(np.abs(biases[name]).max(), np.abs(arrays[0]).max())
            if not (np.abs(biases[name] - made_biases[name]) <= tolerance * size).all():
                return name
    return None


def _without_bias(node: Node) -> list[str]:
    own, added = split_inputs(node)
    return [*(own[:2] if OPS[node.op].weighted else own), *added]


def _near(a: FloatArray, b: FloatArray, tolerance: float) -> bool:
    rows, others = (array.reshape(len(array), -1) for array in (a, b))
    sizes = np.abs(rows).max(axis=1, keepdims=True)
    return bool((np.abs(rows - others) <= tolerance * sizes).all())
