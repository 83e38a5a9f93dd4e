"""A graph put by: for plans of other sizes, and for copies of an engine in other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Graph
from sparsenet.io.formats.bitmask import Bitmask

#: Nonzeros are picked out where they are at most this share: a bit for each position is then paid for.
_SPARSE = 0.75


@dataclass(frozen=True)
class KeptGraph:
    """A graph that nobody changes any more, its sparse constants without their zeros, all equal to the last bit.

    Attributes:
        frame: the graph without its constants.
        constants: by name, in order; of a ``Bitmask`` the values are the bits of float32.
    """

    frame: Graph
    constants: Mapping[str, FloatArray | Bitmask]

    @classmethod
    def of(cls, graph: Graph, *, owned: bool) -> KeptGraph:
        """Put ``graph`` by; its dense constants are copied unless they are ``owned``: nobody else will change them."""
        frame = graph.copy()
        frame.constants = {}
        return cls(frame, {name: _kept(array, owned) for name, array in graph.constants.items()})

    def graph(self) -> Graph:
        """The graph again; its dense constants are shared with this, and must not be changed."""
        graph = self.frame.copy()
        graph.constants = {
            name: kept.to_dense().view(np.float32) if isinstance(kept, Bitmask) else kept
            for name, kept in self.constants.items()
        }
        return graph


def _kept(array: FloatArray, owned: bool) -> FloatArray | Bitmask:
    # By its bits, -0.0 is no zero.
    bits = np.ascontiguousarray(array).view(np.uint32) if array.ndim else None
    if bits is not None and np.count_nonzero(bits) <= _SPARSE * bits.size:
        return Bitmask.from_dense(bits)
    return array if owned else array.copy()
