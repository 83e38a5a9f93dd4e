"""The trace of asking: any schedule, with rings, sliding windows or whole maps, gives the oracle's results."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.engine import Engine
from sparsenet.errors import MemoryLimitError
from sparsenet.plan import segments
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.targets.abi import MAX_TENSORS
from sparsenet.targets.cpu.runtime.backend import CpuBackend
from sparsenet.targets.cpu.runtime.threads import WorkerPool
from sparsenet.targets.host import host, rings_available
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.sample_graphs import minixception


def network(size: int = 40) -> Graph:
    """Strides, dilation, two branches, a residual, pooling with overlap, concat, upsampling, two outputs."""
    rng = np.random.default_rng(5)

    def weight(*shape: int, zeros: float = 0.7) -> np.ndarray:
        w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        w[rng.random(shape) < zeros] = 0
        return w

    same = {"padding": [1, 1, 1, 1]}
    nodes = [
        Node("conv2d", "stem", ["x", "w0"], ["a"], {**same, "stride": [2, 2], "epilogue": [["relu"]]}),
        Node("conv2d", "wide", ["a", "w1"], ["b"], {"padding": [2, 2, 2, 2], "dilation": [2, 2]}),
        Node("conv2d", "dw", ["b", "w2"], ["c"], {**same, "groups": 12}),
        Node("conv2d", "pw", ["c", "w3", "", "b"], ["d"], {"epilogue": [["add"], ["relu"]]}),
        Node("max_pool2d", "pool", ["d"], ["e"], {"kernel": [3, 3], **same, "stride": [2, 2]}),
        Node(
            "avg_pool2d", "mean", ["d"], ["f"], {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0, 0, 0]}
        ),
        Node("concat", "cat", ["e", "f"], ["g"], {"axis": 1}),
        Node("conv2d", "down", ["g", "w4"], ["h"], {**same, "stride": [2, 2]}),
        Node("conv2d", "square", ["h", "w5"], ["i"], same),
        Node("resize", "up", ["i"], ["j"], {"size": [size // 4, size // 4], "mode": "nearest"}),
        Node("add", "sum", ["j", "e"], ["k"]),
        Node("global_avg_pool2d", "gap", ["k"], ["l"]),
    ]
    constants = {
        "w0": weight(12, 3, 3, 3, zeros=0), "w1": weight(12, 12, 3, 3), "w2": weight(12, 1, 3, 3, zeros=0),
        "w3": weight(12, 12, 1, 1), "w4": weight(12, 24, 3, 3), "w5": weight(12, 12, 3, 3, zeros=0.3),
    }  # fmt: skip
    graph = Graph("network", [TensorInfo("x", (None, 3, size, size))], ["l", "k"], nodes, constants)
    graph.verify()
    return graph


def skip(size: int) -> Graph:
    """A large map that is read where it is made, with the pixels around it, and again after a small one."""
    rng = np.random.default_rng(6)
    same = {"padding": [1, 1, 1, 1]}
    nodes = [
        Node("conv2d", "stem", ["x", "w0"], ["a"], same),
        Node("conv2d", "down", ["a", "w1"], ["b"], {**same, "stride": [2, 2], "groups": 12}),
        Node("resize", "up", ["b"], ["c"], {"size": [size, size], "mode": "nearest"}),
        Node("add", "sum", ["c", "a"], ["d"]),
    ]
    constants = {
        "w0": rng.standard_normal((12, 3, 3, 3)).astype(np.float32),
        "w1": rng.standard_normal((12, 1, 3, 3)).astype(np.float32),
    }
    graph = Graph("skip", [TensorInfo("x", (None, 3, size, size))], ["d"], nodes, constants)
    graph.verify()
    return graph


#: No map is small enough to be left whole.
EVERYTHING_STREAMS = replace(host(), whole_map_bytes=0)


def planned(graph: Graph, options: Options) -> Engine:
    engine = Engine(graph, options.threads)
    plan = make_plan(graph, options)
    plan.link()
    engine._use(CpuBackend(plan, WorkerPool(plan.threads)))
    return engine


def check(graph: Graph, options: Options) -> Engine:
    engine = planned(graph, options)
    feeds = random_feeds(graph)
    expected = reference.run(graph, feeds)
    for _ in range(2):
        for name, got in engine.run(feeds).items():
            error = np.abs(got - expected[name]).max() / np.abs(expected[name]).max()
            assert error < 3e-6, f"{name}: {error:.2e}"
    return engine


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rings", [True, False], ids=["rings", "sliding"])
@pytest.mark.parametrize("size", [40, 52])
def test_streamed_rows(threads: int, rings: bool, size: int) -> None:
    if rings and not rings_available():
        pytest.skip("this system cannot map rings")
    engine = check(network(size), Options("auto", threads, rings=rings, target=EVERYTHING_STREAMS))
    assert any(segment.streamed for segment in engine.plan.segments)
    assert bool(engine.plan.rings) is rings


def run_shares(engine: Engine, feeds: dict[str, np.ndarray], order: list[int]) -> list[np.ndarray]:
    """Outputs where one thread does the shares of every section in this order, in memory full of noise.

    No order: by the tape for one that is alone.
    """
    prepared, threads = engine._backend.own, engine.plan.threads
    table = prepared.plan.section_table()
    columns = [0, 1, *(2 + 2 * thread + i for thread in order or range(threads) for i in (0, 1))]
    table[:, : 2 + 2 * threads] = table[:, columns]
    if order:
        table[:, -2:] = 0
    prepared.sections[:] = table
    prepared.helping.wanted = lambda _now: False  # type: ignore[method-assign]
    context, plan = prepared.take(), prepared.plan
    parts = [(0, plan.arena_bytes), *((ring.start, ring.size) for ring in plan.rings)]
    for start, size in parts:
        memory = (ctypes.c_float * (size // 4)).from_address(context.arena.address + start)
        np.frombuffer(memory, np.float32)[:] = 1e3
    prepared.give_back(context)
    return list(engine.run(feeds).values())


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("streamed_bytes", [0, 20_000, 60_000, 10**6])
@pytest.mark.parametrize("graph", [network(52), skip(80)], ids=["network", "skip"])
def test_shares_in_any_order_and_one_thread_alone(graph: Graph, threads: int, streamed_bytes: int) -> None:
    """No share needs what another of its section makes; and one that is alone gets the same to the bit."""
    target = replace(host(), whole_map_bytes=streamed_bytes)
    engine, feeds = planned(graph, Options("auto", threads, target=target)), random_feeds(graph, batch=1)
    expected = list(engine.run(feeds).values())
    for order in ([], list(range(threads)), list(range(threads))[::-1], [*range(1, threads), 0]):
        for got, want in zip(run_shares(engine, feeds, order), expected, strict=True):
            np.testing.assert_array_equal(got, want, err_msg=f"shares in the order {order}")
    wanted = reference.run(graph, feeds)
    for got, want in zip(expected, (wanted[info.name] for info in engine.outputs), strict=True):
        np.testing.assert_allclose(got, want, atol=3e-6 * float(np.abs(want).max()))


def test_what_nobody_reads_is_not_made() -> None:
    graph = network()
    graph.inputs = [TensorInfo("x", (None, 3, 10, 96))]
    graph.nodes = [graph.nodes[0], Node("conv2d", "unread", ["a", "w1"], ["z"], {"padding": [1, 1, 1, 1]})]
    graph.outputs = ["a"]
    for threads in (1, 2):
        engine = check(graph, Options("auto", threads))
        assert "unread" not in {layer for layers in engine.plan.layers for layer in layers}


def test_one_thread_alone_makes_no_row_twice() -> None:
    graph = minixception((64,))
    together, alone = (
        make_plan(graph, Options("auto", threads, target=EVERYTHING_STREAMS)) for threads in (2, 1)
    )
    *shares, by_one = map(len, together.tapes)
    assert by_one <= len(alone.tapes[0]) + 2 < sum(shares)


@pytest.mark.parametrize("threads", [1, 2])
def test_layer_by_layer(threads: int) -> None:
    engine = check(network(), Options("auto", threads, stream=False))
    assert not any(segment.streamed for segment in engine.plan.segments)


@pytest.mark.parametrize("size", [28, 36, 80])
def test_folded_maps(size: int) -> None:
    """Quarter-size maps of 7, 9 and 20 pixels: one, one and two vectors to a line."""
    for threads in (1, 2):
        check(network(size), Options("auto", threads))


def test_streaming_needs_less_memory() -> None:
    graph = minixception((64, 64))
    graph.inputs[0] = TensorInfo("input", (None, 3, 192, 192))
    streamed, whole = (
        make_plan(graph, Options("auto", 1, stream=stream, target=EVERYTHING_STREAMS))
        for stream in (True, False)
    )
    rings = sum(ring.size for ring in streamed.rings)
    assert (streamed.arena_bytes + rings) * 3 < whole.arena_bytes


def test_threads_share_the_calls() -> None:
    graph = minixception((64,))
    plan = make_plan(graph, Options("auto", 2))
    calls = [len(tape) for tape in plan.tapes[:2]]
    assert min(calls) > 0.8 * max(calls)


def test_more_layers_than_python_has_frames() -> None:
    pool = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1]}
    names = ["x", *(f"t{i}" for i in range(700))]
    nodes = [Node("max_pool2d", f"n{i}", [names[i]], [names[i + 1]], pool) for i in range(700)]
    graph = Graph("deep", [TensorInfo("x", (None, 1, 20, 9830))], [names[-1]], nodes)
    made = make_plan(graph, Options())
    assert all(len(segment.stages) <= segments.MOST_STAGES for segment in made.segments)
    assert any(segment.streamed for segment in made.segments)


def test_more_inputs_than_a_pointer_names() -> None:
    names = [f"x{i}" for i in range(MAX_TENSORS)]
    inputs = [TensorInfo(name, (None, 1)) for name in names]
    nodes = [Node("relu", "node", [names[0]], ["y"])]
    with pytest.raises(MemoryLimitError, match="inputs and outputs, the limit is"):
        make_plan(Graph("many", inputs, ["y"], nodes), Options())
