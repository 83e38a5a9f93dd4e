"""Does the converted graph compute what its source computes? Layer by layer, in numbers.

Tensors keep their source names through every pass (a fused node keeps the name of its last tensor), so each tensor of
the graph is compared with the value PyTorch or onnxruntime has under that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

import sparsenet
from sparsenet import reference
from sparsenet.errors import GraphError, SparsenetError
from sparsenet.graph import Graph, Node

TOLERANCE = 1e-4


class Source(Protocol):
    """A network in the framework it comes from: ``TorchSource`` or ``OnnxSource``."""

    name: str

    @property
    def weight_bytes(self) -> int:
        """Bytes of its weights as dense float32."""

    def example(self) -> dict[str, np.ndarray]:
        """Inputs to try it with, by name."""

    def graph(self) -> Graph:
        """The network before any pass."""

    def converted(self, finish: Callable[[Graph], Graph]) -> Graph:
        """``finish`` (the passes) of the network, with sizes open that it leaves open."""

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The framework's own value of every tensor of ``graph()``, by name."""


@dataclass(frozen=True)
class LayerError:
    """How far one layer is from the source framework.

    Attributes:
        layer, op: node name, and its op with what was fused into it.
        tensor: the tensor compared, under its source name.
        backend: "reference" (NumPy, float64) or "engine".
        max_abs: largest absolute difference.
        max_rel: ``max_abs`` over the largest magnitude in the source's tensor.
        channels: channels compared, of those the source has; fewer after channel reduction.
    """

    layer: str
    op: str
    tensor: str
    backend: str
    max_abs: float
    max_rel: float
    channels: tuple[int, int]


@dataclass(frozen=True)
class VerifyReport:
    """Errors of every layer, and the verdict."""

    layers: list[LayerError]
    outputs: list[str]
    tolerance: float

    @property
    def worst(self) -> LayerError:
        """The layer with the largest relative error; a NaN is larger than anything."""
        return max(self.layers, key=lambda e: np.inf if np.isnan(e.max_rel) else e.max_rel)

    @property
    def passed(self) -> bool:
        """Whether every layer, on every backend, is within the tolerance."""
        return all(e.max_rel <= self.tolerance for e in self.layers)

    def output_error(self, backend: str) -> float:
        """Largest relative error of the graph's outputs on one backend."""
        return max(e.max_rel for e in self.layers if e.backend == backend and e.tensor in self.outputs)


class VerificationError(SparsenetError):
    """The converted network is too far from its source; ``report`` holds every layer's error."""

    def __init__(self, name: str, report: VerifyReport) -> None:
        worst = report.worst
        super().__init__(
            f"'{name}' as converted differs from its source by more than {report.tolerance:g}: worst is layer "
            f"'{worst.layer}' ({worst.op}) on the {worst.backend}, relative error {worst.max_rel:.2g}"
        )
        self.report = report


def verify(
    graph: Graph,
    source: Source,
    inputs: Mapping[str, np.ndarray] | None = None,
    *,
    kept: Mapping[str, np.ndarray] | None = None,
    tolerance: float = TOLERANCE,
    threads: int = 1,
) -> VerifyReport:
    """Run ``graph`` on the reference backend and on the engine, and compare each layer with the source framework.

    Args:
        graph: made of ``source.graph()`` by passes.
        source: the network in its own framework.
        inputs: input name → float32 array; default ``source.example()``.
        kept: tensor → indices of the source's channels that a channel reduction has left.
        tolerance: the largest relative error that passes.
        threads: of the engine.

    Raises:
        GraphError: no tensor of the graph has a counterpart in the source.
    """
    feeds = dict(inputs or source.example())
    expected = source.values(feeds)
    tensors = [node for node in graph.nodes if node.output in expected]
    if not tensors:
        raise GraphError(
            f"no tensor of '{graph.name}' exists in its source; was it converted from another network?"
        )
    results = {
        "reference": reference.run(graph, feeds, keep="all"),
        "engine": _engine_values(graph, feeds, threads),
    }
    errors = [
        _compare(node, backend, values[node.output], expected[node.output], (kept or {}).get(node.output))
        for node in tensors
        for backend, values in results.items()
    ]
    return VerifyReport(errors, list(graph.outputs), tolerance)


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest |got - expected| over largest |expected|; 0 where both are all zeros, 1 where there are more or fewer."""
    if got.shape != expected.shape:
        return 1.0
    difference = float(np.abs(got - expected).max(initial=0.0))
    return difference / max(float(np.abs(expected).max(initial=0.0)), 1e-30) if difference != 0 else 0.0


def _engine_values(graph: Graph, feeds: dict[str, np.ndarray], threads: int) -> dict[str, np.ndarray]:
    """Every tensor as the engine computes it; outputs from the graph as it is, not from the one exposing all."""
    exposed = graph.copy()
    exposed.outputs = list(dict.fromkeys(node.output for node in graph.nodes))
    values = sparsenet.Engine(exposed, threads=threads).run(feeds)
    return {**values, **sparsenet.Engine(graph, threads=threads).run(feeds)}


def _compare(
    node: Node, backend: str, got: np.ndarray, expected: np.ndarray, kept: np.ndarray | None
) -> LayerError:
    channels = expected.shape[1]
    if kept is not None and got.shape != expected.shape:
        expected = expected[:, kept]
    if got.shape != expected.shape:
        raise GraphError(f"node '{node.name}' has shape {got.shape}, its source {expected.shape}")
    difference = float(np.abs(got - expected).max(initial=0.0))
    op = "+".join([node.op, *(step[0] for step in node.epilogue)])
    error = relative_error(got, expected)
    return LayerError(node.name, op, node.output, backend, difference, error, (got.shape[1], channels))
