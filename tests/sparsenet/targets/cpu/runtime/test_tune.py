"""Choice by measurement: the fastest candidate, right results, and times that are kept."""

from __future__ import annotations

import itertools
import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.errors import InputError
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.targets.cpu.runtime import jit, tune
from sparsenet.targets.host import host
from sparsenet.targets.target import AVX2, NEON
from sparsenet.timing import Clock, Sample
from tests.sparsenet.against_reference import random_feeds


def one_conv(zeros: float, kernel: int = 1) -> Graph:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((32, 32, kernel, kernel)).astype(np.float32)
    w[rng.random(w.shape) < zeros] = 0
    pad = [kernel // 2] * 4
    node = Node(
        "conv2d", "conv", ["x", "w", "b", "x"], ["y"], {"padding": pad, "epilogue": [["add"], ["relu"]]}
    )
    constants = {"w": w, "b": rng.standard_normal(32).astype(np.float32)}
    return Graph("g", [TensorInfo("x", (None, 32, 24, 24))], ["y"], [node], constants)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Times go here; machine code stays where it is."""
    monkeypatch.setattr(tune, "FOLDER", str(tmp_path / "tuning"))
    return tmp_path


@pytest.mark.parametrize("kernel", [1, 3])
def test_whatever_wins_computes_the_same(cache: Path, kernel: int) -> None:
    graph = one_conv(0.8, kernel)
    feeds = random_feeds(graph)
    tuned, plain = Engine(graph, 1, tune=True), Engine(graph, 1, sparse=False)
    np.testing.assert_allclose(tuned.run(feeds)["y"], plain.run(feeds)["y"], rtol=1e-4, atol=1e-4)
    assert tuned.explain()[0].reason.startswith("measured: ")


def test_nearly_empty_weights_are_not_run_dense(cache: Path) -> None:
    assert Engine(one_conv(0.98), 1, tune=True).explain()[0].format != "dense"


def test_dense_engines_stay_dense(cache: Path) -> None:
    assert Engine(one_conv(0.98), 1, sparse=False, tune=True).explain()[0].format == "dense"


def test_times_are_kept_and_decide(cache: Path) -> None:
    graph = one_conv(0.8)
    Engine(graph, 1, tune=True)
    (kept,) = (cache / "tuning").glob("*.json")
    times = json.loads(kept.read_text())
    assert all(seconds > 0 for seconds in times.values())
    slow = next(name for name in times if "dense" in name)
    kept.write_text(json.dumps({name: 1e-9 if name == slow else 1.0 for name in times}))
    assert Engine(graph, 1, tune=True).explain()[0].format == "dense"


def test_damaged_times_are_measured_again(cache: Path) -> None:
    graph = one_conv(0.8)
    Engine(graph, 1, tune=True)
    (kept,) = (cache / "tuning").glob("*.json")
    kept.write_text("{")
    Engine(graph, 1, tune=True)
    assert json.loads(kept.read_text())
    assert jit.fingerprint()


class Scripted(Clock):
    """A clock that is told what its turns measure."""

    def __init__(self, samples: Callable[[object], Sample]) -> None:
        super().__init__("scripted", "cpu", False)
        self.samples = samples

    def turn(self, call: Callable[[], object], warm: int = 1) -> Sample:
        return self.samples(call())


class Contestant:
    """One whose run gives its name; a share of its layer is run."""

    def __init__(self, name: str, share: float = 1.0) -> None:
        self.name, self.share = name, share

    def run(self) -> str:
        return self.name


def test_times_are_of_the_whole_layer() -> None:
    clock = Scripted(lambda _: Sample(2e-3, 2e-3, 2e-3))
    measured = tune._measure([Contestant("half", 0.5), Contestant("whole")], clock)  # type: ignore[list-item]
    assert measured == pytest.approx([4e-3, 2e-3])


def test_disturbed_turns_decide_nothing() -> None:
    # The second contestant would win by a turn that was disturbed.
    turns = {"a": itertools.cycle([(3e-3, True), (1e-3, False)]), "b": itertools.cycle([(2e-3, True)])}

    def sample(name: object) -> Sample:
        seconds, clean = next(turns[str(name)])
        return Sample(seconds, seconds, seconds, clean=clean)

    measured = tune._measure([Contestant("a"), Contestant("b")], Scripted(sample))  # type: ignore[list-item]
    assert measured == pytest.approx([3e-3, 2e-3])


def test_where_every_turn_is_disturbed_what_is_expected_is_taken_and_nothing_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "_cpu_is_clean", lambda *_: False)
    for sparse in (True, False):
        tuned = Engine(one_conv(0.9), 1, sparse=sparse, tune=True).explain()[0]
        plain = Engine(one_conv(0.9), 1, sparse=sparse).explain()[0]
        assert (tuned.kernel, tuned.format) == (plain.kernel, plain.format)
        assert tuned.reason == f"too noisy to measure, so by what is expected: {plain.reason}"
    assert not list(cache.glob("tuning/*"))


@pytest.mark.parametrize("streamed", [True, False])
def test_the_share_is_what_is_run(cache: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    shares = []
    make = tune._Contestant.__init__

    def remember(self: tune._Contestant, *arguments: Any) -> None:
        make(self, *arguments)
        shares.append(self.share)

    monkeypatch.setattr(tune._Contestant, "__init__", remember)
    target = replace(host(), whole_map_bytes=1 if streamed else 10**9)
    make_plan(one_conv(0.8), Options(race=tune.race, target=target))
    assert 0 < min(shares) < 1 if streamed else set(shares) == {1.0}


def test_other_machines_are_not_timed_here() -> None:
    other = AVX2 if platform.machine() != "x86_64" else NEON
    with pytest.raises(InputError, match=f"which is no {other.name}"):
        make_plan(one_conv(0.8), Options(race=tune.race, target=other))
