"""The memory limit: how it is stated, and that planning and loading keep to it before they take anything."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo, load_graph, save
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.limits import MAX_NODES, Budget, memory_limit, require_memory
from sparsenet.plan.assemble import Step, encode_tape
from sparsenet.plan.ref import Ref
from sparsenet.targets.abi import encode_float
from sparsenet.targets.registry import Kernel
from tests.sparsenet.one_node import one_node_graph
from tests.sparsenet.sample_graphs import tiny_graph


@pytest.mark.parametrize(
    "text, size", [("1000", 1000), ("2K", 2048), ("512M", 2**29), ("8g", 2**33), ("1TB", 2**40)]
)
def test_a_stated_limit(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", text)
    assert memory_limit() == size
    require_memory(size, "this")
    with pytest.raises(MemoryLimitError, match=r"^this would take .* set SPARSENET_MAX_MEMORY to allow it$"):
        require_memory(size + 1, "this")


@pytest.mark.parametrize("text", ["much", "-1", "0", "1.5G", "G", "9" * 30, "٣"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", text)
    with pytest.raises(InputError, match="SPARSENET_MAX_MEMORY must be a size such as"):
        memory_limit()


def test_by_default_a_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSENET_MAX_MEMORY", raising=False)
    assert 2**26 < memory_limit() < 2**44


def test_a_budget_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "100")
    budget = Budget("all")
    budget.take(60)
    budget.take(40)
    with pytest.raises(MemoryLimitError, match="all would take 101 bytes, more than the limit of 100 bytes"):
        budget.take(1)


def conv(shape: tuple[int, ...], weight: tuple[int, ...], **attrs: Any) -> Graph:
    return one_node_graph("conv2d", {"x": (1, *shape)}, {"w": np.ones(weight, np.float32)}, attrs)


@pytest.mark.parametrize(
    "graph",
    [
        conv((1, 3, 3), (1, 1, 1, 1), padding=[2**30, 0, 0, 0], stride=[2**31 - 1, 1]),
        conv((1, 3, 3), (1, 1, 1, 1), padding=[0, 2**30, 0, 2**30], stride=[1, 2**31 - 1]),
        conv((64, 2000, 2000), (1, 64, 1, 1)),
        conv((8, 30, 30), (2**12, 8, 1, 1)),
        one_node_graph("resize", {"x": (1, 1, 2, 2)}, attrs={"size": [2**30, 1]}),
        one_node_graph("pad", {"x": (1, 1, 2, 2)}, attrs={"padding": [0, 2**28, 0, 0]}),
        one_node_graph("expand", {"x": (1, 1)}, attrs={"shape": [2**30]}),
    ],
    ids=["rows", "columns", "input", "output", "resize", "pad", "expand"],
)  # fmt: skip
@pytest.mark.parametrize("backend", ["compiled", "numpy"])
def test_a_plan_keeps_to_the_limit(graph: Graph, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "8M")
    tracemalloc.start()
    with pytest.raises(MemoryLimitError, match="more than the limit of 8192 KiB"):
        Engine(graph, 1, backend=backend)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_more_lines_than_can_be_planned() -> None:
    graph = one_node_graph("resize", {"x": (1, 1, 2, 2)}, attrs={"size": [2**21, 1]})
    with pytest.raises(MemoryLimitError, match="have 2097152 lines, the limit is 1048576"):
        Engine(graph, 1)


def test_more_nodes_than_can_be_planned() -> None:
    names = ["x", *(f"y{i}" for i in range(MAX_NODES + 1))]
    nodes = [Node("relu", b, [a], [b]) for a, b in itertools.pairwise(names)]
    with pytest.raises(MemoryLimitError, match="has 16385 nodes, the limit is 16384"):
        Engine(Graph("long", [TensorInfo("x", (None, 2))], [names[-1]], nodes), 1)


def test_model_files_keep_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = tiny_graph()
    graph.constants["conv.weight"] = np.zeros((1000, 3, 3, 3), np.float32)
    for name in ("bn.scale", "bn.shift"):
        graph.constants[name] = np.ones(1000, np.float32)
    graph.constants["fc.weight"] = np.zeros((3, 1000), np.float32)
    save(graph, tmp_path / "m", "f32", encoding="csr")
    size = (tmp_path / "m").stat().st_size
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", str(size))
    with pytest.raises(MemoryLimitError, match=r"/m: the decoded weights would take"):
        load_graph(tmp_path / "m")
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", str(size - 1))
    with pytest.raises(MemoryLimitError, match=r"/m: it has \d+ bytes, more than the limit of"):
        load_graph(tmp_path / "m")


def test_a_schedule_beyond_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel("f32_fill_none_any", 1)
    steps = [Step(kernel, {"value": 0.5, "size": 8, "out": Ref("arena", 0)}, "wait")] * 1000
    assert encode_tape(steps, lambda _: 7)[-1].tolist()[:4] == [0, encode_float(0.5), 8, 7]
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "100K")
    with pytest.raises(MemoryLimitError, match="the schedule of 1,000 kernel calls would take 250"):
        encode_tape(steps, lambda _: 0)
