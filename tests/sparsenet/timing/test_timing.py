"""How time is taken: which clock, which samples count, how sure a ratio is; mostly on clocks told what they measure."""

from __future__ import annotations

import gc
import itertools
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sparsenet.timing import (
    CLOCKS,
    DEVICE,
    PROCESS,
    THREAD,
    WALL,
    Clock,
    Ratio,
    Rounds,
    Sample,
    clock,
    clock_for,
    interleaved,
    median_interval,
    paired_ratio,
    quartile_ratio,
    rounds_for,
    spread,
    take_rounds,
)
from sparsenet.timing.clock import Disturbance, _Look, _Task

MS = 1e-3


class Steady(Clock):
    """Every turn takes as long as its call says, and is clean unless it says otherwise."""

    def __init__(self) -> None:
        super().__init__("steady", "cpu", False)

    def turn(self, call: Callable[[], object], warm: int = 1) -> Sample:
        seconds, clean = call()  # type: ignore[misc]
        return Sample(seconds, seconds, seconds, clean=clean)


def scripted(values: list[tuple[float, bool]]) -> Callable[[], tuple[float, bool]]:
    turns: Iterator[tuple[float, bool]] = itertools.cycle(values)
    return lambda: next(turns)


# --- one call


@pytest.mark.parametrize(
    "cpu, switches, clean",
    [
        (0.5 * MS, 0, True),
        (0.5 * MS, 1, False),  # cold caches would be a fifth of it
        (3 * MS, 1, True),  # a preemption for every time slice, in which they are nothing
        (3 * MS, 2, True),
        (3 * MS, 4, False),
        (300 * MS, 100, True),
    ],
)
def test_one_thread_counts_processor_time_unless_switches_weigh_on_it(
    cpu: float, switches: int, clean: bool
) -> None:
    sample = THREAD.judged(10 * cpu if switches else cpu, cpu, Disturbance(switches))
    assert sample.seconds == cpu
    assert sample.clean == clean


def test_wall_time_without_processor_time_is_a_switch_that_nobody_counted() -> None:
    assert not THREAD.judged(4.5 * MS, 0.5 * MS, Disturbance()).clean
    assert THREAD.judged(0.52 * MS, 0.5 * MS, Disturbance()).clean


@pytest.mark.parametrize("which", [THREAD, PROCESS, WALL, DEVICE])
def test_what_another_virtual_machine_took_spoils_every_clock(which: Clock) -> None:
    assert which.judged(9 * MS, 9 * MS, Disturbance(0, 0.0)).clean
    assert not which.judged(9 * MS, 9 * MS, Disturbance(0, 0.0, stolen=0.01)).clean


def test_several_threads_count_wall_time_unless_one_waited_for_a_cpu() -> None:
    sample = WALL.judged(1 * MS, 2 * MS, Disturbance(5, waited=0.01 * MS))
    assert (sample.seconds, sample.clean) == (1 * MS, True)
    assert not WALL.judged(1 * MS, 2 * MS, Disturbance(0, waited=0.1 * MS)).clean


def test_where_waiting_is_not_told_a_forced_switch_spoils_wall_time() -> None:
    assert WALL.judged(1 * MS, 2 * MS, Disturbance(0, None)).clean
    assert not WALL.judged(1 * MS, 2 * MS, Disturbance(1, None)).clean


def test_wall_time_in_which_nobody_worked_was_taken_from_us_but_for_a_device() -> None:
    assert not WALL.judged(5 * MS, 1 * MS, Disturbance(0, 0.0)).clean
    assert DEVICE.judged(5 * MS, 1 * MS, Disturbance(0, 0.0)).clean


def test_a_thread_that_could_run_and_never_did_is_still_waiting() -> None:
    before = _Look(0.0, 0.0, {1: _Task(0.0, 5.0, False), 2: _Task(1.0, 3.0, True)})

    def waited(*task: float | bool) -> float | None:
        return _Look(0.01, 0.0, {1: _Task(0.0, 5.01, True), 2: _Task(*task)}).since(before)[0]  # type: ignore[arg-type]

    assert waited(1.0, 3.0, True) == pytest.approx(0.01)  # the whole turn
    assert waited(1.0, 3.0, False) == 0.0  # it sleeps
    assert waited(1.0, 3.009, True) == 0.0  # it ran
    assert waited(1.002, 3.008, True) == pytest.approx(0.002)


def test_the_clock_follows_from_the_number_of_threads() -> None:
    assert clock_for(1) is THREAD
    assert clock_for(2) is WALL
    assert {c.key: c.counts for c in CLOCKS.values()} == {
        "thread": "cpu", "process": "cpu", "wall": "wall", "device": "wall"
    }  # fmt: skip


def test_the_clock_stands_alone() -> None:
    """An engine in an environment of its own runs the file there."""
    source = clock.__file__
    code = f"import runpy; c = runpy.run_path({source!r})['CLOCKS']; print(list(c['process'].turn(lambda: None)))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert Sample(*eval(done.stdout)).wall >= 0


@pytest.mark.parametrize("which", CLOCKS.values(), ids=CLOCKS)
def test_real_clocks_measure(which: Clock) -> None:
    x = np.ones(200_000)
    sample = which.turn(x.sum)
    assert sample.seconds > 0
    assert sample.switches >= 0
    assert sample.waited is None or sample.waited >= 0


# --- rounds


def test_every_round_has_every_turn_in_an_order_of_its_own() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: (order.append(name), (1.0, True))[1] for name in "abc"}
    done: list[int] = []
    turns = {name: (lambda call=call: Steady().turn(call)) for name, call in calls.items()}
    taken = take_rounds(turns, 40, THREAD, settle=0.0, progress=done.append)
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert len(rounds) == sum(done) == 40
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert len(set(rounds)) == 6
    assert [len(samples) for samples in taken.samples.values()] == [40] * 3


def test_disturbed_rounds_are_dropped_counted_and_taken_again() -> None:
    calls = {"slow": scripted([(6.0, True)]), "fast": scripted([(2.0, True), (9.0, False)])}
    taken = interleaved(calls, 10, Steady(), settle=0.0)
    assert taken.clean("slow").sum() == 19
    assert taken.clean("slow", "fast").sum() == 10
    ratio = taken.ratio("slow", "fast")
    assert (ratio.told, ratio.rounds, ratio.dropped) == (3.0, 10, 9)
    assert [seconds.tolist() for seconds in taken.seconds("slow", "fast")] == [[6.0] * 10, [2.0] * 10]


def test_patience_ends_and_nothing_is_told() -> None:
    calls = {"slow": scripted([(6.0, False)]), "fast": scripted([(2.0, True)])}
    taken = interleaved(calls, 10, Steady(), settle=0.0)
    ratio = taken.ratio("slow", "fast")
    assert (ratio.rounds, ratio.dropped) == (0, 30)
    assert ratio.told is ratio.interval is None
    assert ratio.why_noisy.startswith("too noisy to tell (0 of 30 rounds undisturbed")
    assert taken.seconds("slow")[0].tolist() == [6.0] * 30  # more than nothing


def test_samples_that_do_not_agree_are_taken_again_until_most_of_them_do() -> None:
    spell = [(2.0 + 0.02 * i, True) for i in range(30)]
    calls = {"slow": scripted([(6.0, True)]), "fast": scripted([*spell, *[(2.0, True)] * 70])}
    taken = interleaved(calls, 30, Steady(), settle=0.0)
    assert 60 <= taken.clean("fast").sum() < 90
    assert taken.ratio("slow", "fast").told == pytest.approx(3.0)
    never = interleaved({"slow": calls["slow"], "fast": scripted(spell)}, 30, Steady(), settle=0.0)
    assert never.clean("fast").sum() == 90
    assert never.ratio("slow", "fast").told is None


@pytest.mark.parametrize("seconds, expected", [(0.0, 5), (8.0, 10), (1e9, 400)])
def test_rounds_fill_the_time(seconds: float, expected: int) -> None:
    turns = {name: lambda: Sample(0.2, 0.195, 0.2) for name in "ab"}
    assert rounds_for(turns, seconds) == expected


def test_garbage_collection_is_back_on_even_after_an_error() -> None:
    calls = iter([None])
    with pytest.raises(StopIteration):
        interleaved({"fails": lambda: next(calls)}, 3)
    assert gc.isenabled()


def test_empty_or_senseless_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to time"):
        interleaved({})
    with pytest.raises(ValueError, match="rounds"):
        interleaved({"a": lambda: None}, 0)


# --- ratios


def test_drift_cancels_in_the_paired_ratio_but_not_in_the_ratio_of_medians() -> None:
    drift = np.array([1.0, 1.0, 1.0, 5.0, 9.0])
    ratio = paired_ratio(3 * drift, 2 * drift)
    assert ratio.told == pytest.approx(1.5)
    assert ratio.interval == pytest.approx((1.5 / 1.01, 1.5 * 1.01))  # the noise floor


@pytest.mark.parametrize(
    "rounds, dropped, high, told",
    [
        (100, 0, 2.1, True),
        (5, 95, 2.1, True),
        (4, 96, 2.1, False),  # too few are left
        (3, 0, 2.1, True),  # no more were asked for
        (0, 30, 2.1, False),
        (100, 0, 2.3, False),  # they disagree
    ],
)
def test_a_ratio_says_when_it_cannot_tell(rounds: int, dropped: int, high: float, told: bool) -> None:
    ratio = Ratio(2.0, 1.9, high, rounds, dropped)
    assert ratio.told == (2.0 if told else None)
    assert (ratio.interval is None) == ratio.noisy == (not told)


@pytest.mark.parametrize("width, told", [(0.06, True), (0.12, False)])
def test_rounds_that_lie_apart_tell_nothing_however_sure_their_median_is(width: float, told: bool) -> None:
    a = np.tile(np.linspace(1 - width, 1 + width, 9), 1000)
    ratio = paired_ratio(a, np.ones(9000))
    assert ratio.apart == pytest.approx(width)
    assert ratio.high < 1.05
    assert (ratio.told is not None) == told
    assert told or "12% apart" in ratio.why_noisy


@pytest.mark.parametrize(
    "ratio, least",
    [
        (
            Ratio(3.0, 2.5, 3.6, 40, 0, 0.4),
            2.4 / 1.25,
        ),  # rounds are further apart than their median is unsure
        (Ratio(3.0, 2.0, 4.0, 40, 0, 0.4), 2.0 / 1.25),
        (Ratio(1.3, 1.2, 1.4, 40, 0, 0.1), None),  # 1.2 of a window that may be off by a quarter is no 1
        (Ratio(3.0, 2.9, 3.1, 4, 30, 0.02), None),  # too few rounds
        (Ratio(0.4, 0.3, 0.5, 40, 0, 0.4), None),
    ],
)
def test_what_a_ratio_is_at_least_leaves_room_for_the_whole_window_to_be_off(
    ratio: Ratio, least: float | None
) -> None:
    assert ratio.at_least == (least if least is None else pytest.approx(least))


def test_other_work_in_many_rounds_moves_the_ratio_of_quartiles_least() -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(3, 0.03, 400)
    a = 2 * rng.normal(3, 0.03, 400)
    a[::2] *= rng.uniform(1.0, 1.4, 200)  # every other round a neighbour slows a down alone
    found = quartile_ratio(a, b, dropped=7)
    assert found.median == pytest.approx(2, rel=0.02)
    assert abs(found.median - 2) < 0.6 * abs(float(np.median(a) / np.median(b)) - 2)
    assert found.low < 2 < found.high
    assert (found.rounds, found.dropped, found.noisy) == (400, 7, False)
    assert quartile_ratio(10 * a, b).median == pytest.approx(10 * found.median)


def test_the_interval_of_a_median() -> None:
    median, low, high = median_interval(np.random.default_rng(0).normal(5, 1, 101))
    assert 4.5 < low < median < high < 5.5
    assert median_interval([2.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])


def test_noise_in_spells_makes_the_interval_wider_than_the_same_noise_shuffled() -> None:
    rng = np.random.default_rng(1)
    spells = np.repeat(rng.choice([4.0, 5.0], 10), 10) + rng.normal(0, 0.05, 100)
    _, low, high = median_interval(spells)
    _, low_shuffled, high_shuffled = median_interval(rng.permutation(spells))
    assert high - low >= high_shuffled - low_shuffled
    assert high - low > 0.8


def test_the_interval_holds_what_it_promises() -> None:
    """Of many samples, about 95 in 100 have an interval that holds the median they come from."""
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(0, 0.1, 49), seed=i)[1:] for i in range(200)]
    assert 175 <= sum(low <= 1.0 <= high for low, high in intervals) <= 200


@pytest.mark.parametrize(
    "a, b, reason",
    [
        ([1.0], [1.0, 2.0], "equal length"),
        ([], [], "equal length"),
        ([0.0], [1.0], "positive"),
        ([float("nan")], [1.0], "positive"),
    ],
)
def test_samples_that_are_no_pairs_are_refused(a: list[float], b: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        paired_ratio(a, b)


def test_spread_keeps_the_unit() -> None:
    assert spread([10.0, 20.0, 30.0]) == (20.0, (15.0, 25.0))


# --- a busy core

BUSY = """
import numpy as np
from sparsenet.timing import interleaved
x = np.random.default_rng(0).standard_normal(100_000)
out = np.empty_like(x)
calls = {"slow": lambda: [np.exp(x, out=out) for _ in range(8)], "fast": lambda: np.exp(x, out=out)}
print(interleaved(calls, 25).ratio("slow", "fast").told)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_busy_loop_on_the_same_core_does_not_change_the_ratio() -> None:
    """The fast call fits into a time slice, the slow one does not: by the wall it would take 16 times as long."""
    core = min(os.sched_getaffinity(0))
    pin = f"import os; os.sched_setaffinity(0, {{{core}}})\n"
    loop = subprocess.Popen([sys.executable, "-c", pin + "while True: pass"])
    try:
        done = subprocess.run([sys.executable, "-c", pin + BUSY], capture_output=True, text=True, check=True)
    finally:
        loop.kill()
        loop.wait()
    told = done.stdout.strip()
    assert told == "None" or 5 < float(told) < 13


def test_samples_pass_as_lists() -> None:
    namespace = runpy.run_path(clock.__file__)
    sample = namespace["Sample"](1.0, 2.0, 3.0, 4)
    assert Sample(*sample) == (1.0, 2.0, 3.0, 4, None, 0.0, True)
    assert Rounds(THREAD, {"a": [Sample(*sample)]}).clean("a").all()
