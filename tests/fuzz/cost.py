"""What reading and planning a file may cost: processor seconds of this thread, whatever else the machine does.

A second for every 100 kB of file, beyond what the network in it honestly needs. That is known from the network itself:
its nodes, lines of maps, multiply-adds with weights that are not zero, and bytes of tensors, each at a pace several
times slower than the library's own.
"""

from __future__ import annotations

import math
import time

from sparsenet.graph import Graph
from sparsenet.graph.counts import count_layers, total

SECONDS_PER_BYTE = 1 / 100_000
#: What even the smallest file may take: a first import, a collection of garbage.
FIXED_SECONDS = 1.0
SECONDS_PER_NODE, SECONDS_PER_LINE = 4e-3, 50e-6
SECONDS_PER_MAC, SECONDS_PER_TENSOR_BYTE = 1e-8, 1e-8


class TooExpensiveError(Exception):
    """A file took more time than it may."""


class Meter:
    """Seconds since it was made, held against what a file of ``size`` bytes may take."""

    def __init__(self, size: int) -> None:
        self.size, self._start = size, time.thread_time()

    def check(self, graph: Graph | None) -> None:
        """Raise TooExpensiveError if reading, optimizing and planning took too long.

        Args:
            graph: the network that was in the file; None if it was refused.
        """
        taken = time.thread_time() - self._start
        allowed = FIXED_SECONDS + self.size * SECONDS_PER_BYTE + (honest_seconds(graph) if graph else 0.0)
        if taken > allowed:
            nodes = f"a network of {len(graph.nodes)} nodes" if graph else "refused"
            raise TooExpensiveError(
                f"{taken:.2f} s for {self.size} bytes, {nodes}; {allowed:.2f} s are allowed"
            )


def honest_seconds(graph: Graph) -> float:
    """What anyone may take who reads and plans this network."""
    shapes = graph.shapes()
    elements = sum(math.prod(int(d or 1) for d in shape) for shape in shapes.values())
    lines = sum(int(shape[2] or 1) for shape in shapes.values() if len(shape) == 4)
    return (
        len(graph.nodes) * SECONDS_PER_NODE
        + lines * SECONDS_PER_LINE
        + total(count_layers(graph)).nonzero_macs * SECONDS_PER_MAC
        + 4 * elements * SECONDS_PER_TENSOR_BYTE
    )
