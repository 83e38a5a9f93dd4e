"""The layers of a network operated on one after the other, while all samples wait between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.pruning.damage import change, follow
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array, Moments, Sums
from converters.pruning.operation import operated, tried
from converters.pruning.pattern import Pattern
from converters.pruning.state import State
from converters.pruning.walk import Walk
from sparsenet.graph import FloatArray, Graph

#: Of a layer with more windows than that in all samples, a part is looked at, no smaller than a quarter of it.
WINDOWS = 2**18
#: Samples that are laid out at once.
_SAMPLES = 8
#: Samples on which outputs are compared, and sparsities at which they are.
JUDGED, PROBES = 32, (0.6, 0.85)


@dataclass(frozen=True)
class Surgery:
    """What there is to operate on.

    Attributes:
        dense: the network.
        layers: of it, those to prune, in order.
        inputs: all samples, by input.
        pattern: of the zeros.
        state: what is done already, kept as it gets done.
        threads: of the engines; None takes the CPUs this process may use.
    """

    dense: Graph
    layers: Sequence[Layer]
    inputs: Mapping[str, FloatArray]
    pattern: Pattern
    state: State
    threads: int | None

    def errors(self, sparsities: Sequence[float], step: Callable[[], object]) -> Float64Array:
        """What pruning each layer alone does to the network's outputs, (layers, sparsities).

        That is the mean square of their change by their variance, measured on some samples at some of the sparsities;
        in between it follows what the layer loses itself, as a power of it.

        Args:
            sparsities: to try, ascending.
            step: called after each layer.
        """
        walk, rows = self._walk(self.dense, "dense"), []
        names = [info.name for info in self.dense.output_infos() if info.partial is None]
        exact: Mapping[str, FloatArray] = {}
        for number, layer in enumerate(self.layers):
            known = self.state.known(f"errors-{number}")
            if known is None:
                lost, probes = self._tried(layer, walk.to(layer.reads), sparsities)
                if names:
                    exact = exact or walk.outputs(names, {}, JUDGED)
                    changes = [change(exact, walk.outputs(names, probe, JUDGED)) for probe in probes.values()]
                    lost = follow(lost, list(probes), changes)
                known = {"errors": lost.astype(np.float32)}
                self.state.keep(f"errors-{number}", known)
            rows.append(known["errors"].astype(np.float64))
            step()
        return np.stack(rows)

    def _tried(
        self, layer: Layer, reads: FloatArray, sparsities: Sequence[float]
    ) -> tuple[Float64Array, dict[int, dict[str, FloatArray]]]:
        """What the layer loses at each sparsity, and its constants at those of ``PROBES``, by their number."""
        weight, bias = (self.dense.constants[name] for name in (layer.weight, layer.bias))
        moments = self._moments(layer, reads, reads)
        found, lost = tried(weight, bias, layer.columns, moments, self.pattern, sparsities)
        return lost, {
            level: {layer.weight: found[level][0], layer.bias: found[level][1]}
            for level, sparsity in enumerate(sparsities)
            if sparsity in PROBES
        }

    def prune(
        self, wanted: Mapping[str, float], step: Callable[[], object]
    ) -> tuple[Graph, dict[str, float]]:
        """The network with these shares of zeros, by layer, and the share of its outputs' variance that each has lost.

        Args:
            wanted: layers that are not in it stay dense.
            step: called after each that is.
        """
        pruned, errors = self.dense.copy(), {}
        before, after = self._walk(self.dense, "dense"), self._walk(pruned, "pruned")
        for number, layer in enumerate(layer for layer in self.layers if layer.name in wanted):
            known = self.state.known(f"layer-{number}")
            if known is None:
                moments = self._moments(layer, after.to(layer.reads), before.to(layer.reads))
                weight, bias = self.dense.constants[layer.weight], self.dense.constants[layer.bias]
                weight, bias, error = operated(
                    weight, bias, layer.columns, moments, self.pattern, wanted[layer.name]
                )
                known = {"weight": weight, "bias": bias, "error": np.array([error], np.float32)}
                self.state.keep(f"layer-{number}", known)
            pruned.constants[layer.weight], pruned.constants[layer.bias] = known["weight"], known["bias"]
            errors[layer.name] = float(known["error"][0])
            step()
        pruned.verify()
        return pruned, errors

    def _walk(self, graph: Graph, name: str) -> Walk:
        return Walk(graph, self.inputs, self.state.scratch(name), self.threads)

    def _moments(self, layer: Layer, pruned: FloatArray, dense: FloatArray) -> list[Moments]:
        """Of each group, given what the layer reads, (samples, …), in both networks."""
        rows = layer.columns.rows(self.dense.constants[layer.weight])
        windows = len(dense) * math.prod(layer.columns.windows_of(dense))
        sums = Sums(layer.columns, rows, max(1, math.isqrt(windows // WINDOWS)))
        for start in range(0, len(dense), _SAMPLES):
            true = dense[start : start + _SAMPLES]
            sums.add(true if pruned is dense else pruned[start : start + _SAMPLES], true)
        return sums.moments()
