"""Making a plan: halos from the readers, launches from the nodes, offsets from lifetimes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparsenet.errors import UnsupportedOpError
from sparsenet.graph import Graph, Shape
from sparsenet.graph.ops import OPS
from sparsenet.graph.plannable import require_plannable
from sparsenet.graph.types import F32
from sparsenet.limits import require_memory
from sparsenet.plan.arena import Buffer
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.targets.cuda.builder import Argument, Builder, Call, NoKernelError, Options, Place, Value
from sparsenet.targets.cuda.families import argument_counts
from sparsenet.targets.cuda.lower import LOWER, UNSUPPORTED
from sparsenet.targets.cuda.lower.relayout import plain, to_maps
from sparsenet.targets.cuda.lower.separable import separable_pairs
from sparsenet.targets.cuda.plan import CudaPlan, Launch, Port
from sparsenet.targets.cuda.slots import place
from sparsenet.targets.registry import FAMILIES

#: Padding up to which all maps of a size carry the zeros; wider windows read a copy of their own.
SHARED_PADDING = 3


def make_plan(graph: Graph, options: Options) -> CudaPlan:
    """Plan ``graph`` for batches of ``options.batch`` images.

    Raises:
        GraphError: the graph is malformed.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
        UnsupportedOpError: nodes that have no CUDA kernel, all of them named.
    """
    shapes = graph.verify().shapes
    require_plannable(graph, shapes)
    builder = Builder(graph, shapes, options, _halos(graph, shapes), separable_pairs(graph, shapes))
    inputs = []
    for info in graph.inputs:
        builder.layer = "input"
        given = Value(info.name, builder.shape(info.name), None)
        inputs.append(given)
        to_maps(builder, info.name, given)
    _lower(builder, graph)
    builder.layer = "output"
    outputs = [plain(builder, builder.get(name)) for name in graph.outputs]
    return _assemble(builder, inputs, outputs)


def _lower(builder: Builder, graph: Graph) -> None:
    missing: list[str] = []
    for node in graph.nodes:
        builder.layer = node.name
        try:
            if node.op not in LOWER:
                why = UNSUPPORTED.get(node.op)
                raise NoKernelError("the op has no CUDA kernel" + (f": {why}" if why else ""))
            LOWER[node.op](builder, node)
        except NoKernelError as error:
            missing.append(f"'{node.name}' ({node.op}): {error}")
            builder.new_maps(node.output)
    if missing:
        raise UnsupportedOpError(
            f"{len(missing)} nodes cannot run on a GPU yet, device='cpu' runs them", missing
        )


def _halos(graph: Graph, shapes: Mapping[str, Shape]) -> dict[tuple[int, int], tuple[int, int]]:
    """Zero rows and columns that maps of each size (height, width) carry for the convolutions that read them."""
    halos: dict[tuple[int, int], tuple[int, int]] = {}
    for node in graph.nodes:
        if not (OPS[node.op].windowed and OPS[node.op].weighted):
            continue
        geometry = Geometry.of(node, shapes)
        above, below, columns = geometry.halo
        rows = max(above, below)
        if max(rows, columns) > SHARED_PADDING:
            continue
        before = halos.get(geometry.size, (0, 0))
        halos[geometry.size] = max(before[0], rows), max(before[1], columns)
    return halos


def _assemble(builder: Builder, inputs: list[Value], outputs: list[Value]) -> CudaPlan:
    calls = builder.calls
    # Inputs stay to the end: what they are put into once may be run several times.
    used: dict[Value, list[int]] = {value: [0, len(calls)] for value in inputs}
    for number, call in enumerate(calls):
        for value in call.touches():
            used.setdefault(value.root, []).append(number)
    for value in outputs:
        used.setdefault(value.root, []).append(len(calls))
    guard = max([builder.overread, *(value.layout.guard for value in used if value.layout is not None)])
    buffers = {
        value: Buffer(value.size, 0, len(calls))
        if value.fixed is not None
        else Buffer(value.size, min(at), max(at))
        for value, at in used.items()
    }
    end = place(list(buffers.values()), guard)
    require_memory(F32.itemsize * end, "working memory of the network")
    for value, buffer in buffers.items():
        value.offset = buffer.offset
    constants = [(v.offset, v.fixed) for v in used if v.fixed is not None]
    return CudaPlan(
        builder.options.batch,
        [_launch(call) for call in calls],
        builder.weights.join().astype(np.float32, copy=False),
        builder.tables.join().astype(np.int32, copy=False),
        end,
        constants,
        [Port(value.name, value.offset, value.shape) for value in inputs],
        [
            Port(name, value.root.offset, value.shape)
            for name, value in zip(builder.graph.outputs, outputs, strict=True)
        ],
        builder.decisions,
    )


def _launch(call: Call) -> Launch:
    tensors, numbers = argument_counts(call.kernel.epilogue)
    floats = [np.float32(number) for number in call.numbers]
    return Launch(
        call.layer,
        call.kernel,
        call.blocks,
        call.threads,
        tuple(_number(call.arguments[name]) for name in FAMILIES[call.kernel.family].arguments),
        tuple(map(_number, call.tensors)) + (0,) * (tensors - len(call.tensors)),
        tuple(floats) + (np.float32(0),) * (numbers - len(floats)),
    )


def _number(argument: Argument) -> int:
    if isinstance(argument, Place):
        return argument.value.root.offset + argument.floats
    return argument.root.offset if isinstance(argument, Value) else int(argument)
