"""Packing is done before the trace, for the share of every thread; trying candidates leaves nothing in the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sparsenet.plan import make
from sparsenet.plan.builder import Options
from sparsenet.plan.segments import Segment
from sparsenet.plan.shares import Shares
from sparsenet.plan.trace import Trace
from sparsenet.plan.weights import Weights
from sparsenet.targets.cpu.runtime import tune
from tests.sparsenet.plan.test_schedule import network
from tests.sparsenet.targets.cpu.runtime.test_tune import one_conv


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("stream", [True, False])
def test_tracing_packs_nothing(threads: int, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, once, packed = make.trace, Weights.once, []

    def counted(self: Weights, *arguments: Any) -> Any:
        packed.append(arguments)
        return once(self, *arguments)

    def traced(*arguments: Any) -> Trace:
        before = len(packed)
        result = trace(*arguments)
        assert len(packed) == before > 0
        return result

    monkeypatch.setattr(Weights, "once", counted)
    monkeypatch.setattr(make, "trace", traced)
    plan = make.make_plan(network(28), Options("sparse", threads, stream=stream))
    assert any("conv_pattern" in kernel.name for kernel in plan.used_kernels)


def test_threads_share_each_stage_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[list[Segment], Shares]] = []

    def noted(segments: list[Segment], shares: Shares, rings: bool) -> Trace:
        found.append((segments, shares))
        return trace(segments, shares, rings)

    trace = make.trace
    monkeypatch.setattr(make, "trace", noted)
    make.make_plan(network(28), Options("sparse", 3))
    ((segments, shares),) = found
    split = [s for segment in segments for s in segment.stages if shares.by_channels(s)]
    assert any(stage.channel_blocks > 1 for stage in split)
    for stage in split:
        spans = [shares.blocks(stage, thread) for thread in range(3)]
        assert [first for first, _ in spans[1:]] == [last for _, last in spans[:-1]]
        assert (spans[0][0], spans[-1][1]) == (0, stage.channel_blocks)
        assert shares.all_blocks(stage) == [span for span in dict.fromkeys(spans) if span[0] < span[1]]


def test_candidates_that_lose_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried: list[tune._Contestant] = []

    def first_wins(contestants: list[tune._Contestant]) -> list[float]:
        tried.extend(contestants)
        return [float(number) for number, _ in enumerate(contestants)]

    monkeypatch.setattr(tune, "_measure", first_wins)
    monkeypatch.setattr(tune, "FOLDER", str(tmp_path / "tuning"))
    graph = one_conv(0.8)
    tuned, plain = (make.make_plan(graph, Options("dense", race=race)) for race in (tune.race, None))
    assert len(tried) > 1
    assert tuned.weights.tobytes() == plain.weights.tobytes()
