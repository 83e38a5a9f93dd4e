"""Reductions in a normal form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes


class Reduction(NamedTuple):
    """What a ``reduce`` node does.

    Attributes:
        operation: ``sum``, ``max``, ``min`` or ``prod``.
        kept, reduced: axes that stay, and axes that are reduced, in order.
        scale: what every result is multiplied by: a mean is a sum, scaled.
    """

    operation: str
    kept: tuple[int, ...]
    reduced: tuple[int, ...]
    scale: float

    @classmethod
    def of(cls, node: Node, shape: Sequence[int]) -> Reduction:
        """The reduction of ``node``, whose input has this ``shape``."""
        attrs = attributes(node)
        reduced = tuple(sorted(attrs["axes"]))
        kept = tuple(axis for axis in range(len(shape)) if axis not in reduced)
        if attrs["kind"] == "mean":
            return cls("sum", kept, reduced, 1 / prod(shape[axis] for axis in reduced))
        return cls(attrs["kind"], kept, reduced, 1.0)
