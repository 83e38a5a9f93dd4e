"""A network with grids of no meaning: as fast in integers as if they had been found with care."""

from __future__ import annotations

from converters.quantization.choose import choose
from converters.quantization.observe import Observed
from converters.quantization.order import ordered_for_quads
from converters.quantization.quantize import annotated
from sparsenet.graph import Graph

#: Of every tensor: steps of 1, with which ``choose`` looks for what integers can compute.
_RANGE = (-128.0, 127.0)


def in_bytes(graph: Graph) -> Graph:
    """What ``quantize`` would make of a network, for timing alone: no input is looked at, and what it yields is none.

    Which layers integers compute, their zeros and the order of channels (see ``ordered_for_quads``) are those of a
    quantized network; nodes keep their names.

    Args:
        graph: in float32, optimized.
    """
    choice = choose(graph, ())
    ranges = dict.fromkeys(choice.groups.values(), _RANGE)
    quantized = annotated(choice, Observed({}, {}, 0), ranges, "max", per_channel=True, correct=False)
    return ordered_for_quads(quantized)[0]
