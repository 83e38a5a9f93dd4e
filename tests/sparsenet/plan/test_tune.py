"""Choice by measurement: the fastest candidate, right results, and times that are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.kernels import jit
from sparsenet.plan import tune
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


class Half:
    """A contestant that runs half of its layer in two milliseconds."""

    share = 0.5

    def run(self) -> None:
        time.sleep(2e-3)


def test_times_are_of_the_whole_layer() -> None:
    whole = Half()
    whole.share = 1.0
    half_ms, whole_ms = (1e3 * seconds for seconds in tune._measure([Half(), whole]))
    assert half_ms >= 4
    assert 2 <= whole_ms < half_ms


@pytest.mark.parametrize("streamed", [True, False])
def test_the_share_is_what_is_run(cache: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    shares = []
    make = tune._Contestant.__init__

    def remember(self: tune._Contestant, *arguments: Any) -> None:
        make(self, *arguments)
        shares.append(self.share)

    monkeypatch.setattr(tune._Contestant, "__init__", remember)
    monkeypatch.setattr(tune, "STREAMED_MAP_BYTES", 1 if streamed else 10**9)
    Engine(one_conv(0.8), 1, tune=True)
    assert 0 < min(shares) < 1 if streamed else set(shares) == {1.0}
