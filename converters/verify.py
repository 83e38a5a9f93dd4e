"""Verification that the converted graph computes what its source computes, layer by layer, in numbers.

Tensors keep their source names through every pass (a fused node keeps the name of its last tensor), so each tensor of
the graph is compared with the value PyTorch or onnxruntime has under that name; ``verdict`` says what passes. Layers of
a network that the source has quantized are compared one by one, each with the source's inputs, in steps of their grids
(``apart``, ``in_steps``); what comes of the whole network is told beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np

import sparsenet
from converters.conversion.apart import layers_apart
from converters.conversion.in_steps import Steps, agreement, is_rounded, lost_roundings
from converters.conversion.layer_errors import LayerError, VerificationError, VerifyReport
from converters.conversion.verdict import Comparison, Evidence, largest_difference
from sparsenet import reference
from sparsenet.checks import real_number, shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import GraphError, InputError
from sparsenet.graph import FloatArray, Graph, Node
from sparsenet.graph.feeds import checked
from sparsenet.graph.integer import integer_nodes

__all__ = [
    "TOLERANCE",
    "LayerError",
    "Source",
    "VerificationError",
    "VerifyReport",
    "relative_error",
    "verify",
]

Arrays = Mapping[str, np.ndarray]


TOLERANCE = 1e-4


class Source(Protocol):
    """A network in the framework it comes from: ``TorchSource`` or ``OnnxSource``."""

    name: str

    @property
    def weight_bytes(self) -> int:
        """Bytes of its weights as dense float32."""

    def example(self) -> dict[str, np.ndarray]:
        """Example inputs by name."""

    def graph(self) -> Graph:
        """The network before any pass."""

    def converted(self, finish: Callable[[Graph], Graph]) -> Graph:
        """``finish`` (the passes) of the network, with sizes open that it leaves open."""

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The framework's own value of every tensor of ``graph()``, by name, of the type it has there."""

    def exact(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The framework's value of every tensor, computed in float64 throughout; None if the framework cannot."""


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
        tolerance: the largest relative error that passes (see ``verdict``).
        threads: of the engine.

    Raises:
        InputError: an argument has the wrong type or value.
        GraphError: no tensor of the graph has a counterpart in the source, or one has another shape there.
    """
    _check(graph, source, inputs, kept)
    tolerance, threads = real_number(tolerance, "tolerance", above=True), EngineOptions(threads).threads or 1
    feeds = dict(inputs or source.example())
    expected = source.values(feeds)
    tensors = [node for node in graph.nodes if node.output in expected]
    if not tensors:
        raise GraphError(
            f"no tensor of '{graph.name}' exists in its source; was it converted from another network?"
        )
    if is_rounded(graph):
        return _in_steps(graph, source, tensors, feeds, expected, kept or {}, tolerance, threads)
    partial = graph.partial()
    comparisons: dict[str, Comparison | Steps] = {}
    for name in (node.output for node in tensors):
        found = partial.get(name)
        # What was found, as many as there are in the source, is no channels that could have been cut.
        left = None if found is not None and found.axis == 1 else (kept or {}).get(name)
        comparisons[name] = Comparison(name, expected[name], left, tolerance, padded=name in partial)
    exact, engine = reference.run(graph, feeds, keep="all"), _engine_values(graph, feeds, threads)
    errors = _errors(tensors, comparisons, exact, engine, Evidence(graph, source.exact, feeds))
    return VerifyReport(errors, list(graph.outputs), tolerance)


def _in_steps(
    graph: Graph,
    source: Source,
    tensors: Sequence[Node],
    feeds: Arrays,
    expected: Arrays,
    kept: Arrays,
    tolerance: float,
    threads: int,
) -> VerifyReport:
    """``verify`` for a network with rounded tensors."""
    before, partial = source.graph(), graph.partial()
    lost = lost_roundings(before, graph)
    apart = layers_apart(
        graph, feeds, {n: _left(v, None if n in partial else kept.get(n)) for n, v in expected.items()}
    )
    comparisons: dict[str, Comparison | Steps] = {}
    for name in (node.output for node in tensors):
        grid = before.quantization.get(name, graph.quantization.get(name))
        left = None if name in partial else kept.get(name)
        if grid is None or name in partial:
            result = apart.results[name]
            comparisons[name] = Comparison(result, expected[name], left, tolerance, padded=name in partial)
        else:
            comparisons[name] = Steps(grid, expected[name], left, lost.get(name, ()), expected)
    exact = reference.run(apart.graph, apart.feeds, keep="all")
    engine = _engine_values(apart.graph, apart.feeds, threads)
    errors = _errors(
        tensors,
        comparisons,
        {name: exact[result] for name, result in apart.results.items()},
        {name: engine[result] for name, result in apart.results.items()},
        Evidence(apart.graph, lambda _: None, apart.feeds),
    )
    all_integer = len(integer_nodes(graph, graph.shapes())) == len(graph.nodes)
    oracle, got = reference.run(graph, feeds), sparsenet.Engine(graph, threads=threads).run(dict(feeds))
    agreements = [
        agreement(graph, name, got, oracle, expected[name], all_integer)
        for name in graph.outputs
        if name in expected
    ]
    return VerifyReport(errors, list(graph.outputs), tolerance, agreements)


def _left(array: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    return array if kept is None or array.ndim < 2 else array[:, kept]


def _errors(
    tensors: Sequence[Node],
    comparisons: Mapping[str, Comparison | Steps],
    exact: Arrays,
    engine: Arrays,
    evidence: Evidence,
) -> list[LayerError]:
    """Of each tensor, what the reference and the engine made of it beside the source's."""
    errors = []
    for node in tensors:
        name, comparison = node.output, comparisons[node.output]
        shape, wanted = exact[name].shape, comparison.expected.shape
        if shape != wanted and not comparison.padded:
            raise GraphError(f"node '{node.name}' has shape {shape}, its source {wanted}")
        for backend, value in (("reference", exact[name]), ("engine", engine[name])):
            verdict, allowed = comparison.judge(value, exact[name], backend == "engine", evidence)
            op = "+".join([node.op, *(step[0] for step in node.epilogue)])
            channels = (value.shape[1], comparison.channels) if value.ndim > 1 else (1, 1)
            difference = comparison.difference(value)
            relative = difference / max(comparison.size, 1e-30) if difference else 0.0
            errors.append(
                LayerError(
                    node.name,
                    op,
                    name,
                    backend,
                    difference,
                    relative,
                    channels,
                    allowed,
                    verdict,
                    comparison.step,
                )
            )
    return errors


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest |got - expected| over largest |expected|; 0 where both are all zeros, 1 where there are more or fewer."""
    if got.shape != expected.shape:
        return 1.0
    difference = largest_difference(got, expected)
    return difference / max(float(np.abs(expected).max(initial=0.0)), 1e-30) if difference != 0 else 0.0


def _check(graph: object, source: object, inputs: object, kept: object) -> None:
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    if not all(hasattr(source, name) for name in ("example", "values", "exact")):
        raise InputError(f"source must be a TorchSource or an OnnxSource, got {shown(source)}")
    for name, given in (("inputs", inputs), ("kept", kept)):
        if given is not None and not (
            isinstance(given, Mapping) and all(isinstance(array, np.ndarray) for array in given.values())
        ):
            raise InputError(f"{name} must be a dict of NumPy arrays by name, got {shown(given)}")
    if inputs:
        checked(graph.inputs, cast("Mapping[str, FloatArray]", inputs))


def _engine_values(graph: Graph, feeds: dict[str, np.ndarray], threads: int) -> dict[str, np.ndarray]:
    """Every tensor as the engine computes it; outputs from the graph as it is, not from the one exposing all."""
    exposed = graph.copy()
    exposed.outputs = list(dict.fromkeys(node.output for node in graph.nodes))
    values = sparsenet.Engine(exposed, threads=threads).run(feeds)
    return {**values, **sparsenet.Engine(graph, threads=threads).run(feeds)}
