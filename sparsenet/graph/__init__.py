"""What a network computes: the Graph, its nodes and tensors, and the operations it is made of."""

from __future__ import annotations

from sparsenet.graph.graph import Graph
from sparsenet.graph.node import Node, Partial, TensorInfo
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import FloatArray, Shape

__all__ = ["FloatArray", "Graph", "Node", "Partial", "Quantization", "Shape", "TensorInfo"]
