"""Post-training static quantization: a float32 network and some of its inputs become a network for integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from functools import partial
from typing import get_args

import numpy as np

from converters.passes.optimize import optimize
from converters.passes.rewiring import Rewiring
from converters.quantization.bias import expected_shift
from converters.quantization.choose import Choice, choose, tensors_of
from converters.quantization.grids import Grids
from converters.quantization.histogram import Histogram
from converters.quantization.observe import Batches, Observed, Progress, observe
from converters.quantization.ranges import Function, Method, Numbers, Range, range_of
from converters.quantization.weight_scales import WeightMethod, rounded, scales_of
from sparsenet.checks import flag, items, one_of, shown
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Node
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops import ACTIVATIONS, OPS, attributes, split_inputs
from sparsenet.reference.registry import OPERATIONS

#: Metadata that says how a network was quantized.
METADATA = "quantization"


def quantize(
    graph: Graph,
    batches: Batches,
    *,
    method: Method = "minmax",
    weights: WeightMethod = "max",
    per_channel: bool = True,
    bias_correction: bool = True,
    skip: Iterable[str] = (),
    threads: int | None = None,
    progress: Progress = lambda _: None,
) -> Graph:
    """Quantize a float32 network: the same network, with a grid for every tensor that integers are to compute.

    Weights are rounded to int8, symmetric, so that zeros stay zeros; tensors to unsigned bytes, by ranges that are
    observed in the float32 engine (Jacob et al., arXiv 1712.05877; Nagel et al., arXiv 2106.08295). Operations
    that have no meaning in integers stay float32. The same arguments always give the same network.

    Args:
        graph: any graph that is not quantized; passes are run on it first. ``equalize`` it before to lose less.
        batches: calibration inputs, a few hundred samples that are like those to come: batches one after the other,
            each a dict of float32 arrays (N, …) by input name, or an array if there is one input. A single batch will
            do, too.
        method: the range of a tensor: "minmax", all that was seen; "percentile", without 0.01 % of the numbers on each
            side; "mse", where rounding and clipping change the numbers least.
        weights: the scale of a weight: "max", by its largest; "mse", where rounding and clipping change it least.
        per_channel: whether weights have a scale for each output channel, or one for all.
        bias_correction: whether biases make up for what rounding the weights does to the mean of each channel.
        skip: layers with weights that stay float32: names, patterns of names such as "head.*", or the words "first"
            and "last", for those that no other layer comes before or behind.
        threads: of the engine that observes; None takes the CPUs this process may use.
        progress: called with the number of samples whenever some have been observed.

    Raises:
        InputError: an argument has the wrong type or value, the graph is quantized already, ``skip`` names no layer,
            or the network yields NaN or infinity.
        GraphError: the graph is invalid.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    if graph.quantization:
        raise InputError(
            f"'{graph.name}' is quantized already; quantize the float32 network that it was made of"
        )
    one_of(method, "method", get_args(Method))
    one_of(weights, "weights", get_args(WeightMethod))
    per_channel, correct = flag(per_channel, "per_channel"), flag(bias_correction, "bias_correction")
    threads = EngineOptions(threads).threads
    choice = choose(optimize(graph, reduce=False), _names(skip))
    inputs = {node.inputs[0] for node in choice.weighted} if correct else set()
    activations = _activations(choice)
    counted = choice.sources if method != "minmax" else activations
    seen = observe(choice.graph, batches, choice.sources, counted, inputs, threads=threads, progress=progress)
    together: dict[str, Histogram] = {}
    for name, histogram in seen.histograms.items():
        together.setdefault(choice.groups[name], Histogram()).merge(histogram)
    ranges = {name: range_of(numbers, method, activations.get(name)) for name, numbers in together.items()}
    quantized = annotated(choice, seen, ranges, weights, per_channel, correct)
    quantized.metadata[METADATA] = f"{method} ranges of {seen.samples} samples, {weights} weights"
    quantized.verify()
    return quantized


def _names(skip: Iterable[str]) -> Collection[str]:
    names = items(skip, "skip")
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"skip must be names of layers, got {shown(names)}")
    return names


def annotated(
    choice: Choice,
    seen: Observed,
    ranges: dict[str, Range],
    weights: WeightMethod,
    per_channel: bool,
    correct: bool,
) -> Graph:
    """The network that was chosen, with grids and weights on them.

    Args:
        choice: the float32 network, and what integers compute of it.
        seen: means of what its layers read; looked at to correct biases alone.
        ranges: of each group of tensors with one grid.
        weights, per_channel: how scales of weights are found.
        correct: whether biases make up for what rounding does to means.
    """
    graph = _own_weights(choice)
    nodes = [node for node in graph.nodes if node.name in {n.name for n in choice.nodes}]
    weighted = [node for node in nodes if OPS[node.op].weighted]
    scales = {
        name: scales_of(graph.constants[name], weights, per_channel)
        for name in dict.fromkeys(node.inputs[1] for node in weighted)
    }
    grids = Grids(choice.groups, ranges, scales)
    grids.fit(graph, weighted)
    graph.quantization = {
        name: grids.of(name) for node in nodes for name in tensors_of(node) if name in choice.groups
    }
    originals = {name: graph.constants[name] for name in scales}
    for name, array in originals.items():
        graph.quantization[name], graph.constants[name] = rounded(array, grids.scales[name], per_channel)
    if correct:
        graph = _corrected(graph, [node.name for node in weighted], originals, seen)
    return _used(graph)


def _activations(choice: Choice) -> dict[str, Function]:
    """By tensor with a grid of its own that only an activation in integers reads, that activation."""
    uses, members = choice.graph.use_counts(), Counter(choice.groups.values())
    return {
        node.inputs[0]: partial(_activation, node)
        for node in choice.nodes
        if node.op in ACTIVATIONS and uses[node.inputs[0]] == members[choice.groups[node.inputs[0]]] == 1
    }


def _activation(node: Node, numbers: Numbers) -> Numbers:
    return np.asarray(OPERATIONS[node.op]([numbers], attributes(node)), np.float64)


def _own_weights(choice: Choice) -> Graph:
    """The graph, where weights that float32 nodes read as well are copied for the others."""
    wiring = Rewiring(choice.graph)
    names = {node.name for node in choice.weighted}
    for name in dict.fromkeys(node.inputs[1] for node in choice.weighted):
        readers = wiring.readers(name)
        if all(node.name in names and node.inputs.count(name) == 1 for node in readers):
            continue
        own = wiring.unused_name(f"{name}.i8")
        wiring.constants[own] = wiring.constants[name]
        for node in readers:
            if node.name in names:
                wiring.read(node, [node.inputs[0], own, *node.inputs[2:]])
    return wiring.done()


def _corrected(graph: Graph, names: list[str], originals: dict[str, FloatArray], seen: Observed) -> Graph:
    """The graph with biases that make up for the rounding of the weights."""
    wiring = Rewiring(graph)
    for node in wiring.nodes():
        if node.name in names:
            own, added = split_inputs(node)
            x, weight, bias = own
            shift = expected_shift(originals[weight], graph.constants[weight], seen.means[x].means)
            if shift.any():
                wiring.read(node, [*own, *added])
                old = wiring.constants[bias].astype(np.float64) if bias else 0.0
                wiring.set_constant(node, 2, old - shift, bias or f"{node.name}.bias")
    return wiring.done()


def _used(graph: Graph) -> Graph:
    """The graph without the grids that no integer node reads or makes."""
    integers = integer_nodes(graph, graph.shapes())
    used = {name for node in graph.nodes if node.name in integers for name in tensors_of(node)}
    graph.quantization = {name: grid for name, grid in graph.quantization.items() if name in used}
    return graph
