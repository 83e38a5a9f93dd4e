"""One graph for every input size, from graphs of the same network at several.

An importer computes sizes as it goes, so a graph holds some as numbers: the size an image is resized to, a reshape's
target. Graphs made for different input sizes differ in just those numbers. Where they do, the number is replaced by
what explains it at every size (a scale, "whatever is left"), or noted as following from a tensor's size. A number that
nothing explains, or that more than one rule explains, binds the network to its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from converters.symbolic.explain_sizes import Samples, doubts, explain
from sparsenet.errors import GraphError, MemoryLimitError, UnsupportedOpError
from sparsenet.graph import FloatArray, Graph

#: Amounts added to the sizes a network was imported at, to see what its numbers depend on, as multiples of COARSE. No
#: two dimensions grow alike.
PROBES: tuple[Callable[[int], int], ...] = (lambda i: 1 + i, lambda i: 2 * i + 3 if i % 2 == 0 else 2 * i - 1)
COARSE = 64
#: Finer ones tell a factor from the size of another map, and show how finely sizes may be chosen: all are odd.
FINE: Callable[[int], int] = lambda i: 13 + 14 * i  # noqa: E731

#: How many further samples are tried where those leave something in doubt.
MOST_REVEALING = 5

#: A function: amounts added to dimensions, by name → the same network imported at those sizes.
At = Callable[[Mapping[str, int]], Graph]


def open_sizes(graph: Graph, names: Sequence[str], at: At, *, all_of_them: bool) -> Graph:
    """``graph`` with dimensions of its inputs open.

    Args:
        names: the dimensions to be opened.
        at: imports the network at other sizes.
        all_of_them: whether a node that is bound to one is an error; if not, as many as can be are opened.

    Raises:
        UnsupportedOpError: a node is bound to the size, or the network cannot be imported at another.
    """
    if not names:
        return graph
    try:
        return _opened(graph, names, at)
    except (UnsupportedOpError, GraphError, MemoryLimitError):
        if all_of_them:
            raise
    found, opened = graph, list[str]()
    for name in names if len(names) > 1 else ():
        try:
            found, opened = _opened(graph, [*opened, name], at), [*opened, name]
        except (UnsupportedOpError, GraphError, MemoryLimitError):
            continue
    return found


def _opened(graph: Graph, names: Sequence[str], at: At) -> Graph:
    """The graph with all these dimensions open, in the smallest steps that the network takes."""

    def larger(more: Mapping[str, int]) -> Graph:
        other = at(more)
        other.constants = {
            name: _shared(array, graph.constants.get(name)) for name, array in other.constants.items()
        }
        return other

    others = []
    for probe in PROBES:
        others.append(larger({name: COARSE * probe(i) for i, name in enumerate(names)}))
        coarse, _ = unify([graph, *others], COARSE)

    def finer(step: int) -> Graph | None:
        samples, more = [graph, *others], {name: step * FINE(i) for i, name in enumerate(names)}
        try:
            for _ in range(MOST_REVEALING):
                samples.append(larger(more))
                fine, known = unify(samples, step)
                found = _revealing(fine, known, step)
                if found is None:
                    return fine
                more = dict.fromkeys(names, found)
        except (UnsupportedOpError, GraphError, MemoryLimitError):
            pass
        return None

    found, low, high = finer(1), 1, COARSE
    if found is not None:
        return found
    while high > 2 * low:  # `low` is too fine, `high` is not
        step = 1 << ((low.bit_length() + high.bit_length()) // 2 - 1)
        found = finer(step)
        low, high, coarse = (step, high, coarse) if found is None else (low, step, found)
    return coarse


def _shared(array: FloatArray, own: FloatArray | None) -> FloatArray:
    """One array of two that are equal: graphs at many sizes hold the weights once."""
    return own if own is not None and np.array_equal(array, own) else array


def _revealing(graph: Graph, samples: Samples, step: int) -> int | None:
    """How much larger inputs show most of what the samples leave in doubt; None if nothing is."""
    unseen = doubts(graph, samples)
    best, most = None, 0.0
    for more in range(step, COARSE + step, step) if unseen or samples.alternatives else ():
        larger = {
            info.name: tuple(d + more if d and i in info.open else d for i, d in enumerate(info.shape))
            for info in graph.inputs
        }
        try:
            shapes = graph.at_shapes(larger).shapes()
        except GraphError:
            shown = (
                0.5 if samples.alternatives else 0.0
            )  # the network cannot take it, or something here is wrong
        else:
            shown = sum(int(shapes[d.tensor][d.axis] or 0) % d.modulo == d.remainder for d in unseen)
            shown += samples.disagreements(shapes)
        if shown > most:
            best, most = more, shown
    return best


def unify(graphs: Sequence[Graph], step: int) -> tuple[Graph, Samples]:
    """The first graph, open in those input dimensions in which the graphs differ; and the samples it is made from.

    Args:
        graphs: the same network, imported at different sizes; at least two. They share equal constants.
        step: open sizes are to differ by its multiples.

    Raises:
        UnsupportedOpError: lists every node that is bound to a size, with the attribute and its values.
    """
    first = graphs[0].copy()
    if any(_skeleton(graph) != _skeleton(first) for graph in graphs[1:]):
        raise UnsupportedOpError(f"'{first.name}' has other nodes at other sizes of its inputs; fix the size")
    samples = Samples([graph.shapes() for graph in graphs])
    bound = [
        f"constant '{name}' depends on the size of an input"
        for name, array in first.constants.items()
        if any(
            array.shape != g.constants[name].shape or (array != g.constants[name]).any() for g in graphs[1:]
        )
    ]
    for info in first.inputs:
        samples.add(info.name)
    for i, node in enumerate(first.nodes):
        versions = [graph.nodes[i] for graph in graphs]
        for name in explain(node, versions, samples):
            values = " and ".join(str(v.attrs[name]) for v in versions)
            bound.append(f"'{node.name}' ({node.op}): its {name} is {values}")
        samples.add(node.output)
    if bound:
        raise UnsupportedOpError(f"'{first.name}' is bound to the size of its inputs: {'; '.join(bound)}")
    for i, info in enumerate(first.inputs):
        axes = tuple(a for a in range(1, len(info.shape)) if len(set(samples.sizes(info.name, a))) > 1)
        first.inputs[i] = replace(info, open=axes, step=step if axes else 1)
    first.verify()
    return first, samples


def _skeleton(graph: Graph) -> list[object]:
    names = [(n.op, n.name, tuple(n.inputs), n.output, sorted(n.attrs)) for n in graph.nodes]
    return [names, [i.name for i in graph.inputs], graph.outputs, sorted(graph.constants)]
