"""One layer in both engines, free of what changing layouts costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.engines import ENGINES, Network
from bench.engines.forced import forced_engine
from bench.measure.agreement import check_outputs
from bench.subjects.chain import chain, convolution
from bench.subjects.layers import LayerShape
from sparsenet.timing import PROCESS, Samples, interleaved

SHAPES = [
    convolution(128, 128, 64),
    convolution(256, 256, 32),
    convolution(256, 1024, 16),
    convolution(64, 128, 56),
    convolution(128, 128, 56),
    convolution(256, 256, 28),
    convolution(512, 512, 14),
    convolution(1024, 1024, 7),
    convolution(64, 256, 56),
    convolution(128, 512, 28),
    convolution(256, 1024, 14),
    convolution(512, 2048, 7),
    convolution(64, 64, 56, 3),
    convolution(128, 128, 28, 3),
    convolution(256, 256, 14, 3),
    convolution(512, 512, 7, 3),
    convolution(32, 64, 62, 3),
    convolution(256, 256, 62, 3),
    convolution(728, 728, 19),
    convolution(728, 1024, 10),
    convolution(3, 32, 256, 3, 2),
    convolution(3, 32, 224, 3, 2),
    convolution(3, 64, 224, 7, 2),
]


@dataclass(frozen=True)
class Pair:
    """One layer in ONNX Runtime and in our engine, one thread.

    Attributes:
        layer: its name.
        ort_ms, ours_ms: processor time.
        ort_gflops, ours_gflops: 1e9 operations per second, two per multiply-add.
        speedup: how many times as long ONNX Runtime took.
        tiles: what our kernels computed at a time.
    """

    layer: str
    ort_ms: float
    ours_ms: float
    ort_gflops: float
    ours_gflops: float
    speedup: float
    tiles: str


def race(shape: LayerShape, rounds: int) -> Pair:
    """Both engines' time of one layer.

    Raises:
        SparsenetError: they do not agree.
    """
    stem = shape.stride > 1
    pair = [shape] if stem else [shape, convolution(shape.c_out, shape.c_in, shape.size, shape.kernel)]
    graphs = [chain(pair, stem)] if stem else [chain(pair, False), chain([*pair, *pair], False)]
    networks = [Network(graph) for graph in graphs]
    x = networks[0].example(1)
    engines = [forced_engine(graph, "dense") for graph in graphs]
    sessions = [ENGINES["ort"].prepare(network, 1) for network in networks]
    check_outputs({"ort": sessions[0](x), "ours": [np.asarray(engines[0](x))]}, shape.name)
    calls: dict[str, Callable[[], object]] = {}
    for i, (engine, session) in enumerate(zip(engines, sessions, strict=True)):
        calls |= {f"ours{i}": partial(engine, x), f"ort{i}": partial(session.run, x)}
    taken = interleaved(calls, rounds, PROCESS)
    samples = dict(zip(calls, taken.seconds(*calls), strict=True))
    kernels = [choice.kernel.split("__cpu_")[1] for choice in engines[0].explain() if choice.op == "conv2d"]
    ort, ours = (_layer_seconds(samples, name, stem) for name in ("ort", "ours"))
    for close in [opened.close for opened in engines] + [opened.close for opened in networks]:
        close()
    return Pair(
        shape.name, ort * 1e3, ours * 1e3, shape.flops / ort / 1e9, shape.flops / ours / 1e9, ort / ours,
        " ".join(dict.fromkeys(kernels)),
    )  # fmt: skip


def _layer_seconds(samples: dict[str, Samples], name: str, stem: bool) -> float:
    first = _typical(samples[f"{name}0"])
    return first if stem else (_typical(samples[f"{name}1"]) - first) / 2


def _typical(samples: Samples) -> float:
    """The first quartile: neighbours on the machine only ever add time."""
    return float(np.quantile(samples, 0.25))
