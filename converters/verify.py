"""Verification that the converted graph computes what its source computes, layer by layer, in numbers.

Tensors keep their source names through every pass (a fused node keeps the name of its last tensor), so each tensor of
the graph is compared with the value PyTorch or onnxruntime has under that name; ``verdict`` says what passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

import sparsenet
from converters.conversion.verdict import SOURCE_OFF, WRONG, Comparison, Evidence, Verdict, largest_difference
from sparsenet import reference
from sparsenet.checks import real_number, shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import GraphError, InputError, SparsenetError
from sparsenet.graph import FloatArray, Graph, Node
from sparsenet.graph.feeds import checked

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
        allowed: the largest absolute difference that passes.
        verdict: "same"; "wrong"; or "source is off" where the source's own rounding makes the difference.
    """

    layer: str
    op: str
    tensor: str
    backend: str
    max_abs: float
    max_rel: float
    channels: tuple[int, int]
    allowed: float
    verdict: Verdict

    @property
    def _badness(self) -> tuple[bool, bool, float]:
        ratio = self.max_abs / self.allowed if self.allowed > 0 else np.inf if self.max_abs else 0.0
        return self.verdict == WRONG, self.verdict != SOURCE_OFF, np.inf if np.isnan(ratio) else ratio


@dataclass(frozen=True)
class VerifyReport:
    """Errors of every layer, and the verdict."""

    layers: list[LayerError]
    outputs: list[str]
    tolerance: float

    @property
    def worst(self) -> LayerError:
        """The layer that is furthest beyond what it may differ, or nearest to it; NaN is further than anything."""
        return max(self.layers, key=lambda e: e._badness)

    @property
    def passed(self) -> bool:
        """Whether no layer is wrong on any backend."""
        return all(e.verdict != WRONG for e in self.layers)

    @property
    def source_off(self) -> list[str]:
        """Layers where the source framework is off, and the graph is right."""
        return list(dict.fromkeys(e.layer for e in self.layers if e.verdict == SOURCE_OFF))

    def output_error(self, backend: str) -> float:
        """Largest relative error of the graph's outputs on one backend."""
        return max(e.max_rel for e in self.layers if e.backend == backend and e.tensor in self.outputs)


class VerificationError(SparsenetError):
    """The converted network is too far from its source; ``report`` holds every layer's error."""

    def __init__(self, name: str, report: VerifyReport) -> None:
        worst = report.worst
        super().__init__(
            f"'{name}' as converted differs from its source by more than {report.tolerance:g}: worst is layer "
            f"'{worst.layer}' ({worst.op}) on the {worst.backend}, relative error {worst.max_rel:.2g}, off by "
            f"{worst.max_abs:.2g} where rounding accounts for {worst.allowed:.2g}"
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
    partial, evidence = graph.partial(), Evidence(graph, source.exact, feeds)
    exact, engine = reference.run(graph, feeds, keep="all"), _engine_values(graph, feeds, threads)
    errors: list[LayerError] = []
    for node in tensors:
        name = node.output
        found = partial.get(name)
        # What was found, as many as there are in the source, is no channels that could have been cut.
        left = None if found is not None and found.axis == 1 else (kept or {}).get(name)
        comparison = Comparison(name, expected[name], left, tolerance, padded=name in partial)
        if exact[name].shape != comparison.expected.shape and name not in partial:
            raise GraphError(
                f"node '{node.name}' has shape {exact[name].shape}, its source {comparison.expected.shape}"
            )
        for backend, value in (("reference", exact[name]), ("engine", engine[name])):
            verdict, allowed = comparison.judge(value, exact[name], backend == "engine", evidence)
            errors.append(_error(node, backend, value, comparison, verdict, allowed))
    return VerifyReport(errors, list(graph.outputs), tolerance)


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


def _error(
    node: Node, backend: str, got: np.ndarray, comparison: Comparison, verdict: Verdict, allowed: float
) -> LayerError:
    op = "+".join([node.op, *(step[0] for step in node.epilogue)])
    channels = (got.shape[1], comparison.channels) if got.ndim > 1 else (1, 1)
    difference = comparison.difference(got)
    relative = difference / max(comparison.size, 1e-30) if difference else 0.0
    return LayerError(node.name, op, node.output, backend, difference, relative, channels, allowed, verdict)
