"""One-shot pruning: a trained network and some of its inputs, without labels, become a network with zeros."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.pruning.columns import Columns
from converters.pruning.layers import Layer, prepared
from converters.pruning.moments import Float64Array, Moments, Sums
from converters.pruning.pattern import Pattern
from converters.pruning.reconstruct import damping, inverse_factor, refit, sweep
from converters.pruning.state import State, key_of
from converters.pruning.walk import Walk, gathered
from converters.quantization.observe import Batches
from sparsenet.checks import items, path_of, real_number, shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph

#: Called after each layer with how many are done, and how many there are.
Progress = Callable[[int, int], object]
#: Of a layer with more windows than that in all samples, a part is looked at, no smaller than a quarter of it.
WINDOWS = 2**18
#: Samples that are laid out at once.
_SAMPLES = 8
#: Metadata that says how a network was pruned.
METADATA = "pruning"


@dataclass(frozen=True)
class PrunedLayer:
    """What became of a layer.

    Attributes:
        layer: name of its node.
        weights, nnz: how many there are, and how many are not zero.
        error: variance of the change of what it makes, before any activation, by that of what it made, everything
            pruned before it included; on the calibration inputs.
    """

    layer: str
    weights: int
    nnz: int
    error: float

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1.0 - self.nnz / self.weights


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and what became of each layer that could be pruned, in execution order."""

    graph: Graph
    layers: list[PrunedLayer]


@dataclass(frozen=True)
class _Found:
    """A layer pruned to some sparsities: rows (sparsities, groups, outputs, columns), and the error of each."""

    rows: FloatArray
    errors: FloatArray


def prune(
    graph: Graph,
    batches: Batches,
    sparsity: float | Mapping[str, float] = 0.8,
    *,
    block: Sequence[int] | None = None,
    n_m: Sequence[int] | None = None,
    skip: Iterable[str] = (),
    state: str | Path | None = None,
    threads: int | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Pruned:
    """Set weights to zero, and change those that are left so that each layer makes what it made, as nearly as it can.

    Layers are pruned in execution order, by optimal brain surgeon in column order (see ``reconstruct``): what a layer
    reads from the pruned layers before it is to give what it gave in the dense network. Its bias then repairs the
    mean of each output channel. BatchNorms have been folded into the layers.

    Args:
        graph: any graph that is not quantized; passes are run on it first.
        batches: a few hundred inputs like those to come, as ``quantize`` takes them.
        sparsity: share of zeros in each layer: one for all, or some by name of their nodes, and 0 for all others.
        block: (1, 4) to prune 4 consecutive input channels of an output channel and a tap together.
        n_m: (2, 4) to keep 2 of every 4 such channels, which decides the sparsity.
        skip: layers that stay dense: names, patterns of names such as "head.*", or the words "first" and "last".
            Depthwise convolutions, and layers that share a weight, always do.
        state: a folder for what is done; the same call, begun again, goes on there, and removes it in the end.
        threads: of the engine that computes what layers read; None takes the CPUs this process may use.
        progress: called after each layer.

    Raises:
        InputError: an argument has the wrong type or value, the graph is quantized, ``skip`` or ``sparsity`` names no
            layer, or the samples do not fit.
        GraphError: the graph is invalid.
        MemoryLimitError: the calibration data would take more than ``limits.memory_limit``.
    """
    pattern = Pattern.parsed(block, n_m)
    dense, layers = _layers(graph, skip)
    wanted = _wanted(sparsity, layers)
    inputs = gathered(dense.inputs, batches)
    chosen = [layer for layer in layers if pattern.of or wanted[layer.name] > 0]
    texts = [__name__, str(pattern), *(f"{layer.name} {wanted[layer.name]!r}" for layer in chosen)]
    threads = EngineOptions(threads).threads
    with _kept(state, key_of(texts, [*inputs.values(), *dense.constants.values()])) as kept:
        pruned = dense.copy()
        before, after = (
            Walk(network, inputs, kept.scratch(name), threads)
            for network, name in ((dense, "dense"), (pruned, "pruned"))
        )
        errors = {}
        for done, layer in enumerate(chosen):
            known = kept.known(f"{done}")
            if known is None:
                moments = seen(layer, dense, after.to(layer.reads), before.to(layer.reads))
                known = _pruned(layer, dense, moments, pattern, wanted[layer.name])
                kept.keep(f"{done}", known)
            pruned.constants[layer.weight], pruned.constants[layer.bias] = known["weight"], known["bias"]
            errors[layer.name] = float(known["error"][0])
            progress(done + 1, len(chosen))
    pruned.metadata[METADATA] = f"optimal brain surgeon on {len(next(iter(inputs.values())))} samples"
    pruned.verify()
    counts = {layer.name: int(np.count_nonzero(pruned.constants[layer.weight])) for layer in layers}
    rows = [PrunedLayer(x.name, x.size, counts[x.name], errors.get(x.name, 0.0)) for x in layers]
    return Pruned(pruned, rows)


def seen(layer: Layer, dense: Graph, pruned_inputs: FloatArray, dense_inputs: FloatArray) -> list[Moments]:
    """The moments of each group of a layer, given what it reads, (samples, …), in the pruned and the dense network."""
    columns, samples = layer.columns, len(dense_inputs)
    windows = samples * math.prod(columns.windows_of(dense_inputs))
    sums = Sums(columns, columns.rows(dense.constants[layer.weight]), max(1, math.isqrt(windows // WINDOWS)))
    for start in range(0, samples, _SAMPLES):
        part = slice(start, start + _SAMPLES)
        true = dense_inputs[part]
        sums.add(true if pruned_inputs is dense_inputs else pruned_inputs[part], true)
    return sums.moments()


def surgery(
    rows: FloatArray, moments: Moments, pattern: Pattern, columns: Columns, sparsities: Sequence[float]
) -> tuple[Float64Array, Float64Array]:
    """Prune a group of a layer, (outputs, columns), to each of some sparsities.

    Returns:
        The rows, (sparsities, outputs, columns), and the variance of what each changes, summed over its outputs,
        (sparsities,).
    """
    more = damping(moments.covariance)
    matrix = moments.covariance + more * np.eye(len(moments.covariance))
    factor = inverse_factor(matrix)
    target = (moments.cross + more * rows) @ factor.T @ factor
    swept, _ = sweep(target, factor, pattern, columns, sparsities)
    found = np.stack([refit(target, one, matrix) for one in swept])
    shared = (found * (found @ moments.covariance - 2 * moments.cross)).sum(axis=(1, 2))
    return found, np.maximum(moments.variance.sum() + shared, 0.0)


def _pruned(
    layer: Layer, dense: Graph, moments: Sequence[Moments], pattern: Pattern, sparsity: float
) -> dict[str, FloatArray]:
    """The layer's new weight and bias, and its error."""
    weight, bias = dense.constants[layer.weight], dense.constants[layer.bias]
    results = [
        surgery(rows, group, pattern, layer.columns, [sparsity])
        for rows, group in zip(layer.columns.rows(weight), moments, strict=True)
    ]
    rows = np.stack([found[0] for found, _ in results]).astype(np.float32)
    shift = [group.made - own @ group.means for own, group in zip(rows, moments, strict=True)]
    error, all_ = sum(e[0] for _, e in results), sum(group.variance.sum() for group in moments)
    return {
        "weight": layer.columns.weight(rows).reshape(weight.shape),
        "bias": (bias + np.concatenate(shift)).astype(np.float32),
        "error": np.array([error / all_ if all_ else 0.0], np.float32),
    }


def _layers(graph: Graph, skip: Iterable[str]) -> tuple[Graph, list[Layer]]:
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    names = items(skip, "skip")
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"skip must be names of layers, got {shown(names)}")
    return prepared(graph, names)


def _wanted(sparsity: object, layers: Sequence[Layer]) -> dict[str, float]:
    """By layer, the share of zeros."""
    if not isinstance(sparsity, Mapping):
        share = real_number(sparsity, "sparsity", most=1.0)
        return {layer.name: share for layer in layers}
    names = {layer.name for layer in layers}
    for name in sparsity:
        if name not in names:
            raise InputError(f"sparsity: no layer that can be pruned is called {shown(name)}")
    return {name: real_number(sparsity.get(name, 0.0), f"sparsity of '{name}'", most=1.0) for name in names}


@contextmanager
def _kept(folder: str | Path | None, key: str) -> Iterator[State]:
    """A state that is removed where the work within is done, and whatever happens if it has no folder of its own."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield State(Path(temporary), key)
        return
    state = State(path_of(folder, "state"), key)
    yield state
    state.forget()
