"""Which number of a source network each weight of its graph was made of, found out by converting other numbers.

What an importer and the passes do to a weight is to move it (transposed matrices, flipped kernels) and to scale it
(a batch norm, Gemm's alpha). So the source is converted with one number in place of all weights, which gives the
factors, and with the two digits of a number for each weight, which tell where it went. No operator needs a rule for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray, Graph

IntArray = npt.NDArray[np.int64]
#: The graph of the source with other numbers in some of its arrays.
Convert = Callable[[Mapping[str, FloatArray]], Graph]
Read = Callable[[Graph], dict[str, FloatArray]]
#: Of a digit: float32 still holds it, times a factor, to a hundredth.
_BASE = 2**16
#: How far from a whole number a digit may be found.
_NEAR = 0.1


@dataclass(frozen=True)
class Origin:
    """Where the weight of a layer comes from.

    Attributes:
        array: of the source.
        places: in the flat ``array``, by weight, of the weight's shape.
        factors: by what each was multiplied, of the weight's shape; 0 in output channels that are zero whatever the
            array holds, whose ``places`` mean nothing.
    """

    array: str
    places: IntArray
    factors: FloatArray

    @property
    def live(self) -> npt.NDArray[np.bool_]:
        """Which weights have a place."""
        return self.factors != 0


class Origins:
    """Of the layers whose every weight was made of one number of one array, and no two of the same.

    Args:
        arrays: of the source, of which weights may be made, by name.
        convert: gives its graph with other numbers in ``arrays``.
        read: gives what is to be traced, by layer, of a graph; its weights if nothing else is said.
    """

    def __init__(self, arrays: Mapping[str, FloatArray], convert: Convert, read: Read | None = None) -> None:
        self._arrays = arrays
        sizes = [array.size for array in arrays.values()]
        self._starts = np.array([0, *itertools.accumulate(sizes)], np.int64)

        def read_with(digit: Callable[[IntArray], IntArray]) -> dict[str, FloatArray]:
            return (read or weights)(convert(self._numbered(digit)))

        full, low = read_with(lambda n: np.full_like(n, _BASE)), read_with(lambda n: n % _BASE + 1)
        factors = {layer: filled / np.float32(_BASE) for layer, filled in full.items()}
        high = factors if sum(sizes) <= _BASE else read_with(lambda n: n // _BASE + 1)
        traced = {
            layer: self._traced(factors[layer], low[layer], high[layer])
            for layer in factors
            if layer in low and layer in high
        }
        found = {layer: origin for layer, origin in traced.items() if origin is not None}
        self._found = {layer: found[layer] for layer in _apart(found, dict(zip(arrays, sizes, strict=True)))}

    def of(self, layer: str) -> Origin | None:
        """Where the weight of a layer comes from; None if that cannot be told."""
        return self._found.get(layer)

    def arrays(self, wanted: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The arrays of which a conversion makes the wanted weights, by name, those that change alone.

        Args:
            wanted: weights by layer, each of which has an origin.
        """
        made: dict[str, FloatArray] = {}
        for layer, weight in wanted.items():
            origin = self._found[layer]
            array = made.setdefault(origin.array, self._arrays[origin.array].copy())
            live = origin.live
            array.reshape(-1)[origin.places[live]] = weight[live] / origin.factors[live]
        return made

    def _numbered(self, digit: Callable[[IntArray], IntArray]) -> dict[str, FloatArray]:
        """The arrays, filled with a digit of the number of each element among all of them."""
        starts = zip(self._arrays.items(), self._starts, strict=False)
        return {
            name: digit(np.arange(start, start + array.size)).astype(np.float32).reshape(array.shape)
            for (name, array), start in starts
        }

    def _traced(self, factors: FloatArray, low: FloatArray, high: FloatArray) -> Origin | None:
        live = factors != 0
        rows = live.reshape(len(live), -1)
        if low.shape != live.shape or high.shape != live.shape or not live.any():
            return None
        if (rows.any(axis=1) != rows.all(axis=1)).any():  # numbers of no origin, which could not be changed
            return None
        places = np.zeros(live.shape, np.int64)
        for digits, value in ((low, 1), (high, _BASE)):
            exact = np.divide(digits, factors, out=np.ones(live.shape), where=live, dtype=np.float64)
            whole = np.rint(exact)
            if not ((np.abs(exact - whole) < _NEAR) & (whole >= 1) & (whole <= _BASE)).all():
                return None
            places += value * (whole.astype(np.int64) - 1)
        first, last = np.searchsorted(self._starts, [places[live].min(), places[live].max()], "right") - 1
        if first != last or last >= len(self._arrays):
            return None
        return Origin(list(self._arrays)[first], places - self._starts[first], factors)


def weights(graph: Graph) -> dict[str, FloatArray]:
    """The weight of each layer, by the layer's name."""
    return {node.name: weight for node, _, weight in graph.weights()}


def _apart(found: Mapping[str, Origin], sizes: Mapping[str, int]) -> list[str]:
    """The layers that share no number with another, nor use one twice."""
    uses = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
    for origin in found.values():
        uses[origin.array] += np.bincount(origin.places[origin.live], minlength=sizes[origin.array])
    return [
        layer
        for layer, origin in found.items()
        if (uses[origin.array][origin.places[origin.live]] == 1).all()
    ]
