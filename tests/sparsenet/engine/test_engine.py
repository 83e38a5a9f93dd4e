"""The Engine's face: inputs and errors, batches, threads, concurrent calls, NaN, profile and explain."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, reference
from sparsenet.errors import GraphError, InputError
from sparsenet.targets.cpu.runtime.threads import available_cpus
from sparsenet.targets.host import host
from tests.sparsenet.against_reference import assert_engine_matches, random_feeds
from tests.sparsenet.sample_graphs import minixception


def residual_graph(size: int = 18, sparsity: float = 0.8) -> Graph:
    """Stem, residual block with a strided branch, pooling, classifier: every layout meets every other."""
    rng = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        w[rng.random(shape) < sparsity] = 0
        return w

    same = {"padding": [1, 1, 1, 1]}
    strided = {"padding": [1, 1, 1, 1], "stride": [2, 2]}
    nodes = [
        Node("conv2d", "stem", ["x", "stem.w", "stem.b"], ["a"], {**strided, "epilogue": [["relu"]]}),
        Node("conv2d", "dw", ["a", "dw.w"], ["b"], {**same, "groups": 8}),
        Node("conv2d", "pw", ["b", "pw.w", "", "a"], ["c"], {"epilogue": [["add"], ["relu"]]}),
        Node("max_pool2d", "pool", ["c"], ["d"], {"kernel": [3, 3], **strided}),
        Node("conv2d", "skip", ["a", "skip.w", "", "d"], ["e"], {"stride": [2, 2], "epilogue": [["add"]]}),
        Node("global_avg_pool2d", "gap", ["e"], ["f"]),
        Node("flatten", "flat", ["f"], ["g"]),
        Node("linear", "fc", ["g", "fc.w", "fc.b"], ["y"]),
    ]
    constants = {
        "stem.w": weight(8, 3, 3, 3), "stem.b": weight(8), "dw.w": rng.standard_normal((8, 1, 3, 3)).astype(np.float32),
        "pw.w": weight(8, 8, 1, 1), "skip.w": weight(8, 8, 1, 1), "fc.w": weight(4, 8), "fc.b": weight(4),
    }  # fmt: skip
    graph = Graph("residual", [TensorInfo("x", (None, 3, size, size))], ["y"], nodes, constants)
    graph.verify()
    return graph


def every_layer(graph: Graph) -> Graph:
    """The same graph with every node's result as an output: a wrong layer cannot hide behind a right one."""
    shown = graph.copy()
    shown.outputs = [node.output for node in shown.nodes]
    return shown


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
def test_every_layer_of_a_network(threads: int, sparse: bool) -> None:
    assert_engine_matches(every_layer(residual_graph()), threads=threads, sparse=sparse, batch=3)
    assert_engine_matches(residual_graph(37), threads=threads, sparse=sparse)


@pytest.mark.parametrize("lanes", [16, 8, 4])
def test_every_vector_length(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_LANES", str(lanes))
    host.cache_clear()
    try:
        engine = assert_engine_matches(every_layer(residual_graph(37)))
        assert max(kernel.lanes for kernel in engine.plan.kernels[0]) <= lanes
        assert_engine_matches(every_layer(residual_graph(37)), sparse=False)
    finally:
        monkeypatch.undo()
        host.cache_clear()


def test_minixception_matches_the_oracle() -> None:
    graph = minixception((128,), 0.8)
    graph.inputs[0] = TensorInfo("input", (None, 3, 64, 64))
    assert_engine_matches(graph)


def test_outputs_come_in_order_and_by_name() -> None:
    graph = residual_graph()
    graph.outputs = ["y", "f"]
    engine = Engine(graph, 1)
    x = random_feeds(graph)["x"]
    result = engine(x)
    assert isinstance(result, tuple)
    assert [array.shape for array in result] == [(1, 4), (1, 8, 1, 1)]
    assert list(engine.run({"x": x})) == ["y", "f"]
    assert [(info.name, info.shape) for info in engine.outputs] == [("y", (None, 4)), ("f", (None, 8, 1, 1))]
    assert engine.inputs[0].name == "x"
    np.testing.assert_array_equal(result[0], engine.run({"x": x})["y"])


def test_empty_batch() -> None:
    engine = Engine(residual_graph(), 1)
    y = engine(np.zeros((0, 3, 18, 18), np.float32))
    assert isinstance(y, np.ndarray)
    assert y.shape == (0, 4)


def test_inputs_need_not_be_contiguous() -> None:
    engine = Engine(residual_graph(), 1)
    x = random_feeds(residual_graph())["x"]
    flipped = np.ascontiguousarray(x[:, :, :, ::-1])[:, :, :, ::-1]
    np.testing.assert_array_equal(engine(flipped), engine(x))


@pytest.mark.parametrize(
    "feeds, message",
    [
        ({}, "input 'x' is missing; the model's inputs are: x"),
        ({"z": np.zeros((1, 3, 18, 18), np.float32)}, "unknown input 'z'; the model's inputs are: x"),
        (
            {"x": np.zeros((1, 3, 18, 17), np.float32)},
            r"input 'x' must have shape \(N, 3, 18, 18\), got \(1, 3, 18, 17\)",
        ),
        ({"x": np.zeros((3, 18, 18), np.float32)}, r"must have shape \(N, 3, 18, 18\), got \(3, 18, 18\)"),
        ({"x": np.zeros((1, 3, 18, 18))}, "input 'x' must be float32, got float64"),
        ({"x": [[0.0]]}, "input 'x' must be a NumPy array, got list"),
    ],
)
def test_bad_inputs(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Engine(residual_graph(), 1).run(feeds)


def test_maps_beyond_the_reach_of_kernels_are_refused() -> None:
    graph = Graph(
        "huge",
        [TensorInfo("x", (None, 1, 40_000, 20_000))],
        ["y"],
        [Node("softmax", "big", ["x"], ["y"], {"axis": 1})],
    )
    with pytest.raises(GraphError, match=r"layer 'big' needs a buffer of .* bytes; the limit is 2 GiB"):
        Engine(graph, 1)


def test_wrong_number_of_inputs_and_threads() -> None:
    with pytest.raises(InputError, match="expected 1 inputs, got 0"):
        Engine(residual_graph(), 1)()
    with pytest.raises(InputError, match="threads must be at least 1 and at most 1024, got 0"):
        Engine(residual_graph(), 0)


def test_nan_comes_out_as_nan_or_is_refused() -> None:
    graph = residual_graph(sparsity=0.0)
    engine = Engine(graph, 1)
    x = random_feeds(graph)["x"]
    x[0, 0, 9, 9] = np.nan
    assert np.isnan(engine(x)).all()
    with pytest.raises(InputError, match="input 'x' holds NaN or infinity"):
        engine.run({"x": x}, check_finite=True)


@pytest.mark.parametrize(
    "op", ["relu", "clip", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_swish", "max_pool2d"]
)
def test_nan_survives_every_activation(op: str) -> None:
    attrs: dict[str, object] = {
        "clip": {"min": 0.0, "max": 6.0},
        "max_pool2d": {"kernel": [1, 1], "stride": [1, 1]},
    }.get(op, {})  # type: ignore[assignment]
    graph = Graph(
        "one", [TensorInfo("x", (None, 1, 2, 40))], ["y"], [Node(op, "n", ["x"], ["y"], dict(attrs))]
    )
    x = np.zeros((1, 1, 2, 40), np.float32)
    x[0, 0, 0, 5] = x[0, 0, 1, 39] = np.nan
    y = Engine(graph, 1)(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@pytest.mark.parametrize("threads", [1, 2])
def test_concurrent_calls(threads: int) -> None:
    graph = residual_graph()
    engine = Engine(graph, threads)
    inputs = [random_feeds(graph, seed=seed)["x"] for seed in range(8)]
    expected = [engine(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for round_ in range(5):
            for got, want in zip(pool.map(engine, inputs), expected, strict=True):
                np.testing.assert_array_equal(got, want, err_msg=f"round {round_}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_works_after_fork() -> None:
    graph = residual_graph()
    engine = Engine(graph, 2)
    x = random_feeds(graph)["x"]
    expected = engine(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(engine(x), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_closed_engine_starts_its_threads_again() -> None:
    engine = Engine(residual_graph(), 2)
    x = random_feeds(residual_graph())["x"]
    expected = engine(x)
    engine.close()
    np.testing.assert_array_equal(engine(x), expected)


def test_forgotten_engines_take_their_threads_along() -> None:
    before = threading.active_count()
    for _ in range(3):
        Engine(residual_graph(), 3)
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("sparsenet-"):
            thread.join(timeout=5)
    assert threading.active_count() <= before


def test_profile_names_every_layer() -> None:
    graph = residual_graph()
    engine = Engine(graph, 1)
    layers = engine.profile(random_feeds(graph)["x"], runs=3)
    by_name = {layer.layer: layer for layer in layers}
    assert {"stem", "dw", "pw", "pool", "skip", "gap", "fc"} <= set(by_name)
    assert sum(layer.share for layer in layers) == pytest.approx(1)
    pointwise = by_name["pw"]
    assert pointwise.nnz == np.count_nonzero(graph.constants["pw.w"])
    assert pointwise.density == pytest.approx(pointwise.nnz / 64)
    assert pointwise.gops == pytest.approx(2 * pointwise.nnz * 81 / (pointwise.ms * 1e6))


def test_explain_gives_format_kernel_and_reason() -> None:
    graph = residual_graph()
    choices = {choice.layer: choice for choice in Engine(graph, 1).explain()}
    assert choices["pw"].format == "csr"
    assert "zeros" in choices["pw"].reason
    assert choices["dw"].format == "dense"
    dense = {choice.layer: choice for choice in Engine(graph, 1, sparse=False).explain()}
    assert dense["pw"].format == "dense"
    assert dense["pw"].reason == "only dense kernels were asked for"


def test_load_and_timings(tmp_path: Path) -> None:
    graph = residual_graph()
    sparsenet.save(graph, tmp_path / "m.safetensors")
    engine = sparsenet.load(tmp_path / "m.safetensors", threads=1)
    x = random_feeds(graph)["x"]
    np.testing.assert_allclose(engine(x), reference.run(graph, {"x": x})["y"], rtol=1e-4, atol=1e-5)
    assert engine.timings.load > 0
    assert engine.timings.plan > 0
    assert engine.warmup() > 0


def test_steady_runs_allocate_no_arena() -> None:
    engine = Engine(residual_graph(), 1)
    x = random_feeds(residual_graph())["x"]
    engine(x)
    arenas = {context.arena.address for context in engine._backend.own.idle}
    for _ in range(3):
        engine(x)
    assert {context.arena.address for context in engine._backend.own.idle} == arenas


@pytest.mark.skipif(sys.platform != "linux", reason="affinity masks are Linux's")
def test_threads_follow_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
