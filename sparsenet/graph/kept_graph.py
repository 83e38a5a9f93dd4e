"""A graph kept aside: for plans of other sizes, and for copies of an engine in other processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.constants import Constants, arrays
from sparsenet.io.formats.bitmask import Bitmask

#: Nonzeros are picked out where they are at most this share: a bit for each position is then paid for.
_SPARSE = 0.75


@dataclass(frozen=True)
class Nonzeros:
    """A float32 constant without its zeros; the values of ``bits`` are the bits of each number: -0.0 is no zero."""

    bits: Bitmask

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the constant."""
        return self.bits.shape

    def dense(self) -> FloatArray:
        """The constant as an array, equal to the last bit."""
        return self.bits.to_dense().view(np.float32)


@dataclass(frozen=True)
class KeptGraph:
    """A graph that nobody changes any more, its constants as they were read, or without their zeros where those are
    many; all equal to the last bit.

    Attributes:
        frame: the graph without its constants.
        constants: none of them is ever decoded here.
    """

    frame: Graph
    constants: Constants

    @classmethod
    def of(cls, graph: Graph, *, owned: bool) -> KeptGraph:
        """Keep ``graph``; its dense constants are copied unless they are ``owned``: nobody else will change them."""
        frame, kept = graph.copy(), Constants(graph.constants).folded()
        for name, array in list(arrays(kept)):
            nonzeros = _nonzeros(array)
            if nonzeros is not None:
                kept.hold(name, nonzeros)
            elif not owned:
                kept[name] = array.copy()
        frame.constants = {}
        return cls(frame, kept)

    def graph(self) -> Graph:
        """The graph again; its dense constants are shared with this, and must not be changed."""
        graph = self.frame.copy()
        graph.constants = self.constants.folded()
        return graph


def _nonzeros(array: FloatArray) -> Nonzeros | None:
    bits = np.ascontiguousarray(array).view(np.uint32) if array.ndim else None
    if bits is None or np.count_nonzero(bits) > _SPARSE * bits.size:
        return None
    return Nonzeros(Bitmask.from_dense(bits))
