"""What quantization costs: each layer of the quantized network beside the float32 one, in decibels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from converters.quantization.observe import Batches, Progress, Watched
from sparsenet.checks import shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.counts import count_layers
from sparsenet.graph.integer import integer_nodes


@dataclass(frozen=True)
class LayerNoise:
    """One layer of a quantized network.

    Attributes:
        layer, op: node name, and its op with what is fused into it.
        tensor: what the layer makes.
        integer: whether it is computed in integers.
        snr_db: the signal-to-noise ratio, 10 · log₁₀(Σ y² / Σ (y - ŷ)²), of its tensor ŷ against y in float32, all
            before it included; infinite if they are equal, None if float32 has no such tensor.
    """

    layer: str
    op: str
    tensor: str
    integer: bool
    snr_db: float | None


@dataclass(frozen=True)
class QuantizationReport:
    """A quantized network against the float32 one it was made of.

    Attributes:
        layers: in execution order.
        outputs: of each output of the network, its signal-to-noise ratio in decibels; None if it has no fixed length.
        integer_macs: share of the multiply-adds by weights that are made in integers.
        samples: how many inputs were compared.
    """

    layers: list[LayerNoise]
    outputs: Mapping[str, float | None]
    integer_macs: float
    samples: int

    @property
    def integer_layers(self) -> int:
        """How many layers are computed in integers."""
        return sum(layer.integer for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"integer_layers": self.integer_layers}


@dataclass
class _Noise:
    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: FloatArray, got: FloatArray) -> None:
        """Count one more array of each."""
        self.signal += float(np.sum(np.square(exact, dtype=np.float64)))
        self.noise += float(np.sum(np.square(np.subtract(exact, got, dtype=np.float64))))

    @property
    def decibels(self) -> float:
        """Signal over noise."""
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def quantization_report(
    graph: Graph,
    quantized: Graph,
    batches: Batches,
    *,
    threads: int | None = None,
    progress: Progress = lambda _: None,
) -> QuantizationReport:
    """Run both networks in the engine on the same inputs, and compare every tensor that both have.

    Args:
        graph: in float32.
        quantized: made of it by ``quantize``.
        batches: inputs, as ``quantize`` takes them.
        threads: of the engines; None takes the CPUs this process may use.
        progress: called with the number of samples whenever some have been compared.

    Raises:
        InputError: an argument has the wrong type or value, or the networks have other inputs.
        GraphError: one of the graphs is invalid.
    """
    for name, given in (("graph", graph), ("quantized", quantized)):
        if not isinstance(given, Graph):
            raise InputError(f"{name} must be a Graph, got {shown(given)}")
    if graph.inputs != quantized.inputs:
        raise InputError(f"'{quantized.name}' was not made of '{graph.name}': its inputs are others")
    threads = EngineOptions(threads).threads
    before, after = graph.verify(), quantized.verify()
    made = {node.output for node in graph.nodes}
    common = [
        node.output
        for node in quantized.nodes
        if node.output in made and before.shapes[node.output] == after.shapes[node.output]
        and not {node.output} & (before.partial.keys() | after.partial.keys())
    ]  # fmt: skip
    noise = {name: _Noise() for name in common}
    watched = Watched([graph, quantized], common, threads)
    samples = 0
    for feeds in watched.chunks(batches):
        for name, (exact, got) in watched.run(feeds):
            noise[name].add(exact, got)
        count = len(next(iter(feeds.values())))
        samples += count
        progress(count)
    integers = integer_nodes(quantized, after.shapes)
    layers = [
        LayerNoise(
            node.name,
            "+".join([node.op, *(step[0] for step in node.epilogue)]),
            node.output,
            node.name in integers,
            noise[node.output].decibels if node.output in noise else None,
        )
        for node in quantized.nodes
    ]
    counts = count_layers(quantized)
    done = sum(count.macs for count in counts if count.layer in integers)
    outputs = {name: noise[name].decibels if name in noise else None for name in graph.outputs}
    return QuantizationReport(layers, outputs, done / max(1, sum(c.macs for c in counts)), samples)
