"""Targets: this machine's is found, and a plan for any of them asks nothing of the machine that makes it."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from sparsenet.errors import InputError
from sparsenet.graph import Graph, Node
from sparsenet.graph.types import F32, I8
from sparsenet.plan.builder import Builder, Options
from sparsenet.plan.listing import sections
from sparsenet.plan.make import make_plan
from sparsenet.targets import host as this_machine
from sparsenet.targets import target
from sparsenet.targets.cpu import lower
from sparsenet.targets.cpu.runtime import host, jit
from sparsenet.targets.target import (
    AVX2,
    AVX512,
    AVX512VNNI,
    AVXVNNI,
    GENERIC,
    NEON,
    SSE,
    TARGETS,
    Target,
    Vector,
)
from tests.sparsenet.sample_graphs import minixception

#: Of every server with AVX-512.
SERVER = {"sse2", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    "features, lanes, expected",
    [
        (SERVER | {"avx512vnni"}, 16, AVX512VNNI),
        (SERVER, 16, AVX512),
        (SERVER | {"avx512vnni"}, 8, AVX2),
        ({"sse2", "avx2", "fma", "avxvnni"}, 16, AVXVNNI),
        (SERVER, 4, SSE),
        ({"sse2", "avx2", "fma", "avx512f"}, 16, AVX2),
        ({"sse2", "avx2"}, 16, SSE),
        ({"neon"}, 16, NEON),
        (set(), 16, GENERIC),
    ],
)
def test_the_host_is_the_best_target_whose_features_it_has(
    features: set[str], lanes: int, expected: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert target.best(features, lanes) is expected
    monkeypatch.setattr(jit, "cpu_features", lambda: frozenset(features))
    monkeypatch.setenv("SPARSENET_LANES", str(lanes))
    assert this_machine.host.__wrapped__() is expected


def test_a_length_that_no_vector_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_LANES", "12")
    with pytest.raises(InputError, match="SPARSENET_LANES must be one of 16, 8, 4, got '12'"):
        this_machine.host.__wrapped__()


def test_targets_are_known_by_their_names() -> None:
    assert all(name == known.name for name, known in TARGETS.items())


def test_vectors_of_an_element_type() -> None:
    assert AVX512.vector(F32) == Vector(F32, 16)
    assert AVX512.vector(I8).lanes == 64
    assert [AVX512.vector().fitting(width).lanes for width in (1, 8, 9, 16, 17, 1000)] == [
        4,
        8,
        16,
        16,
        16,
        16,
    ]
    assert AVX2.vector(I8).fitting(3).lanes == 16, "no vector is shorter than 16 bytes"
    assert (
        AVX2.vector().kernel("copy_none_flat", epilogue=("relu",)).name == "f32_copy_none_flat_relu__cpu_v8"
    )


@pytest.mark.parametrize("known", TARGETS.values(), ids=list(TARGETS))
def test_planning_asks_nothing_of_this_machine(known: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("a plan for another machine looked at this one")

    for module, name in (
        (this_machine, "host"), (this_machine, "rings_available"), (jit, "cpu_features"),
        (host, "host_features"), (host, "host_identity"), (jit, "fingerprint"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)
    plan = make_plan(minixception(), Options(threads=2, rings=False, target=known))
    assert max(kernel.lanes for kernel in plan.used_kernels) == known.vector().lanes


def plan_for_a_board(graph: Graph) -> list[str]:
    """The calls of one inference, a line each."""
    board = Target("board", "armv7m", frozenset(), vector_bytes=16, registers=16, whole_map_bytes=0)
    plan = make_plan(graph, Options(threads=1, target=board, rings=False))
    return [f"{call.kernel.name} {call.arguments}" for part in sections(plan) for call in part.shares[0]]


def test_the_document_shows_a_target_as_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()
    assert inspect.getsource(plan_for_a_board) in text
    calls = plan_for_a_board(minixception())
    assert len(calls) > 100
    assert all("_v4" in call for call in calls)


def test_a_target_brings_its_own_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[str] = []

    def noted(builder: Builder, node: Node) -> None:
        lowered.append(node.name)
        lower.LOWER["conv2d"](builder, node)

    own = ModuleType("lowering_from_elsewhere")
    own.LOWER = {**lower.LOWER, "conv2d": noted}  # type: ignore[attr-defined]
    own.READS, own.HALOS = lower.READS, lower.HALOS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, own.__name__, own)
    graph = minixception()
    plan = make_plan(graph, Options(target=replace(AVX2, name="own", lowering=own.__name__)))
    assert lowered == [node.name for node in graph.nodes if node.op == "conv2d"]
    usual = make_plan(graph, Options(target=AVX2))
    assert [tape.tobytes() for tape in plan.tapes] == [tape.tobytes() for tape in usual.tapes]
