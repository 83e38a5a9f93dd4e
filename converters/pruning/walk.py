"""A network taken layer by layer: all samples wait in front of one layer before any of them goes on to the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from converters.passes.eliminate_dead import eliminate_dead
from converters.quantization.observe import Batches, arrays_of
from sparsenet.engine import Engine
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Node, Shape, TensorInfo
from sparsenet.limits import require_memory

#: Bytes of tensors that are computed at once.
MOST_BYTES = 2**27
#: Samples that a whole network is given at once.
_AT_ONCE = 8


def gathered(infos: list[TensorInfo], batches: Batches) -> dict[str, FloatArray]:
    """All samples of some batches, by input.

    Raises:
        InputError: there are none, or they do not fit the inputs.
        MemoryLimitError: they would take more than ``limits.memory_limit``.
    """
    parts: list[list[FloatArray]] = []
    for batch in [batches] if isinstance(batches, np.ndarray | Mapping) else batches:
        parts.append(arrays_of(infos, batch))
        require_memory(sum(array.nbytes for part in parts for array in part), "the calibration data")
    if not parts:
        raise InputError("there is no calibration data: batches holds none")
    counts = [len(part[0]) for part in parts]
    whole = [np.empty((sum(counts), *array.shape[1:]), array.dtype) for array in parts[0]]
    for end in np.cumsum(counts)[::-1]:  # from behind, so that each batch can go as soon as it is copied
        for array, batch in zip(whole, parts.pop(), strict=True):
            array[end - len(batch) : end] = batch
    return {info.name: array for info, array in zip(infos, whole, strict=True)}


def outputs(
    graph: Graph, inputs: Mapping[str, FloatArray], names: Sequence[str], samples: int, threads: int | None
) -> dict[str, FloatArray]:
    """Some tensors of a network for the first samples, (samples, …) each.

    Args:
        graph: in float32.
        inputs: by name, of no fewer samples.
        names: of the tensors.
        samples: how many.
        threads: of the engine; None takes the CPUs this process may use.
    """
    part = graph.copy()
    part.outputs = list(names)
    engine = Engine(eliminate_dead(part), threads)
    parts = []
    for start in range(0, samples, _AT_ONCE):
        chunk = slice(start, min(start + _AT_ONCE, samples))
        parts.append(engine.run({info.name: inputs[info.name][chunk] for info in engine.inputs}))
    engine.close()
    return {name: np.concatenate([found[name] for found in parts]) for name in names}


class Walk:
    """The tensors that nodes still to come will read, for all samples, in files of a folder.

    Args:
        graph: in float32; constants of nodes that are still to come may change on the way.
        inputs: of all samples, by name.
        folder: an empty one.
        stops: tensors to come by, in this order. Where an engine begins and ends decides on the last bits of what it
            computes: so all of them are visited, whichever is wanted.
        threads: of the engines; None takes the CPUs this process may use.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Mapping[str, FloatArray],
        folder: Path,
        stops: Sequence[str],
        threads: int | None,
    ) -> None:
        self._graph, self._folder, self._threads = graph, folder, threads
        self._shapes = graph.shapes()
        self._held = dict(inputs)
        self._files: dict[str, Path] = {}
        self._numbers = itertools.count()
        self._left = list(graph.nodes)
        self._samples = len(next(iter(inputs.values())))
        self._stops, self._next = stops, 0

    def to(self, stop: int) -> FloatArray:
        """The numbers of the tensor at a stop, (samples, …), counted from 0; there until the next call."""
        while self._next <= stop:
            self._visit(self._stops[self._next])
            self._next += 1
        return self._held[self._stops[stop]]

    def outputs(
        self, names: Sequence[str], changed: Mapping[str, FloatArray], samples: int
    ) -> dict[str, FloatArray]:
        """Outputs of the network for the first samples, if constants of nodes still to come were others.

        Args:
            names: of the outputs, or of other tensors; those that are computed already are left out.
            changed: constants by name.
            samples: how many.
        """
        made = [node.output for node in self._left if node.output in names]
        if not made:
            return {}
        part = self._part(self._left, made)
        for name, array in changed.items():
            part.constants[name] = array
        engine = Engine(part, self._threads)
        try:
            return engine.run({info.name: self._held[info.name][:samples] for info in part.inputs})
        finally:
            engine.close()

    def _visit(self, tensor: str) -> None:
        """Compute a tensor with all that it depends on, and forget what nobody needs any more."""
        wanted = {name for node in self._left for name in node.inputs} | {tensor}
        for name in self._held.keys() - wanted:
            del self._held[name]
            if name in self._files:
                self._files.pop(name).unlink()
        if tensor not in self._held:
            needed = {tensor}
            nodes: list[Node] = []
            for node in reversed(self._left):
                if needed.intersection(node.outputs):
                    nodes.insert(0, node)
                    needed.update(node.inputs)
            self._left = [node for node in self._left if not needed.intersection(node.outputs)]
            wanted = {name for node in self._left for name in node.inputs} | {tensor}
            self._run(nodes, [node.output for node in nodes if node.output in wanted])

    def _part(self, nodes: list[Node], made: list[str]) -> Graph:
        """Some nodes, fed with tensors that are held, as a network that makes ``made``."""
        reads = {name for node in nodes for name in node.inputs}
        part = self._graph.copy()
        part.inputs = [TensorInfo(name, self._shapes[name]) for name in self._held if name in reads]
        part.nodes, part.outputs = nodes, made
        return eliminate_dead(part)

    def _run(self, nodes: list[Node], made: list[str]) -> None:
        """Compute some nodes, and hold the tensors ``made`` of them."""
        part = self._part(nodes, made)
        for name in made:
            self._files[name] = self._folder / f"{next(self._numbers)}.npy"
            shape = (self._samples, *(int(size or 1) for size in self._shapes[name][1:]))
            self._held[name] = np.lib.format.open_memmap(self._files[name], "w+", np.float32, shape)
        bytes_each = sum(_bytes(self._shapes[name]) for name in [*made, *(info.name for info in part.inputs)])
        step = max(1, MOST_BYTES // bytes_each)
        engine = Engine(part, self._threads)
        for start in range(0, self._samples, step):
            feeds = {info.name: self._held[info.name][start : start + step] for info in part.inputs}
            for name, array in engine.run(feeds).items():
                self._held[name][start : start + step] = array
        engine.close()


def _bytes(shape: Shape) -> int:
    return 4 * math.prod(int(size or 1) for size in shape)
