"""Making a plan: what readers want of each tensor, stages from the nodes, then the schedule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from sparsenet.errors import InputError, MemoryLimitError, UnsupportedOpError
from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.facts import Facts
from sparsenet.graph.graph import TensorInfo
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops import OPS
from sparsenet.graph.plannable import require_plannable
from sparsenet.graph.types import I32
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.targets.c99.builder import Builder, Options
from sparsenet.targets.c99.constant import Constant, Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower import LOWER
from sparsenet.targets.c99.lower.forms import reads_rows
from sparsenet.targets.c99.lower.integer import lower_integer
from sparsenet.targets.c99.plan import Count, CPlan
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.trace import MOST_ROWS, Schedule, schedule
from sparsenet.targets.c99.value import Value, is_image, map_shape

#: Inputs are counted in 8 bits.
MOST_INPUTS = 2**8 - 1


def make_plan(graph: Graph, options: Options) -> CPlan:
    """Plan ``graph`` for one image at a time.

    Raises:
        GraphError: the graph is malformed.
        InputError: an option does not fit its inputs.
        MemoryLimitError: a tensor is larger than ``limits.memory_limit``.
        UnsupportedOpError: there are nodes without a C kernel, all of them named.
    """
    facts = graph.verify()
    require_plannable(graph, facts.shapes)
    results, integers = _results(graph, facts), integer_nodes(graph, facts.shapes)
    sides, flats = _forms(graph, facts.shapes, results)
    builder = Builder(
        graph, facts.shapes, options=options, sides=sides, flats=flats, results=results,
        pooled=_pooled(graph, facts, results, integers),
    )  # fmt: skip
    for number, info in enumerate(graph.inputs):
        builder.layer = "input"
        _take(builder, number, info, rounded=_is_rounded(graph, info.name, integers))
    _lower(builder, graph, integers)
    builder.settle_choices()
    builder.layer = "output"
    outputs = [_give(builder, number, name) for number, name in enumerate(graph.outputs)]
    counts, counted = _counts(builder, facts)
    found = schedule(builder.stages, outputs + counted)
    words = [stage.arguments[argument.name] for stage in found.stages for argument in stage.kernel.members]
    words += [read.table for stage in found.stages for read in stage.reads if read.table is not None]
    words += [value.fixed for value in found.values if value.fixed is not None]
    used = {id(word) for word in words if isinstance(word, Constant)}
    constants = [constant for constant in builder.constants_made if id(constant) in used]
    _require_counted(graph, found)
    return CPlan(
        found.stages, found.order, found.values, found.arena_bytes, constants,
        list(graph.inputs), facts.output_infos, counts, builder.decisions, options,
    )  # fmt: skip


def _require_counted(graph: Graph, found: Schedule) -> None:
    """Raise MemoryLimitError unless 8 bits count the inputs, and 16 bits the stages, their maps and what they read."""
    reads = sum(len(stage.pointers) for stage in found.stages)
    if len(graph.inputs) > MOST_INPUTS or max(len(found.stages), len(found.values), reads) > MOST_ROWS:
        raise MemoryLimitError(
            f"{len(graph.inputs)} inputs, {len(found.stages)} calls, {len(found.values)} maps that are read {reads} "
            f"times: C code counts {MOST_INPUTS} inputs, and {MOST_ROWS} of all else"
        )


def _results(graph: Graph, facts: Facts) -> dict[str, int]:
    """Which tensors are made in the caller's arrays: the outputs, or what they are only other shapes of."""
    inputs = {info.name for info in graph.inputs}
    results: dict[str, int] = {}
    for number, name in enumerate(graph.outputs):
        root = name
        while root not in inputs:
            node = facts.makers[root]
            if not (OPS[node.op].keeps_order or OPS[node.op].returns_input) or node.inputs[0] in inputs:
                break
            root = node.inputs[0]
        place = name if root in results else root
        if place not in inputs:
            results.setdefault(place, number)
    return results


def _forms(
    graph: Graph, shapes: dict[str, Shape], results: Mapping[str, int]
) -> tuple[dict[str, int], set[str]]:
    """What readers want: zeros beside the lines of each tensor, and the tensors that some reads in C order."""
    sides: dict[str, int] = {}
    flats: set[str] = set()
    for node in reversed(graph.nodes):
        schema, x = OPS[node.op], node.inputs[0]
        if _returns(shapes, node) and node.output not in results:
            sides[x] = max(sides.get(x, 0), sides.get(node.output, 0))
            flats |= {x} if node.output in flats else set()
        elif schema.windowed and schema.weighted:
            sides[x] = max(sides.get(x, 0), Geometry.of(node, shapes).halo[2])
        elif not reads_rows(graph, shapes, node):
            flats |= {name for name in node.inputs if name}
    return sides, flats


def _returns(shapes: dict[str, Shape], node: Node) -> bool:
    """Whether the result is the input, or the same rows of it under another shape."""
    schema, (x, y) = OPS[node.op], (shapes[node.inputs[0]], shapes[node.output])
    same = [[int(size or 1) for size in shape[1:]] for shape in (x, y)]
    return schema.returns_input or (schema.keeps_order and map_shape(same[0]) == map_shape(same[1]))


def _pooled(
    graph: Graph, facts: Facts, results: Mapping[str, int], integers: Collection[str]
) -> dict[str, Node]:
    """Convolutions whose results are only wanted for the mean of each channel; both in float32, or in integers."""
    pooled = {}
    for node in graph.nodes:
        maker = facts.makers.get(node.inputs[0])
        if node.op == "global_avg_pool2d" and maker is not None and maker.op == "conv2d":
            alone = facts.use_counts[maker.output] == 1 and maker.output not in results
            alone &= (maker.name in integers) == (node.name in integers)
            width, widths = (
                facts.shapes[maker.output][3] or 1,
                range(4, 7) if node.name in integers else range(6, 25),
            )
            if alone and any(width % tile == 0 for tile in widths):
                pooled[maker.name] = node
    return pooled


def _is_rounded(graph: Graph, name: str, integers: Collection[str]) -> bool:
    """Whether all that read an input are integer nodes: then its numbers are only wanted in bytes."""
    readers = [node.name in integers for node in graph.nodes if name in node.inputs]
    return name not in graph.outputs and bool(readers) and all(readers)


def _take(builder: Builder, number: int, info: TensorInfo, *, rounded: bool) -> None:
    """The stage that takes one of the caller's arrays."""
    options, shape = builder.options, builder.image_shape(info.name)
    if options.u8:
        _require_bytes(options, info, shape)
    in_pixels = options.layout == "hwc" and is_image(shape)
    if rounded:
        builder.take_quads(info.name, number, in_pixels)
        return
    out = builder.new(info.name)
    channels, pixel = out.shape[0], (out.shape[0] if in_pixels else 1,)
    lines: dict[str, Word] = {"channels": channels, "width": out.width, "out_channel": out.channel}
    if options.u8:
        mean, std = (
            np.broadcast_to(np.asarray(n, np.float64), (channels,)) for n in (options.mean, options.std)
        )
        scale, shift = (builder.constant(array.astype(np.float32)) for array in (1 / std, -mean / std))
        stage = builder.add(
            out, Kernel("f32_input_u8_rows", pixel), [], {"scale": scale, "shift": shift, **lines}
        )
    else:
        stage = builder.add(out, Kernel("f32_input_f32_rows", pixel), [], lines)
    stage.input = number


def _require_bytes(options: Options, info: TensorInfo, shape: Sequence[int]) -> None:
    """Raise InputError unless an input can be given in bytes with the mean and the deviation of the options."""
    if not is_image(shape):
        raise InputError(f"input '{info.name}' is no image, so it cannot be given in bytes: {info.shape}")
    for name, given in (("mean", options.mean), ("std", options.std)):
        if len(given) not in (1, shape[-3]):
            raise InputError(f"{name} has {len(given)} numbers; the image has {shape[-3]} channels")
    if not np.isfinite([*options.mean, *options.std]).all() or 0 in options.std:
        raise InputError("mean and std must be finite numbers, and std not 0")


def _lower(builder: Builder, graph: Graph, integers: Collection[str]) -> None:
    missing: list[str] = []
    for node in graph.nodes:
        builder.layer = node.name
        try:
            _lower_node(builder, node, integer=node.name in integers)
        except NoKernelError as error:
            missing.append(f"'{node.name}' ({node.op}): {error}")
            builder.new(node.output)
    if missing:
        raise UnsupportedOpError(f"{len(missing)} nodes cannot be exported to C", missing)


def _lower_node(builder: Builder, node: Node, *, integer: bool) -> None:
    """Lower a node; one in integers that only moves numbers may do so with those that bytes stand for, in float32."""
    if integer and lower_integer(builder, node):
        builder.rounded.add(node.output)
        return
    if node.op not in LOWER:
        raise NoKernelError("there is no C kernel for this op")
    with builder.on_grid(node.inputs if integer else ()):
        LOWER[node.op](builder, node)
    if integer:
        builder.rounded.add(node.output)


def _give(builder: Builder, number: int, name: str) -> Value:
    """The value in the caller's array: a copy, unless it was made there."""
    value = builder.any(name)
    if value.root.output == number:
        return value
    out = Value(name, value.shape, flat=True, output=number)
    builder.copy(out, value)
    return out


def _counts(builder: Builder, facts: Facts) -> tuple[list[Count], list[Value]]:
    """How many elements of the results are valid, and the caller's numbers for that, behind the outputs."""
    found: dict[tuple[str, int], list[int]] = {}
    for number, info in enumerate(facts.output_infos):
        if info.partial is not None:
            key = info.partial.count, int(info.shape[info.partial.axis] or 0)
            found.setdefault(key, []).append(number)
    values = []
    for number, (tensor, most) in enumerate(found, len(facts.output_infos)):
        out = Value(f"{tensor} (count)", (1, 1, 1), I32, flat=True, output=number)
        read = Read(builder.flat(tensor), whole=True)
        builder.add(out, Kernel("i32_count_none_flat"), [read], {"most": most}, units=1, by_rows=False)
        values.append(out)
    return [Count(*key, results) for key, results in found.items()], values
