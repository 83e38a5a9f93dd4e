"""A layer planned as a network would have it, and the calls of one kernel family in it, to be run by themselves."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from unittest.mock import patch

import numpy as np

from bench.engines.session import Network
from bench.subjects.integers import in_integers
from bench.subjects.layers import LayerShape
from converters.verify import relative_error
from sparsenet import reference
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray, Graph
from sparsenet.latency.kinds import in_bytes, itemsize
from sparsenet.plan.builder import Builder, Options
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.make import make_plan
from sparsenet.plan.plan import Plan
from sparsenet.targets.abi import ARENA, FIRST_TENSOR, WEIGHTS
from sparsenet.targets.cpu.lower import conv2d, integer
from sparsenet.targets.cpu.runtime import tape
from sparsenet.targets.cpu.runtime.ring_memory import Arena
from sparsenet.targets.cpu.runtime.tune import race
from sparsenet.targets.registry import Kernel
from sparsenet.timing import THREAD

#: Families that move what others need: their calls belong to other layers' stages.
MOVERS = ("f32_relayout_none_any", "f32_fill_none_any")


class NotOffered(Exception):  # noqa: N818 - a family need not take every layer
    """The planner has no candidate of this family for this layer."""


def plan_with(family: str, graph: Graph, tune: bool = False) -> Plan:
    """``graph``, one thread, its convolutions by kernels of ``family`` if they are of its kind.

    Args:
        family: key of ``FAMILIES``.
        tune: whether to race the family's tiles rather than to take the one that is expected to be the fastest.

    Raises:
        NotOffered: no candidate for a convolution is of this family.
    """

    def choose(
        builder: Builder,
        candidates: Sequence[Candidate],
        _density: float,
        key: Callable[[], str],
        _zeros: str = "",
    ) -> tuple[Candidate, str]:
        own = [candidate for candidate in candidates if candidate.kernel.family == family]
        if not own:
            raise NotOffered(family)
        seconds = (race(builder, own, key()) if tune and len(own) > 1 else None) or [0.0]
        return own[seconds.index(min(seconds))], f"only {family} was asked for"

    if "_conv_" in family:
        with patch.object(integer if in_bytes(family) else conv2d, "choose", choose):
            return make_plan(graph, Options(threads=1, race=race))
    return make_plan(graph, Options("sparse" if "_csr_" in family else "dense", threads=1))


@dataclass(frozen=True)
class Work:
    """What the calls do: operations (2 per multiply-add with a nonzero weight) and bytes of activations and weights.

    Activations count once: pixels read and pixels written, no halo, no padding of lines.
    """

    flops: float
    nbytes: float
    nnz: int


class FamilyAlone:
    """The calls of one family in the plan of one layer; the whole plan has run once, so what they read is there.

    The layer is quantized for families of 8 bits.

    Attributes:
        kernel: the family's kernel with its tile.
        work: of all its calls.
        output: of the whole layer.
    """

    def __init__(
        self, family: str, layer: LayerShape, sparsity: float, tune: bool = False, block: str = "1x1"
    ) -> None:
        graph = layer.graph(sparsity, block)
        self.graph = graph = in_integers(graph) if in_bytes(family) else graph
        plan = plan_with(family, graph, tune)
        plan.link()
        self._x = x = layer.example()
        self.output = np.empty((1, *_sizes(plan)), np.float32)
        bases = self._bases(plan, x)
        self._run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(tape.address("run_tape"))
        rows = plan.tapes[0]
        self._run(rows.ctypes.data, len(rows), bases)
        mine = [
            kernel.family == family and (name == "layer" or family in MOVERS)
            for kernel, name in zip(plan.kernels[0], plan.layers[0], strict=True)
        ]
        kernels = [kernel for kernel, own in zip(plan.kernels[0], mine, strict=True) if own]
        if not kernels:
            raise SparsenetError(f"the plan of '{layer.name}' has no call of {family}")
        self.kernel = kernels[0]
        self.work = _work(self.kernel, graph, plan, rows[mine])
        self._rows = np.ascontiguousarray(rows[mine])
        self._plan = plan  # holds the memory that the calls work on

    def _bases(self, plan: Plan, x: FloatArray) -> int:
        self._arena = Arena(plan.arena_bytes + 64, plan.rings)
        self._table = np.zeros(FIRST_TENSOR + 2, np.int64)
        self._table[WEIGHTS], self._table[ARENA] = plan.weights.ctypes.data, self._arena.address
        self._table[FIRST_TENSOR:] = x.ctypes.data, self.output.ctypes.data
        return int(self._table.ctypes.data)

    def error(self) -> float:
        """Largest difference of ``output`` from PyTorch's, in 8 bits the reference's, relative to the largest value."""
        if self.graph.quantization:
            (expected,) = reference.run(self.graph, {self.graph.inputs[0].name: self._x}).values()
        else:
            from bench.engines.pytorch import prepare

            (expected,) = prepare(Network(self.graph), 1)(self._x)
        return relative_error(self.output, expected)

    def repeat(self, seconds: float) -> None:
        """Make one ``run`` take about ``seconds`` or more, by doing everything several times in one call."""
        self.runs = 1
        while THREAD.turn(self.run).seconds < seconds and self.runs < 4096:
            self.runs *= 2
            self._rows = np.concatenate([self._rows, self._rows])

    runs = 1

    def slow_down(self, factor: float) -> None:
        """Make a run do ``factor`` times the work without telling: what a kernel that slow would look like."""
        if self.runs < 4:  # else a quarter more would not be a whole number of runs
            self._rows = np.concatenate([self._rows] * 4)
            self.runs *= 4
        extra = round((factor - 1) * self.runs) * (len(self._rows) // self.runs)
        self._rows = np.concatenate([self._rows, self._rows[:extra]])

    def run(self) -> None:
        """All calls, ``runs`` times."""
        self._run(self._rows.ctypes.data, len(self._rows), self._table.ctypes.data)


def _sizes(plan: Plan) -> tuple[int, ...]:
    return tuple(int(size or 0) for size in plan.outputs[0].shape[1:])


def _work(kernel: Kernel, graph: Graph, plan: Plan, rows: np.ndarray) -> Work:
    if kernel.family in MOVERS:
        return Work(0.0, sum(_moved_bytes(kernel, row) for row in rows), 0)
    shapes = graph.shapes()
    node = graph.nodes[-1]
    tensors = [*(name for name in node.inputs if name and name not in graph.constants), *node.outputs]
    nbytes = float(itemsize(kernel.family)) * sum(
        prod(int(size or 1) for size in shapes[name]) for name in tensors
    )
    decision = next(d for d in plan.decisions if d.layer == node.name)
    if not decision.weights:
        return Work(0.0, nbytes, 0)
    flops = 2.0 * decision.macs * decision.nnz / decision.weights
    stored = decision.nnz if decision.sparse else decision.weights
    return Work(flops, nbytes + itemsize(kernel.family) * stored, decision.nnz)


def _moved_bytes(kernel: Kernel, row: np.ndarray) -> float:
    """Of one call: floats written, and read where there is a source."""
    value = dict(zip(kernel.arguments, row[1:].tolist(), strict=False))
    if kernel.family == "f32_fill_none_any":
        return 4.0 * float(value["size"])
    return 8.0 * float(value["channels"] * value["rows"] * value["columns"])
