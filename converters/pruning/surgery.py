"""The layers of a network operated on one after the other, while all samples wait between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.pruning.damage import change, compared, follow
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array, Moments, Sums
from converters.pruning.operation import operated, tried
from converters.pruning.pattern import Pattern
from converters.pruning.state import State, kept, key_of
from converters.pruning.walk import Walk, gathered, outputs
from converters.quantization.observe import Batches
from sparsenet.engine_options import EngineOptions
from sparsenet.graph import FloatArray, Graph
from sparsenet.limits import require_memory

#: Of a layer with more windows than that in all samples, a part is looked at, no smaller than a quarter of it.
WINDOWS = 2**18
#: Samples that the same part of the windows is taken of, and matrices of columns by columns that there are at a time.
_SAMPLES, _COPIES = 8, 4
#: Samples on which outputs are compared, and sparsities at which they are.
JUDGED, PROBES = 32, (0.6, 0.85)
#: Samples on which whole networks are compared.
COMPARED = 128


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

    @classmethod
    @contextmanager
    def opened(
        cls,
        dense: Graph,
        layers: Sequence[Layer],
        batches: Batches,
        pattern: Pattern,
        what: str,
        state: str | Path | None,
        threads: int | None,
    ) -> Iterator[Surgery]:
        """A surgery that goes on where it was left, and whose state is removed where the work within is done.

        Args:
            dense, layers, pattern, threads: as of ``Surgery``.
            batches: with all samples.
            what: is done, so that the state of other work is told apart.
            state: the folder of the state; None takes a temporary one.

        Raises:
            InputError: the samples do not fit, or the folder cannot be used.
            MemoryLimitError: the samples, or the matrices of a layer, would take more than ``limits.memory_limit``.
        """
        for layer in layers:
            needed = _COPIES * 8 * layer.columns.count**2 * layer.columns.groups
            require_memory(needed, f"pruning layer '{layer.name}', which may be skipped,")
        threads = EngineOptions(threads).threads
        inputs = gathered(dense.inputs, batches)
        texts = [what, repr(pattern), *(layer.name for layer in layers)]
        with kept(state, key_of(texts, [*inputs.values(), *dense.constants.values()])) as done:
            yield cls(dense, layers, inputs, pattern, done, threads)

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))

    def errors(
        self, sparsities: Sequence[float], step: Callable[[], object]
    ) -> tuple[Float64Array, Float64Array]:
        """What pruning each layer alone does to it, and to the network, (layers, sparsities) each; nothing is refitted.

        The first is the share of its outputs' variance that the layer loses. The second is the mean square of the
        change of the network's outputs by their variance, measured on some samples at the sparsities of ``PROBES``; in
        between it follows what the layer loses, as a power of it. Of a layer that changes none of the outputs that can
        be compared, the second is the first.

        Args:
            sparsities: to try, ascending, those of ``PROBES`` among them.
            step: called after each layer.
        """
        walk, rows = self._walk(self.dense, self.layers, "dense"), list[tuple[Float64Array, Float64Array]]()
        names = compared(self.dense)
        exact: Mapping[str, FloatArray] = {}
        for number, layer in enumerate(self.layers):
            known = self.state.known(f"errors-{number}")
            if known is None:
                if not exact:
                    walk.to(0)
                    exact = walk.outputs(names, {}, JUDGED)
                lost, probes = self._tried(layer, walk.to(number), sparsities)
                changes = [change(exact, walk.outputs(names, probe, JUDGED)) for probe in probes.values()]
                followed = follow(lost, list(probes), changes) if any(changes) else lost
                known = {"lost": lost.astype(np.float32), "changes": followed.astype(np.float32)}
                self.state.keep(f"errors-{number}", known)
            rows.append((known["lost"].astype(np.float64), known["changes"].astype(np.float64)))
            step()
        return np.stack([lost for lost, _ in rows]), np.stack([changes for _, changes in rows])

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
        self, wanted: Mapping[str, float], step: Callable[[], object], keep: bool = True
    ) -> tuple[Graph, dict[str, float]]:
        """The network with these shares of zeros, by layer, and the share of its outputs' variance that each has lost.

        Args:
            wanted: layers that are not in it stay dense.
            step: called after each that is.
            keep: whether the state has what is done of it.
        """
        pruned, errors = self.dense.copy(), {}
        operated_on = [layer for layer in self.layers if layer.name in wanted]
        before, after = (
            self._walk(self.dense, operated_on, "dense"),
            self._walk(pruned, operated_on, "pruned"),
        )
        for number, layer in enumerate(operated_on):
            known = self.state.known(f"layer-{number}") if keep else None
            if known is None:
                moments = self._moments(layer, after.to(number), before.to(number))
                weight, bias = self.dense.constants[layer.weight], self.dense.constants[layer.bias]
                weight, bias, error = operated(
                    weight, bias, layer.columns, moments, self.pattern, wanted[layer.name]
                )
                known = {"weight": weight, "bias": bias, "error": np.array([error], np.float32)}
                if keep:
                    self.state.keep(f"layer-{number}", known)
            pruned.constants[layer.weight], pruned.constants[layer.bias] = known["weight"], known["bias"]
            errors[layer.name] = float(known["error"][0])
            step()
        pruned.verify()
        return pruned, errors

    def changed(self, pruned: Graph) -> float:
        """The mean square of the change of the network's outputs by their variance, on some samples."""
        names, count = compared(self.dense), min(COMPARED, self.samples)
        exact, got = (
            outputs(graph, self.inputs, names, count, self.threads) for graph in (self.dense, pruned)
        )
        return change(exact, got)

    def _walk(self, graph: Graph, layers: Sequence[Layer], name: str) -> Walk:
        stops = [layer.reads for layer in layers]
        return Walk(graph, self.inputs, self.state.scratch(name), stops, self.threads)

    def _moments(self, layer: Layer, pruned: FloatArray, dense: FloatArray) -> list[Moments]:
        """Of each group, given what the layer reads, (samples, …), in both networks."""
        rows = layer.columns.rows(self.dense.constants[layer.weight])
        windows = len(dense) * math.prod(layer.columns.windows_of(dense))
        every = max(1, math.isqrt(windows // WINDOWS))
        sums, step = Sums(layer.columns, rows, every), _SAMPLES if every > 1 else len(dense)
        for start in range(0, len(dense), step):
            true = dense[start : start + step]
            sums.add(true if pruned is dense else pruned[start : start + step], true)
        return sums.moments()
