"""What tells how long networks take while zeros are spread."""

from __future__ import annotations

from converters.pruning.timetable import LayerMs
from converters.quantization.annotate import in_bytes
from sparsenet.graph import Graph


def timer(graph: Graph, layer_ms: LayerMs | None, int8: bool = False) -> LayerMs:
    """The milliseconds of each node of networks that are like a dense one but for their zeros.

    Args:
        graph: the dense network, in float32.
        layer_ms: what tells them; None measures them on this machine, in turn with ``graph``.
        int8: whether they are those of the networks in 8-bit integers.
    """
    made = in_bytes if int8 else _as_it_is
    if layer_ms is None:
        from sparsenet.latency.paired import PairedTimer

        layer_ms = PairedTimer(made(graph))
    told = layer_ms
    return lambda network: told(made(network))


def _as_it_is(graph: Graph) -> Graph:
    return graph
