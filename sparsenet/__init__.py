"""sparsenet: a framework-free inference engine for sparse convolutional networks."""

from __future__ import annotations

from sparsenet.engine import Engine, load
from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.model_file import load_graph, save

__version__ = "0.1.0"
__all__ = ["Engine", "Graph", "Node", "TensorInfo", "__version__", "load", "load_graph", "save"]
