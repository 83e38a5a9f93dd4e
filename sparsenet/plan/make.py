"""Making a plan: halos from the readers, steps from the nodes, offsets from lifetimes, one tape."""

from __future__ import annotations

from collections.abc import Mapping

from sparsenet.errors import MemoryLimitError
from sparsenet.graph import Graph, Shape, TensorInfo
from sparsenet.graph.plannable import require_plannable
from sparsenet.limits import require_memory
from sparsenet.plan.assemble import Step, encode_tape, pack_constants, require_declared
from sparsenet.plan.builder import FLOAT_PLAIN, Builder, Halo, Options
from sparsenet.plan.layout import Plain, flattened_pitch
from sparsenet.plan.lowering.tables import Tables, tables_of
from sparsenet.plan.plan import Plan
from sparsenet.plan.ref import Ref
from sparsenet.plan.rings import arena_end
from sparsenet.plan.segments import cut
from sparsenet.plan.shares import Shares
from sparsenet.plan.stage import Value
from sparsenet.plan.trace import Trace, trace
from sparsenet.targets.abi import ARENA, FIRST_TENSOR, MAX_TENSORS, WEIGHTS, encode_pointer
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Target


def make_plan(graph: Graph, options: Options) -> Plan:
    """Plan ``graph`` for one image at a time on ``options.target``.

    Raises:
        GraphError: the graph is malformed.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
    """
    facts = graph.verify()
    shapes, results = facts.shapes, [*facts.output_infos, *facts.count_infos]
    require_plannable(graph, shapes)
    tensors = len(graph.inputs) + len(results)
    if tensors > MAX_TENSORS:
        raise MemoryLimitError(f"the graph has {tensors:,} inputs and outputs, the limit is {MAX_TENSORS:,}")
    tables = tables_of(options.target)
    halos = _halos(graph, shapes, tables)
    pitches = _pitches(graph, shapes, halos, options.target)
    builder = Builder(graph, shapes, options, halos, pitches, tables.READS)
    for index, info in enumerate(graph.inputs):
        given = Value(info.name, builder.plain_layout(info.name), Ref("input", index))
        builder.put(info.name, given)
    integers = _integers(graph, shapes, tables)
    for node in graph.nodes:
        builder.layer = node.name
        builder.in_bytes = node.name in integers
        (tables.INTEGER if builder.in_bytes else tables.LOWER)[node.op](builder, node)
    builder.in_bytes = False
    builder.layer = "output"
    read = {need[0].root for stage in builder.stages for need in stage.needs(0, stage.units)}
    for index, info in enumerate(results):  # the outputs, then their dynamic lengths
        _place_output(builder, index, info.name, read)
    segments = cut(builder.stages, options.stream, options.target)
    shares = Shares(segments, options.threads)
    for stage in builder.stages:
        stage.pack(builder, shares.all_blocks(stage))
    return _assemble(builder, trace(segments, shares, options.rings), results)


def _integers(graph: Graph, shapes: Mapping[str, Shape], tables: Tables) -> set[str]:
    """The names of the nodes that the target computes in integers."""
    if not graph.quantization:
        return set()
    from sparsenet.graph.integer import integer_nodes  # only here: no other network waits for it

    able = integer_nodes(graph, shapes)
    return {node.name for node in graph.nodes if node.name in able and node.op in tables.INTEGER}


def _halos(graph: Graph, shapes: Mapping[str, Shape], tables: Tables) -> dict[str, Halo]:
    """The halo that each tensor's readers need where their windows read it in place."""
    halos: dict[str, Halo] = {}
    for node in graph.nodes:
        if node.op in tables.HALOS:
            x, halo = node.inputs[0], tables.HALOS[node.op](graph, shapes, node)
            rows_above, rows_below, columns = map(max, halos.get(x, (0, 0, 0)), halo)
            halos[x] = rows_above, rows_below, columns
    return halos


def _pitches(
    graph: Graph, shapes: Mapping[str, Shape], halos: Mapping[str, Halo], target: Target
) -> dict[tuple[int, int], int]:
    """Pitch of every size of map that is better flattened: those with half-empty vectors that are not streamed."""
    vector = target.vector()
    sides: dict[tuple[int, int], int] = {}
    large: set[tuple[int, int]] = set()
    for tensor, shape in shapes.items():
        if len(shape) != 4 or tensor in graph.constants:
            continue
        channels, height, width = (int(d or 0) for d in shape[1:])
        sides[height, width] = max(sides.get((height, width), 0), halos.get(tensor, (0, 0, 0))[2])
        if channels * height * width * vector.element.itemsize >= 2 * target.whole_map_bytes:
            large.add((height, width))
    pitches = {
        size: flattened_pitch(vector, *size, side) for size, side in sides.items() if size not in large
    }
    return {size: pitch for size, pitch in pitches.items() if pitch}


def _place_output(builder: Builder, index: int, name: str, read: set[Value]) -> None:
    """Make an output in the caller's array, or copy it there; ``read`` are the values that a stage reads."""
    place = Ref("output", index)
    if _made_in_place(builder, name, place, read):
        return
    source = builder.source(name, FLOAT_PLAIN)
    read.add(source.root)
    builder.cast(name, source, Value(name, builder.plain_layout(name), place))


def _made_in_place(builder: Builder, name: str, place: Ref, read: set[Value]) -> bool:
    """Let the stage that makes an output write it to the caller's array, if nothing else reads it; whether it does."""
    value = builder.get(name, Plain)
    if value is None or value.root.fixed is not None or value.root in read:
        return False
    root = value.root
    if root.producer is None or not root.producer.exact:
        return False
    root.fixed = place
    return True


def _assemble(builder: Builder, result: Trace, results: list[TensorInfo]) -> Plan:
    arena_bytes, rings = result.memory.arrange()
    require_memory(arena_end(arena_bytes, rings), "working memory of the network")
    weights, weight_offsets = pack_constants(builder.constants)
    inputs = len(builder.graph.inputs)

    starts = {("weights", i): (WEIGHTS, offset) for i, offset in enumerate(weight_offsets)}
    starts |= {("arena", i): (ARENA, buffer.offset) for i, buffer in enumerate(result.memory.buffers)}
    starts |= {("ring", i): (ARENA, ring.start) for i, ring in enumerate(rings)}
    starts |= {("input", i): (FIRST_TENSOR + i, 0) for i in range(inputs)}
    starts |= {("output", i): (FIRST_TENSOR + inputs + i, 0) for i in range(len(results))}

    def place(ref: Ref) -> int:
        base, start = starts[ref.space, ref.index]
        return encode_pointer(base, start + ref.offset)

    calls = {step.kernel: step for steps in reversed(result.tapes) for step in reversed(steps)}
    require_declared(calls.values(), builder.constants)
    return Plan(
        [encode_tape(steps, place) for steps in result.tapes],
        [[step.kernel for step in steps] for steps in result.tapes],
        [[step.layer for step in steps] for steps in result.tapes],
        result.ends,
        weights,
        arena_bytes,
        rings,
        builder.decisions,
        result.segments,
        list(builder.graph.inputs),
        results,
        _pointers(calls),
        len(results) - len(builder.graph.outputs),
    )


def _pointers(calls: Mapping[Kernel, Step]) -> dict[Kernel, tuple[int, ...]]:
    """Which arguments of every kernel are pointers; ``calls`` has one step of each kernel."""
    return {
        kernel: tuple(i for i, name in enumerate(kernel.arguments) if isinstance(step.arguments[name], Ref))
        for kernel, step in calls.items()
    }
