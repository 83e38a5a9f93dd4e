"""What may happen to a file from a stranger: a typed error in one line, or a network that computes what it says.

Everything else is an exception here, and with it a finding: any other exception, a wrong number, an endless message.
A crash, a hang or too much memory the campaign sees from outside.
"""

from __future__ import annotations

import math
import re
import warnings
from ast import literal_eval
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from converters.conversion.apart import layers_apart
from converters.conversion.in_steps import Steps, is_rounded, lost_roundings
from converters.conversion.verdict import SAME
from sparsenet.engine import Engine
from sparsenet.errors import GraphError, InputError, SparsenetError, UnsupportedOpError
from sparsenet.graph import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.partial import cut
from sparsenet.io.model_file import deserialize
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.reference.oracle import compute, run_node, runner
from sparsenet.text.one_line import LONGEST
from tests.fuzz.cost import Meter

#: A network within these is also run; the slow oracle is what limits them.
MOST_VALUES, MOST_MACS = 2**17, 2**22
#: Beyond, float32 overflows somewhere, or loses what float64 keeps.
LARGEST_COMPARED = 1e25
#: How near a number is to the edge between two steps if float32 may take it across, of the largest of its tensor.
EDGE = 2e-6


class MismatchError(Exception):
    """The engine computed something else than the oracle."""


def check_model_file(data: bytes, run: bool = True) -> str:
    """What happened to a model file, in a word; ``run``: whether a network in it is planned and run, too."""
    return _outcome(lambda: deserialize(data)[0], lambda graph: graph, run, len(data))


def check_onnx(data: bytes, run: bool = True) -> str:
    """The same for an ONNX file: what all passes made of the network must still be the imported one."""
    from converters import from_onnx, passes

    def read(**sizes: Any) -> Graph:
        try:
            return from_onnx(data, optimize=False, **sizes)
        except InputError as error:
            shapes = [literal_eval(found) for found in re.findall(r"\(shapes=(\{.*?\})\)", str(error))]
            if not shapes or sizes:
                raise
            return read(shapes={name: shape for of_one in shapes for name, shape in of_one.items()})
        except UnsupportedOpError as error:
            if "batch='fixed'" not in str(error) or "batch" in sizes:
                raise
            return read(batch="fixed", **sizes)

    return _outcome(read, passes.optimize, run, len(data))


def _outcome(read: Callable[[], Graph], optimize: Callable[[Graph], Graph], run: bool, size: int) -> str:
    meter, graph = Meter(size), None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            graph = read()
            graph.verify()
            optimized = optimize(graph)
            make_plan(optimized, Options())
            meter.check(graph)
            return compare(graph, optimized) if run else "loaded"
        except SparsenetError as error:
            meter.check(graph)
            is_clear(error)
            return f"refused: {type(error).__name__}"


def is_clear(error: SparsenetError) -> None:
    """Raise MismatchError unless what an error says is one clear line."""
    message = str(error)
    if not message.isprintable() or len(message) > LONGEST:
        raise MismatchError(f"not one clear line: {message[:300]!r}") from error


def compare(graph: Graph, optimized: Graph, threads: int | None = None) -> str:
    """Plan ``optimized``, run it unless it is large, and hold it against the oracle's ``graph``.

    Where tensors are rounded, a change far too small to see moves some by a step, and what follows by more. So the
    engine is held against the oracle's ``optimized`` then, whose bytes it must give: a step is allowed for only where
    float32 is rounded. What passes did to the network is looked at layer by layer.

    ``threads``: by default one, and two for some networks.
    """
    engine = Engine(optimized, threads or (2 if len(graph.nodes) % 5 == 2 else 1))
    try:
        if work(graph) > 1:
            return "planned, too large to run"
        feeds = feeds_of(graph, 0.0)
        got = engine.run(feeds)
        again = engine.run(feeds)
        _run_elsewhere(graph, engine)
    finally:
        engine.close()
    if is_rounded(graph) and optimized is not graph:
        compare_layers(graph, optimized, feeds)
        graph = optimized
    whole, near = (compute(graph, f, keep="all") for f in (feeds, feeds_of(graph, 1e-6)))
    tame = all(np.abs(array).max(initial=0) < LARGEST_COMPARED for array in whole.values())  # False for NaN
    rounded, step = _rounded(graph, feeds), _step_on_the_edge(graph, whole)
    want, moved, single = (
        cut({**graph.constants, **v}, graph.output_infos()) for v in (whole, near, rounded)
    )
    for name in graph.outputs:
        if not want[name].shape == moved[name].shape == single[name].shape:
            continue  # on the edge between as many rows and one more
        if got[name].shape != want[name].shape:
            raise MismatchError(f"'{name}' has shape {got[name].shape}, expected {want[name].shape}")
        if not np.array_equal(got[name], again[name], equal_nan=True):
            raise MismatchError(f"'{name}' differs between two runs")
        if not tame:
            continue
        # Where tiny changes of the input change much, float32 cannot be as exact.
        padding = np.isnan(want[name])
        mine, right, *others = (np.where(padding, 0, values[name]) for values in (got, want, moved, single))
        allowed = 1e-4 * np.abs(right).max(initial=0) + 1e-30
        allowed = allowed + 100 * np.maximum(*(np.abs(right - other) for other in others))
        allowed = allowed + step
        if not (np.abs(mine - right) <= allowed).all() or not np.isnan(got[name][padding]).all():
            worst = float(np.abs(mine - right).max(initial=0))
            raise MismatchError(
                f"'{name}' is off by {worst:.3g} of {float(np.abs(right).max(initial=0)):.3g}"
            )
    return "ran" if tame else "ran, beyond float32"


def _step_on_the_edge(graph: Graph, values: dict[str, np.ndarray]) -> float:
    """The largest step that a number computed in float32 may take to the other side, being on an edge between two.

    Infinite where that is the node ``round``, of which nobody knows what follows. Of 4,000 changed networks that ran,
    one had a number for which the engine and the oracle took other steps.
    """
    integers, makers = integer_nodes(graph, graph.shapes()), {node.output: node.name for node in graph.nodes}
    rounded = {
        name: float(graph.quantization[name].scale)
        for node in graph.nodes
        if node.name in integers
        for name in node.inputs
        if name in makers and makers[name] not in integers
    }
    edges = [scale for name, scale in rounded.items() if _is_on_an_edge(values[name], scale)]
    rounds = (node.inputs[0] for node in graph.nodes if node.op == "round")
    if any(name in values and _is_on_an_edge(values[name], 1.0) for name in rounds):
        return math.inf
    return max(edges, default=0.0)


def _is_on_an_edge(array: np.ndarray, scale: float) -> bool:
    """Whether a number is so near to the edge between two steps that float32 may take it across."""
    array = np.nan_to_num(array.astype(np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        steps = array / scale
        to_edge = np.abs(np.abs(steps - np.rint(steps)) - 0.5) * scale
    return bool((to_edge <= EDGE * np.abs(array).max(initial=0)).any())


def compare_layers(graph: Graph, optimized: Graph, feeds: dict[str, np.ndarray]) -> None:
    """Hold the rounded layers of ``optimized``, each with what ``graph`` has in front of it, against ``graph``."""
    values = _on_grids(graph, feeds)
    if not all(np.abs(array).max(initial=0) < LARGEST_COMPARED for array in values.values()):
        return
    given = {info.name: values[info.name] for info in graph.inputs}
    apart, lost = layers_apart(optimized, given, values), lost_roundings(graph, optimized)
    made = compute(apart.graph, apart.feeds, keep="all")
    for node in optimized.nodes:
        name, got = node.output, made[apart.results[node.output]]
        grid = graph.quantization.get(name)
        if grid is None or name not in values or got.shape != values[name].shape:
            continue
        verdict, allowed = Steps(grid, values[name], None, lost.get(name, ()), values).judge(got)
        if verdict != SAME:
            raise MismatchError(
                f"'{name}' is more than {allowed / float(grid.scale):.0f} steps off after passes"
            )


def _run_elsewhere(graph: Graph, engine: Engine) -> None:
    """Where sizes are open, run a larger one: it must fit the network, or be refused."""
    shapes = {
        info.name: tuple(d + info.step if d and i in info.open else d for i, d in enumerate(info.shape))
        for info in graph.inputs
    }
    if any(info.open for info in graph.inputs):
        feeds = feeds_of(replace(graph, inputs=[replace(i, shape=shapes[i.name]) for i in graph.inputs]), 0.0)
        try:
            other = graph.at_shapes(shapes)
            if other.verify() and work(other) > 1:
                return
        except GraphError:
            with suppress(InputError):
                engine.run(feeds)
                raise MismatchError("a size is taken that does not fit") from None
            return
        infos = [info for info in other.output_infos() if info.partial is None]
        got = engine.run(feeds)
        if any(got[info.name].shape[1:] != info.shape[1:] for info in infos):
            raise MismatchError("a result has not the shape that belongs to a larger size")


def _rounded(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the oracle makes of it if every tensor is float32: where numbers become equal, others are chosen."""
    values, run_one = {**graph.constants, **feeds}, runner(graph)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [values[name].astype(np.float64) if name else None for name in node.inputs]
            values[node.output] = run_one(node, inputs).astype(np.float32)
    return values


def _on_grids(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the network means: every tensor with a grid is rounded to it, whoever reads it."""

    def meant(name: str, value: np.ndarray) -> np.ndarray:
        grid = graph.quantization.get(name)
        return (
            value.astype(np.float32) if grid is None else grid.numbers(grid.round(value.astype(np.float32)))
        )

    values = {**graph.constants} | {name: meant(name, value) for name, value in feeds.items()}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [values[name].astype(np.float64) if name else None for name in node.inputs]
            values[node.output] = meant(node.output, run_node(node, inputs))
    return values


def feeds_of(graph: Graph, change: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    noise = np.random.default_rng(1)
    feeds = {}
    for info in graph.inputs:
        x = rng.standard_normal((2, *(int(d or 0) for d in info.shape[1:])), np.float32)
        feeds[info.name] = (x * (1 + change * noise.standard_normal(x.shape))).astype(np.float32)
    return feeds


def work(graph: Graph) -> float:
    """How much there is to compute, 1 being the most that is run here."""
    values = sum(math.prod(int(d or 1) for d in shape) for shape in graph.shapes().values())
    windows = 0
    shapes = graph.shapes()
    for node in graph.nodes:
        if node.op in ("max_pool2d", "avg_pool2d"):
            size = math.prod(int(d or 1) for d in shapes[node.output])
            windows += size * math.prod(node.attrs["kernel"])
        if node.op == "nms":
            windows += math.prod(int(d or 1) for d in shapes[node.inputs[1]]) * min(
                shapes[node.inputs[1]][-1] or 1, node.attrs["count"]
            )
        windows += sum(_padded(node.attrs, shapes[node.inputs[0]]) for _ in node.inputs[:1])
    return max(values / MOST_VALUES, (total(count_layers(graph)).macs + windows) / MOST_MACS)


def _padded(attrs: dict[str, object], shape: tuple[int | None, ...]) -> int:
    """Values of a node's input with its padding, which the oracle writes out."""
    padding = attrs.get("padding")
    if not isinstance(padding, list) or len(padding) != 4 or len(shape) != 4:
        return 0
    channels, height, width = (int(d or 0) for d in shape[1:])
    return channels * (height + padding[0] + padding[2]) * (width + padding[1] + padding[3])
