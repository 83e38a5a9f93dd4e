"""What the gate holds: groups of layers, each a kernel family against something that another change leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.gate.paired import Pair, Timed, timed
from bench.kernels.alone import FamilyAlone
from bench.kernels.one_kernel import aligned
from bench.subjects.integers import in_integers
from bench.subjects.layers import CONVOLUTIONS, DEPTHWISE, LayerShape
from sparsenet import Graph
from sparsenet.latency.kinds import in_bytes
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan

#: A sample takes this long at least.
SECONDS = 1e-4


@dataclass(frozen=True)
class Group:
    """Layers on which ``family`` is held against ``against``.

    Attributes:
        name: key of its expected speed-up.
        family: of the kernel whose speed is held.
        sparsity: of the weights.
        layers: of networks.
        against: key of ``BASELINES``.
        block: of zeros.
    """

    name: str
    family: str
    sparsity: float
    layers: tuple[LayerShape, ...]
    against: str
    block: str = "1x1"

    @property
    def weights(self) -> str:
        """As in ``sparse, 90% zeros in blocks of 1x4``."""
        blocks = f" in blocks of {self.block}" if self.block != "1x1" else ""
        return f"{'sparse' if self.sparsity else 'dense'}, {self.sparsity:.0%} zeros{blocks}"


#: Makes what B is held against, for a layer of a group.
Baseline = Callable[[Group, LayerShape], Timed]


class Held:
    """One layer of a group, ready: checked when asked, then timed."""

    def __init__(self, group: Group, layer: LayerShape, plant: float = 1.0) -> None:
        """Args: plant: how many times as long B is to take, to see the gate catch it."""
        self.group, self.layer = group, layer
        self.copies = [_alone(group, layer, group.family) for _ in range(2)]
        self.plant = plant

    @property
    def kernel(self) -> str:
        """Name of the kernel that is held."""
        return self.copies[0].kernel.name

    @property
    def truth(self) -> str:
        """What its output is compared with."""
        return "the reference" if in_bytes(self.group.family) else "PyTorch"

    def error(self) -> float:
        """Largest of both copies' ``FamilyAlone.error``."""
        return max(copy.error() for copy in self.copies)

    def pair(self) -> Pair:
        """The two copies against the baseline."""
        for copy in self.copies:
            copy.repeat(SECONDS)
            copy.slow_down(self.plant)
        baseline = BASELINES[self.group.against]
        first, second = (baseline(self.group, self.layer) for _ in range(2))
        one, other = map(_seconds_of, self.copies)
        return Pair((first, second), (one, other))


def _seconds_of(alone: FamilyAlone) -> Timed:
    run = timed(alone.run)
    return lambda: run() / alone.runs


def _alone(group: Group, layer: LayerShape, family: str) -> FamilyAlone:
    return FamilyAlone(family, layer, group.sparsity, block=group.block)


def _planned(group: Group, layer: LayerShape, graph: Graph, options: Options) -> Timed:
    """The kernel that the planner takes for ``graph``, on the group's weights."""
    decisions = make_plan(graph, options).decisions
    kernel = next(d.kernel for d in decisions if d.layer == "layer")
    planned = _alone(group, layer, kernel.partition("__")[0].removesuffix("_relu"))
    planned.repeat(SECONDS)
    return _seconds_of(planned)


def _dense_kernel(group: Group, layer: LayerShape) -> Timed:
    """The dense kernel that the planner takes, in 8 bits if those of the group compute so."""
    graph = layer.graph()
    return _planned(group, layer, in_integers(graph) if in_bytes(group.family) else graph, Options("dense"))


def _float_kernel(group: Group, layer: LayerShape) -> Timed:
    """The kernel of float32 that the planner takes for the same zeros."""
    return _planned(group, layer, layer.graph(group.sparsity, group.block), Options())


def _numpy_product(_: Group, layer: LayerShape) -> Timed:
    """NumPy's matrix product of the same size, one thread."""
    weight = layer.graph().constants["w"].reshape(layer.c_out, -1)
    columns = aligned((weight.shape[1], (layer.size // layer.stride) ** 2), 1.0)
    out = aligned((layer.c_out, columns.shape[1]))
    return timed(lambda: np.matmul(weight, columns, out))


def _numpy_multiply(_group: Group, _layer: LayerShape) -> Timed:
    """NumPy's product of 128 KB of numbers with themselves, in the second-level cache."""
    x, out = aligned((32 * 1024,), 1.0), aligned((32 * 1024,))
    return timed(lambda: np.multiply(x, x, out))


BASELINES: dict[str, Baseline] = {
    "our dense kernel": _dense_kernel,
    "our kernel of float32": _float_kernel,
    "NumPy's matrix product": _numpy_product,
    "NumPy's multiply": _numpy_multiply,
}


def _layers(*words: str, among: list[LayerShape] = CONVOLUTIONS) -> tuple[LayerShape, ...]:
    found = [layer for layer in among if any(layer.name.endswith(word) for word in words)]
    assert len(found) >= len(words), words
    return tuple(found)


_ONE = _layers("1x1 256-256 @28", "1x1 512-512 @14")
_THREE = _layers("3x3 128-128 @28", "3x3 256-256 @14")

# Two copies of both sides stay in the second-level cache: what comes from further away, neighbours slow down unevenly.
_SMALL_LINEAR = LayerShape("(in L2)", "linear", 512, 256)
_SMALL_POOL = LayerShape("(in L2)", "max_pool2d", 32, 32, 56, 3, 2)

_QUADS = "u8x4_conv_pattern_rows"

GROUPS = [
    Group("pattern 1x1, 50 % zeros", "f32_conv_pattern_rows", 0.5, _ONE, "our dense kernel"),
    Group("pattern 1x1, 90 % zeros", "f32_conv_pattern_rows", 0.9, _ONE, "our dense kernel"),
    Group("pattern 3x3, 90 % zeros", "f32_conv_pattern_rows", 0.9, _THREE, "our dense kernel"),
    Group("csr 1x1, 95 % zeros", "f32_conv_csr_rows", 0.95, _ONE, "our dense kernel"),
    Group("linear csr, 90 % zeros", "f32_linear_csr_flat", 0.9, (_SMALL_LINEAR,), "our dense kernel"),
    Group("dense 1x1, lanes are pixels", "f32_conv_dense_rows", 0.0, _ONE, "NumPy's matrix product"),
    Group("dense 1x1, lanes are channels", "f32_conv_blocked_rows", 0.0, _ONE, "NumPy's matrix product"),
    Group("depthwise", "f32_depthwise_dense_rows", 0.0, tuple(DEPTHWISE[4:6]), "NumPy's multiply"),
    Group("max pooling", "f32_maxpool_none_rows", 0.0, (_SMALL_POOL,), "NumPy's multiply"),
    Group("int8 pattern 1x1, 80 % zeros in 1x4", _QUADS, 0.8, _ONE, "our dense kernel", "1x4"),
    Group("int8 pattern 1x1, 90 % zeros in 1x4", _QUADS, 0.9, _ONE, "our kernel of float32", "1x4"),
    Group("int8 pattern 3x3, 90 % zeros", _QUADS, 0.9, _THREE, "our dense kernel"),
    Group("int8 dense 1x1", "u8x4_conv_dense_rows", 0.0, _ONE, "our kernel of float32"),
    Group("int8 depthwise", "u8x4_depthwise_dense_rows", 0.0, tuple(DEPTHWISE[4:6]), "our kernel of float32"),
]
