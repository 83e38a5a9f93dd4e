"""What the tensors of a network hold while it sees calibration data, observed in the float32 engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.passes.eliminate_dead import eliminate_dead
from converters.quantization.histogram import Histogram
from sparsenet.checks import shown
from sparsenet.engine import Engine
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, Shape, TensorInfo
from sparsenet.graph.feeds import by_name, checked

#: Bytes of tensors that are looked at at once.
MOST_BYTES = 2**28

Batch = Mapping[str, FloatArray] | FloatArray
Batches = Iterable[Batch] | Batch
Progress = Callable[[int], object]


@dataclass
class ChannelMeans:
    """The mean of each channel (axis 1) over all that was added."""

    sums: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    count: int = 0

    def add(self, array: FloatArray) -> None:
        """Add a tensor (N, C, …)."""
        others = tuple(axis for axis in range(array.ndim) if axis != 1)
        self.sums = self.sums + array.sum(axis=others, dtype=np.float64)
        self.count += array.size // array.shape[1]

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """(C,)"""
        return self.sums / max(self.count, 1)


@dataclass(frozen=True)
class Observed:
    """What was seen: of some tensors their numbers, of others the means of their channels.

    Attributes:
        histograms, means: by tensor.
        samples: how many inputs there were.
    """

    histograms: Mapping[str, Histogram]
    means: Mapping[str, ChannelMeans]
    samples: int


def observe(
    graph: Graph,
    batches: Batches,
    ranges_of: Collection[str],
    counted: Collection[str],
    means_of: Collection[str],
    *,
    threads: int | None = None,
    progress: Progress = lambda _: None,
) -> Observed:
    """Run ``graph`` on all batches and look at the named tensors, inputs or computed ones.

    Args:
        graph: in float32.
        batches: inputs, as ``quantize`` takes them.
        ranges_of: tensors of which the smallest and the largest number are wanted.
        counted: those of them whose numbers are to be counted.
        means_of: tensors of which the means of channels are wanted.
        threads, progress: as ``quantize`` takes them.

    Raises:
        InputError: there is no batch, one does not fit the inputs, or a tensor becomes NaN or infinite.
    """
    histograms = {name: Histogram(name in counted) for name in ranges_of}
    means = {name: ChannelMeans() for name in means_of}
    watched = Watched([graph], [*histograms, *means], threads)
    samples = 0
    for feeds in watched.chunks(batches):
        for name, (array,) in watched.run(feeds):
            if not np.isfinite(array).all():
                raise InputError(
                    f"'{name}' becomes NaN or infinite on the calibration data: look at these inputs"
                )
            if name in histograms:
                histograms[name].add(array)
            if name in means:
                means[name].add(array)
        count = len(next(iter(feeds.values())))
        samples += count
        progress(count)
    return Observed(histograms, means, samples)


class Watched:
    """Networks of the same inputs, run side by side with some of their tensors as outputs.

    What is looked at at once takes at most ``MOST_BYTES``, or one tensor of one sample: tensors are taken in groups,
    each with engines of its own, and batches cut.
    """

    def __init__(self, graphs: list[Graph], tensors: Collection[str], threads: int | None) -> None:
        self._infos, self._graphs = graphs[0].inputs, len(graphs)
        shapes = graphs[0].shapes()
        self._fed = [info.name for info in self._infos if info.name in tensors]
        made = [node.output for node in graphs[0].nodes if node.output in tensors]
        groups = list(_groups(made, shapes, MOST_BYTES // len(graphs)))
        largest = max((sum(_bytes(shapes[name]) for name in group) for group in groups), default=1)
        self._samples = max(1, MOST_BYTES // len(graphs) // largest)
        self._engines = [[_engine(graph, group, threads) for graph in graphs] for group in groups]

    def chunks(self, batches: Batches) -> Iterator[dict[str, FloatArray]]:
        """All samples of the batches, as many at once as may be looked at."""
        found = False
        for batch in [batches] if isinstance(batches, np.ndarray | Mapping) else batches:
            arrays = arrays_of(self._infos, batch)
            for start in range(0, len(arrays[0]), self._samples):
                cut = (array[start : start + self._samples] for array in arrays)
                yield {info.name: array for info, array in zip(self._infos, cut, strict=True)}
                found = True
        if not found:
            raise InputError("there is no calibration data: batches holds none")

    def run(self, feeds: Mapping[str, FloatArray]) -> Iterator[tuple[str, list[FloatArray]]]:
        """Each of the tensors, by name, as each of the networks has it."""
        for name in self._fed:
            yield name, [feeds[name]] * self._graphs
        for engines in self._engines:
            results = [engine.run(feeds) for engine in engines]
            for name in list(results[0]):
                yield name, [result.pop(name) for result in results]


def arrays_of(infos: list[TensorInfo], batch: Any) -> list[FloatArray]:
    """The arrays of a batch, which may be one array, in the order of the inputs.

    Raises:
        InputError: it does not fit the inputs, or holds NaN or infinity.
    """
    if isinstance(batch, np.ndarray):
        batch = by_name(infos, [batch])
    if not isinstance(batch, Mapping):
        raise InputError(f"a batch must be an array, or a dict of arrays by input, got {shown(batch)}")
    return checked(infos, batch, check_finite=True, least_batch=1)


def _engine(graph: Graph, tensors: list[str], threads: int | None) -> Engine:
    exposed = graph.copy()
    exposed.outputs = tensors
    return Engine(eliminate_dead(exposed), threads)


def _groups(names: list[str], shapes: Mapping[str, Shape], most: int) -> Iterator[list[str]]:
    """The names in order, as many together as take no more than ``most`` bytes for one sample."""
    group: list[str] = []
    size = 0
    for name in names:
        if group and size + _bytes(shapes[name]) > most:
            yield group
            group, size = [], 0
        group.append(name)
        size += _bytes(shapes[name])
    if group:
        yield group


def _bytes(shape: Shape) -> int:
    return 4 * math.prod(int(d or 1) for d in shape)
