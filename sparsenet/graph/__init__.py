"""What a network computes: the Graph, its nodes and tensors, and the operations it is made of."""

from __future__ import annotations

from sparsenet.graph.graph import Graph
from sparsenet.graph.node import FloatArray, Node, Partial, Shape, TensorInfo

__all__ = ["FloatArray", "Graph", "Node", "Partial", "Shape", "TensorInfo"]
