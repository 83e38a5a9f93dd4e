"""Inputs as callers have them: misaligned, mapped from a file, read-only, with gaps, changed while they are read."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sparsenet import reference
from sparsenet.engine import Engine
from sparsenet.graph import Graph
from sparsenet.limits import memory_limit
from tests.full import FULL
from tests.fuzz import seeds
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.sample_graphs import tiny_graph

Strange = Callable[[np.ndarray, Path], np.ndarray]


def misaligned(x: np.ndarray, _: Path) -> np.ndarray:
    held = np.zeros(x.nbytes + 1, np.uint8)
    held[1:] = np.frombuffer(x.tobytes(), np.uint8)
    return held[1:].view(np.float32).reshape(x.shape)


def mapped(x: np.ndarray, folder: Path) -> np.ndarray:
    x.tofile(folder / "x.bin")
    return np.memmap(folder / "x.bin", np.float32, "r", shape=x.shape)


def mapped_misaligned(x: np.ndarray, folder: Path) -> np.ndarray:
    (folder / "x.bin").write_bytes(b"abc" + x.tobytes())
    return np.memmap(folder / "x.bin", np.float32, "r", offset=3, shape=x.shape)


def read_only(x: np.ndarray, _: Path) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def backwards(x: np.ndarray, _: Path) -> np.ndarray:
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def columns_first(x: np.ndarray, _: Path) -> np.ndarray:
    return np.asfortranarray(x)


def with_gaps(x: np.ndarray, _: Path) -> np.ndarray:
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, np.float32)
    wide[..., ::2] = x
    return wide[..., ::2]


def repeated(x: np.ndarray, _: Path) -> np.ndarray:
    return np.broadcast_to(x[:1], x.shape)


GRAPHS = {graph.name: graph for graph in (tiny_graph(), seeds.tensors())}


@functools.cache
def engine_of(graph: str, threads: int) -> Engine:
    """One for all tests of a graph."""
    return Engine(GRAPHS[graph], threads)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "strange",
    [misaligned, mapped, mapped_misaligned, read_only, backwards, columns_first, with_gaps, repeated],
)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=["maps", "flat"])
def test_any_array_of_the_right_shape_gives_the_same(
    graph: Graph, strange: Strange, threads: int, tmp_path: Path
) -> None:
    info = graph.inputs[0]
    x = np.random.default_rng(0).standard_normal((3, *info.shape[1:])).astype(np.float32)  # type: ignore[arg-type]
    given = strange(x, tmp_path)
    engine = engine_of(graph.name, threads)
    plain = engine.run({info.name: np.array(given, order="C")})
    for name, got in engine.run({info.name: given}).items():
        np.testing.assert_array_equal(got, plain[name])


@pytest.mark.parametrize("threads", [1, 2])
def test_an_input_that_another_thread_changes_spoils_results_and_nothing_else(threads: int) -> None:
    """Indices and counts are computed from it: whatever it holds, they stay inside."""
    graph = seeds.detector()
    info = graph.inputs[0]
    x = np.random.default_rng(0).standard_normal((2, *info.shape[1:])).astype(np.float32)  # type: ignore[arg-type]
    calm, stop = x.copy(), threading.Event()

    def disturb() -> None:
        rng, ends = np.random.default_rng(1), np.float32([np.nan, np.inf, -np.inf, 3e38, -3e38, 0, 1e9])
        while not stop.is_set():
            x.reshape(-1)[rng.integers(x.size, size=50)] = rng.choice(ends, 50)

    engine = Engine(graph, threads)
    before = engine.run({info.name: calm})
    other = threading.Thread(target=disturb)
    other.start()
    try:
        for _ in range(300 if FULL else 100):
            results = engine.run({info.name: x})
            for output in engine.outputs:
                assert results[output.name].ndim == len(output.shape)
                assert all(
                    size <= most for size, most in zip(results[output.name].shape[1:], output.shape[1:], strict=True)
                )  # fmt: skip
    finally:
        stop.set()
        other.join()
    after = engine.run({info.name: calm})
    engine.close()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


@pytest.mark.slow
def test_outputs_of_more_than_two_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSENET_MAX_MEMORY", raising=False)
    if memory_limit() < 2**31:
        pytest.skip("this machine has less than 8 GiB of memory")
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "3G")
    size = 2**18
    graph = one_node_graph("expand", {"x": (1, 1)}, attrs={"shape": [size]})
    batch = 2**31 // (4 * size) + 3
    x = np.arange(batch, dtype=np.float32)[:, None]
    engine = Engine(graph, 1)
    (got,) = engine.run({"x": x}).values()
    engine.close()
    assert got.nbytes > 2**31
    assert (got[:, 0] == x[:, 0]).all()
    assert (got[:, -1] == x[:, 0]).all()
    few = reference.run(graph, {"x": x[-2:]})
    np.testing.assert_array_equal(got[-2:], next(iter(few.values())))
