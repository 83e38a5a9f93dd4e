"""Time per layer: runs that were disturbed do not count, and what is left is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import sparsenet
from sparsenet import Engine, timing
from sparsenet.commands.profile import profile
from sparsenet.plan.plan import Decision
from sparsenet.reference import backend as numpy_backend
from sparsenet.timing import Clock, Sample
from sparsenet.timing.layer_profile import StepTimes, layer_profile, step_times
from tests.sparsenet.sample_graphs import tiny_graph

X = np.zeros((1, 3, 8, 8), np.float32)


class Scripted(Clock):
    """Runs the call as any clock does, but is told whether that was disturbed."""

    def __init__(self, clean: list[bool]) -> None:
        super().__init__("scripted", "cpu", False)
        self._clean: Iterator[bool] = cycle(clean)

    def turn(self, call: Callable[[], object], warm: int = 1) -> Sample:
        for _ in range(warm + 1):
            call()
        clean = next(self._clean)
        seconds = 0.002 if clean else 0.5
        return Sample(seconds, seconds, seconds, clean=clean)


def runs_of(clean: list[bool], warm: int = 1) -> Callable[[], list[int]]:
    """Two steps of which the second takes three times as long as the first, but in warming and disturbed runs."""
    made = iter([run for one in clean for run in [[9, 1]] * warm + [[1, 3] if one else [7, 0]]])
    return lambda: next(made)


@pytest.mark.parametrize("warm", [0, 1])
def test_disturbed_runs_do_not_count(warm: int) -> None:
    clean = [True, False, True, True, False, True, True]
    times = step_times(runs_of(clean, warm), 5, Scripted(clean), warm=warm)
    assert (times.counted, times.dropped, times.too_noisy) == (5, 2, False)
    found = layer_profile(
        times, ["a", "b"], [Decision("b", "conv2d", "csr", "k", "", 100, 5, 10)], ["b", "a", "c"]
    )
    assert [layer.layer for layer in found] == ["b", "a", "c"]
    assert [layer.ms for layer in found] == pytest.approx([1.5, 0.5, 0])
    assert [layer.share for layer in found] == pytest.approx([0.75, 0.25, 0])
    assert found[0].gops == pytest.approx(2 * 100 * 0.5 / 1.5e6)
    assert (found.counted, found.dropped, found.too_noisy, found.clock) == (5, 2, False, "cpu")


def test_layers_add_up_where_every_run_is_cut_in_two_somewhere() -> None:
    """Each run of 40 equal steps and a long one is off its CPU for a while, in another step every time."""
    steps = np.array([[10.0] * 40 + [600.0]] * 20)
    steps[np.arange(20), 2 * np.arange(20)] += 5000
    seconds = np.full(20, 0.01)
    found = layer_profile(StepTimes(steps, seconds, "cpu", 20, 0), ["many"] * 40 + ["one"], [])
    assert [layer.ms for layer in found] == pytest.approx([4.0, 6.0])
    assert sum(layer.share for layer in found) == pytest.approx(1)


@pytest.mark.parametrize("good", [0, 4])
def test_too_few_are_too_noisy_to_tell(good: int) -> None:
    clean = [True] * good + [False] * (15 - good)
    times = step_times(runs_of(clean), 5, Scripted(clean))
    assert (times.counted, times.dropped, times.too_noisy) == (good, 15 - good, True)
    assert len(times.steps) == len(times.seconds) == (good or 15)


@pytest.mark.parametrize("backend", ["compiled", "numpy"])
@pytest.mark.parametrize(
    "clean, noisy", [([True], False), ([False, True], False), ([False] * 20 + [True], True)]
)
def test_engines_tell(monkeypatch: pytest.MonkeyPatch, backend: Any, clean: list[bool], noisy: bool) -> None:
    clock = Scripted(clean)
    monkeypatch.setattr(timing, "clock_for", lambda _: clock)
    monkeypatch.setattr(numpy_backend, "WALL", clock)
    found = Engine(tiny_graph(), 1, backend=backend).profile(X, runs=6)
    assert found.too_noisy is noisy
    assert found.counted == sum(next_ for next_, _ in zip(cycle(clean), range(found.counted + found.dropped)))
    assert sum(layer.ms for layer in found) == pytest.approx(500 if not any(clean[:18]) else 2, rel=0.2)
    assert {"conv2d"} <= {layer.op for layer in found}


@pytest.mark.parametrize("clean, told", [([True], "3 runs, 0 disturbed"), ([False], "too noisy to tell")])
def test_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean: list[bool], told: str
) -> None:
    monkeypatch.setattr(timing, "clock_for", lambda _: Scripted(clean))
    sparsenet.save(tiny_graph(), tmp_path / "m.safetensors")
    command = [str(tmp_path / "m.safetensors"), "--threads", "1", "--runs", "3"]
    (line,) = (
        line
        for line in CliRunner().invoke(profile, command).output.splitlines()
        if line.startswith("layers:")
    )
    assert told in line
    report = json.loads(CliRunner().invoke(profile, [*command, "--json"]).output)
    assert report["layers_too_noisy"] is (told == "too noisy to tell")
    assert report["layers_counted"] + report["layers_dropped"] == (9 if report["layers_too_noisy"] else 3)
