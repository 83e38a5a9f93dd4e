"""Time per layer, from what each step of an inference took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.plan.plan import WAIT, Decision
from sparsenet.text.quantities import time_text
from sparsenet.text.records import Records
from sparsenet.timing import Clock, few, take_rounds


@dataclass(frozen=True)
class LayerProfile:
    """Time of one layer, median over the profiled runs.

    Attributes:
        layer, op, kernel: node name, op, and the registry name of its main kernel.
        ms: milliseconds, layout changes for this layer included.
        share: of the whole inference, 0..1.
        nnz, density: nonzero weights, and their share of all weights (1.0 without weights).
        gops: 1e9 operations on nonzero weights per second (2 per multiply-add), in the numbers that the kernel computes
            in: float32, or bytes with sums of 32 bits.
    """

    layer: str
    op: str
    kernel: str
    ms: float
    share: float
    nnz: int
    density: float
    gops: float


@dataclass(frozen=True)
class StepTimes:
    """Times of the steps of an inference, in the runs that count: those that nothing disturbed, all if there is none.

    Attributes:
        steps: (runs, steps) cycles or seconds of each.
        seconds: (runs,) of each run as a whole.
        clock: what these are: "cpu", processor time, or "wall".
        counted, dropped: how many runs were undisturbed, and how many were not.
    """

    steps: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    clock: str
    counted: int
    dropped: int

    @property
    def too_noisy(self) -> bool:
        """Whether the disturbed runs have left too few to tell anything."""
        return few(self.counted, self.dropped)


class TimedSteps(NamedTuple):
    """Times of the steps of an inference, and the layers they are for: the arguments of ``layer_profile``."""

    times: StepTimes
    layers: Sequence[str]
    decisions: Iterable[Decision]
    order: Iterable[str] = ()

    def profile(self) -> Profile:
        """One record per layer."""
        return layer_profile(*self)


class Profile(Records[LayerProfile]):
    """One record for each layer, and how they were measured.

    Attributes:
        clock, counted, dropped, too_noisy: as of the ``StepTimes`` that they come from.
    """

    columns = ("layer", "op", "ms", "share", "nnz", "density", "Gop/s", "kernel")

    def __init__(self, layers: Iterable[LayerProfile], times: StepTimes) -> None:
        super().__init__(layers)
        self.clock, self.counted, self.dropped = times.clock, times.counted, times.dropped
        self.too_noisy = times.too_noisy

    def row(self, record: LayerProfile) -> tuple[Any, ...]:
        """As ``sparsenet profile`` shows it."""
        density = record.density if record.nnz else None
        share, speed = f"{record.share:.1%}", record.gops or None
        return record.layer, record.op, record.ms, share, record.nnz or None, density, speed, record.kernel

    def line(self) -> str:
        """Layers, the time of all of them, and what it rests on."""
        time = time_text(sum(layer.ms for layer in self) / 1e3)
        kind = "processor time" if self.clock == "cpu" else "wall time"
        noisy = "too noisy to tell; " if self.too_noisy else ""
        return (
            f"{len(self)} layers, {time}: {noisy}median {kind}, {self.counted} runs, {self.dropped} dropped"
        )


def step_times(run: Callable[[], Any], runs: int, clock: Clock, *, warm: int = 1) -> StepTimes:
    """Time ``run``, which makes an inference and returns what each of its steps took, cycles or seconds.

    Args:
        runs: how many undisturbed ones are wanted; up to three times as many are made.
        warm: inferences before each, which do not count.
    """
    made: list[Any] = []
    turns = {"run": lambda: clock.turn(lambda: made.append(run()), warm)}
    taken = take_rounds(turns, runs, clock)
    (seconds,) = taken.seconds("run")
    counted, dropped = taken.count("run")
    steps = np.array(made[warm :: 1 + warm], np.float64)
    return StepTimes(steps[taken.clean("run")] if counted else steps, seconds, clock.counts, counted, dropped)


def layer_profile(
    times: StepTimes, layers: Sequence[str], decisions: Iterable[Decision], order: Iterable[str] = ()
) -> Profile:
    """One record per layer; their times add up to the median time of a run.

    A step takes its median: one that another process has cut in two counts the time in between, in cycles, but not in
    processor time, and which step that is changes from run to run. So it is no use to divide up the time of each run.

    Args:
        layers: which layer each step is for.
        decisions: what is known of the layers.
        order: layers in the order in which to list them; one without a step has 0 ms.
    """
    usual = np.median(times.steps, axis=0)
    usual *= np.median(times.seconds) / usual.sum()
    totals = dict.fromkeys(order, 0.0)
    for layer, ms in zip(layers, usual * 1e3, strict=True):
        totals[layer] = totals.get(layer, 0.0) + float(ms)
    whole = sum(totals.values())
    choices = {decision.layer: decision for decision in decisions}
    out = []
    for layer, ms in totals.items():
        without = "wait" if layer == WAIT else "copy"
        choice = choices.get(layer, Decision(layer, without, "none", "", ""))
        density = choice.nnz / choice.weights if choice.weights else 1.0
        operations = 2.0 * choice.macs * density
        gops = operations / (ms * 1e6) if ms > 0 else 0.0
        out.append(LayerProfile(layer, choice.op, choice.kernel, ms, ms / whole, choice.nnz, density, gops))
    return Profile(out, times)
