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

from sparsenet.engine import Engine
from sparsenet.errors import GraphError, InputError, SparsenetError, UnsupportedOpError
from sparsenet.graph import Graph
from sparsenet.graph.counts import count_layers, total
from sparsenet.graph.partial import cut
from sparsenet.io.model_file import deserialize
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.reference.oracle import compute, run_node
from sparsenet.text.one_line import LONGEST
from tests.fuzz.cost import Meter

#: A network within these is also run; the slow oracle is what limits them.
MOST_VALUES, MOST_MACS = 2**17, 2**22
#: Beyond, float32 overflows somewhere, or loses what float64 keeps.
LARGEST_COMPARED = 1e25


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
            message = str(error)
            if not message.isprintable() or len(message) > LONGEST:
                raise MismatchError(f"not one clear line: {message[:300]!r}") from error
            return f"refused: {type(error).__name__}"


def compare(graph: Graph, optimized: Graph, threads: int | None = None) -> str:
    """Plan ``optimized``, run it unless it is large, and hold it against the oracle's ``graph``.

    ``threads``: by default one, and two for some networks.
    """
    engine = Engine(optimized, threads or (2 if len(graph.nodes) % 5 == 2 else 1))
    try:
        if _work(graph) > 1:
            return "planned, too large to run"
        feeds = _feeds(graph, 0.0)
        got = engine.run(feeds)
        again = engine.run(feeds)
        _run_elsewhere(graph, engine)
    finally:
        engine.close()
    whole, near = (compute(graph, f, keep="all") for f in (feeds, _feeds(graph, 1e-6)))
    tame = all(np.abs(array).max(initial=0) < LARGEST_COMPARED for array in whole.values())  # False for NaN
    rounded = _rounded(graph, feeds)
    # What could be integers may be computed in float32: then it is a step of a grid away.
    step = max(
        (float(grid.scale.max()) for grid in graph.quantization.values() if grid.axis is None), default=0.0
    )
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
        allowed = allowed + 4 * step
        if not (np.abs(mine - right) <= allowed).all() or not np.isnan(got[name][padding]).all():
            worst = float(np.abs(mine - right).max(initial=0))
            raise MismatchError(
                f"'{name}' is off by {worst:.3g} of {float(np.abs(right).max(initial=0)):.3g}"
            )
    return "ran" if tame else "ran, beyond float32"


def _run_elsewhere(graph: Graph, engine: Engine) -> None:
    """Where sizes are open, run a larger one: it must fit the network, or be refused."""
    shapes = {
        info.name: tuple(d + info.step if d and i in info.open else d for i, d in enumerate(info.shape))
        for info in graph.inputs
    }
    if any(info.open for info in graph.inputs):
        feeds = _feeds(replace(graph, inputs=[replace(i, shape=shapes[i.name]) for i in graph.inputs]), 0.0)
        try:
            other = graph.at_shapes(shapes)
            if other.verify() and _work(other) > 1:
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
    values = {**graph.constants, **feeds}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [values[name].astype(np.float64) if name else None for name in node.inputs]
            values[node.output] = run_node(node, inputs).astype(np.float32)
    return values


def _feeds(graph: Graph, change: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    noise = np.random.default_rng(1)
    feeds = {}
    for info in graph.inputs:
        x = rng.standard_normal((2, *(int(d or 0) for d in info.shape[1:])), np.float32)
        feeds[info.name] = (x * (1 + change * noise.standard_normal(x.shape))).astype(np.float32)
    return feeds


def _work(graph: Graph) -> float:
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
