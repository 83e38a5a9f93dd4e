"""Timing: paired, in the better of PyTorch's layouts, and only where outputs are equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from converters import from_torch, quantize
from sparsenet.errors import SparsenetError
from sparsenet.timing import PATIENCE, THREAD, Rounds, Sample
from training.demo import speed
from training.demo.speed import time_network
from training.models import build_model
from training.pruning import find_masks
from training.report.names import ENGINES


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 32, 32), np.float32)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    made = build_model("minixception-128", 4).eval()
    find_masks(made, sparsity=0.8).apply(made)
    return made


def test_every_engine_and_ratio_is_there(model: torch.nn.Module, image: np.ndarray) -> None:
    threads = torch.get_num_threads()
    graph = from_torch(model, image)
    timing = time_network("s", model, graph, image, quantized=quantize(graph, [image]), seconds=0.1)
    assert [latency.engine for latency in timing.latencies] == list(ENGINES)
    assert timing.latencies[0].setting in speed.LAYOUTS
    assert all(0 < m.low <= m.median <= m.high for m in timing.latencies)
    assert all(0 < m.rounds <= PATIENCE * speed.MOST_ROUNDS for m in timing.latencies)
    assert [(s.slow, s.fast) for s in timing.speedups] == list(speed.PAIRS)
    assert 0 < timing.max_difference <= speed.TOLERANCE
    assert torch.get_num_threads() == threads


def test_kernels_that_differ_in_int8_are_not_timed(
    model: torch.nn.Module, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([np.zeros(4, np.float32), np.ones(4, np.float32)])
    monkeypatch.setattr(speed, "_engine_call", lambda *_: lambda: next(answers))
    with pytest.raises(SparsenetError, match="dense and sparse kernels differ in int8"):
        speed._integer_calls("s", from_torch(model, image), ["dense", "sparse"], 1, image)


def test_ratios_are_of_equal_rounds_and_the_faster_layout_counts() -> None:
    seconds = {
        "contiguous": [0.004, 0.008],
        "channels_last": [0.003, 0.006],
        "dense": [0.001, 0.002],
    }
    taken = Rounds(THREAD, {name: [Sample(t, t, t) for t in times] for name, times in seconds.items()})
    timing = speed._timing("s", taken, ["contiguous", "channels_last"], 0.0)
    assert timing.latencies[0].setting == "channels_last"
    assert timing.latencies[0].median == pytest.approx(4.5)
    [ratio] = timing.speedups
    assert (ratio.slow, ratio.fast) == ("pytorch", "dense")
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((3 / 1.01, 3.0, 3 * 1.01))
    assert (ratio.rounds, ratio.dropped, ratio.noisy) == (2, 0, False)


def test_a_network_that_computes_something_else_is_not_timed(
    model: torch.nn.Module, image: np.ndarray
) -> None:
    other = from_torch(build_model("minixception-128", 4, seed=1).eval(), image)
    with pytest.raises(SparsenetError, match=r"s: engine and PyTorch differ by .* of the largest logit"):
        time_network("s", model, other, image, engines=["dense"], seconds=0.1)
