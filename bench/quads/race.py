"""The kernels and tiles that can run one convolution in 8 bits, timed in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.kernels.one_kernel import At
from bench.kernels.one_quad_conv import Added, QuadConvolution
from bench.measure.samples import repeated
from sparsenet.graph.types import QUAD, U8X4
from sparsenet.targets.family import Dot
from sparsenet.targets.registry import Kernel
from sparsenet.timing import THREAD, take_rounds, turns_of

#: Vectors of a tile that are tried, by family.
TILES = {"dense": (2, 3, 4), "pattern": (2, 3, 4), "csr": (2, 4, 6)}
#: Standard deviation of the weights.
SPREAD = 36
#: Seconds that a sample takes at least.
SAMPLE = 3e-4


@dataclass(frozen=True)
class Layer:
    """A convolution of square maps without stride, and what of it is zero: single weights, or quads (1x4 blocks)."""

    c_in: int
    c_out: int
    kernel: int
    size: int
    zeros: float
    blocks: bool

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.c_in}→{self.c_out} {self.kernel}×{self.kernel} @{self.size}"

    @property
    def operations(self) -> float:
        """Of the dense convolution, 2 per multiply-add."""
        return 2.0 * self.c_in * self.c_out * (self.kernel * self.size) ** 2


class OneLine(QuadConvolution):
    """A convolution over flattened maps: their rows follow each other in one line, a column of halo between them."""

    def __post_init__(self) -> None:
        channels, height, width = self.x.shape
        self.reach = self.weight.shape[2] // 2
        self.pitch = width + self.reach
        length = (height + 2 * self.reach) * self.pitch + 2 * self.reach
        self.source = self._map(-(-channels // QUAD), 1, length, self.zero_in)
        self.source.numbers[:] = np.random.default_rng(0).integers(0, 2**32, self.source.numbers.size)
        self.out = self._map(-(-len(self.weight) // QUAD), 1, height * self.pitch, self.zero_out)
        if self.added:
            self._residual = self._map(self.out.channels, 1, height * self.pitch, self.added.zero)

    def _rows_and_columns(self) -> tuple[np.ndarray, np.ndarray]:
        window = np.arange(self.weight.shape[2]) * U8X4.itemsize
        return window * self.pitch, window

    def _first_tap(self) -> At:
        return self.source.at()


def convolution(layer: Layer, lanes: int, add: bool = False) -> OneLine:
    """Random weights and pixels; results are spread over the bytes."""
    rng = np.random.default_rng(0)
    shape = (layer.c_out, layer.c_in, layer.kernel, layer.kernel)
    weight = np.clip(np.rint(rng.standard_normal(shape) * SPREAD), -127, 127)
    if layer.blocks:
        kept = np.repeat(rng.random((shape[0], -(-shape[1] // QUAD), *shape[2:])) >= layer.zeros, QUAD, 1)
        weight *= kept[:, : layer.c_in]
    else:
        weight *= rng.random(shape) >= layer.zeros
    size = (layer.size, layer.size)
    added = Added(np.zeros((layer.c_out, *size), np.uint8), 0.37, 77) if add else None
    scale = 0.02 / np.sqrt(layer.c_in * layer.kernel**2 * (1 - layer.zeros))
    return OneLine(
        np.zeros((layer.c_in, *size), np.uint8),
        weight.astype(np.int8),
        np.zeros(layer.c_out, np.int32),
        np.full(layer.c_out, scale, np.float32),
        lanes,
        added=added,
    )


def rates(layer: Layer, lanes: int, dot: int, add: bool, rounds: int) -> dict[str, tuple[float, int]]:
    """Family → dense-equivalent 1e9 operations per second with its best tile, and that tile's vectors.

    Least processor time of ``rounds`` turns in which all kernels and tiles alternate, caches warm.
    """
    conv = convolution(layer, lanes, add)
    weights = {"dense": conv.dense, "pattern": conv.pattern, "csr": conv.csr}
    if dot == Dot.BYTES:
        del weights["dense"]
    if layer.zeros == 0:
        del weights["csr"]
    turns, counts = {}, {}
    for family, packed in weights.items():
        given = packed(dot)
        for most in TILES[family]:
            vectors = min(most, conv.out.line_vectors)
            tile = (1, vectors, dot)
            kernel = Kernel(f"u8x4_conv_{family}_rows", lanes, tile, ("add",) if add else ())
            call = conv.call(kernel, given)
            call()
            name = f"{family} {vectors}"
            counts[name] = max(1, round(SAMPLE / THREAD.turn(call).seconds))
            turns[name] = repeated(call, counts[name])
    taken = take_rounds(turns_of(turns, THREAD), rounds, THREAD, settle=0.0)
    best: dict[str, tuple[float, int]] = {}
    for name, count in counts.items():
        family, _, tile_vectors = name.partition(" ")
        rate = layer.operations * count / float(taken.seconds(name)[0].min()) / 1e9
        best[family] = max(best.get(family, (0.0, 0)), (rate, int(tile_vectors)))
    return best
