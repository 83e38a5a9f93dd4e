"""The gate: what it calls sure, what it calls noise; wrong results before times; failures that say where to look."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench.gate import expected, plugin, trial
from bench.gate.groups import GROUPS, Held
from bench.gate.paired import LEAST_FLOOR, Pair, Ratio, ratio_of, take_rounds
from bench.gate.plugin import UNSURE_EXIT
from bench.gate.verdict import FIRST_ROUNDS, Answer, Verdict, answer_to, decide
from bench.measure.versions import versions
from sparsenet.errors import SparsenetError
from sparsenet.io.formats import CSR
from sparsenet.targets.cpu.lower import linear
from sparsenet.targets.host import host

ROOT = Path(__file__).resolve().parents[3]
#: The quickest group.
NAME = "linear csr, 90 % zeros"


class Clockwork:
    """A callable that takes scripted seconds with reproducible noise."""

    def __init__(self, seconds: float, noise: float, seed: int) -> None:
        self.seconds, self.noise, self.rng = seconds, noise, np.random.default_rng(seed)

    def __call__(self) -> float:
        return self.seconds * (1 + self.noise * float(self.rng.exponential()))


def pair(speedup: float, noise: float, seed: int = 0) -> Pair:
    a, again, b, b_again = (
        Clockwork(s, noise, 4 * seed + i) for i, s in enumerate([speedup, speedup, 1.0, 1.0])
    )
    return Pair((a, again), (b, b_again))


def test_a_round_keeps_the_least_of_its_turns_and_every_callable_has_as_many() -> None:
    calls: list[int] = []

    def call(number: int) -> float:
        calls.append(number)
        return 1.0 + calls.count(number) % 5

    one, two, three, four = (partial(call, number) for number in range(4))
    logs = take_rounds(Pair((one, two), (three, four)), 2, turns=5)
    assert [calls.count(number) for number in range(4)] == [10, 10, 10, 10]
    assert calls[:8] == [0, 1, 2, 3, 1, 2, 3, 0]
    np.testing.assert_allclose(np.exp(logs), 1.0)


def test_drift_of_the_whole_machine_cancels() -> None:
    drift = np.linspace(0, 1, 40)[:, None]
    ratio = ratio_of([np.log([[6.0, 6.0, 2.0, 2.0]]) + drift])
    assert ratio.median == pytest.approx(3.0)
    assert (ratio.low, ratio.high) == (pytest.approx(3.0), pytest.approx(3.0))
    assert ratio.floor == LEAST_FLOOR


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        logs = rng.normal(0, 0.2, (31, 4)) + np.log([2.0, 2.0, 1.0, 1.0])
        ratio = ratio_of([logs])
        inside += ratio.low <= 2.0 <= ratio.high
    assert inside >= 190


def test_the_noise_floor_is_what_the_same_code_differs_from_itself() -> None:
    for times in ([4.0, 4.0, 1.0, 1.1], [4.4, 4.0, 1.0, 1.0]):
        assert ratio_of([np.tile(np.log(times), (20, 1))]).floor == pytest.approx(0.1)


def test_several_pairs_count_by_their_geometric_mean() -> None:
    logs = [np.tile(np.log([speedup, speedup, 1.0, 1.0]), (5, 1)) for speedup in (2.0, 8.0)]
    assert ratio_of(logs).median == pytest.approx(4.0)


def test_disturbed_turns_and_rounds_do_not_count() -> None:
    # Every third turn of one callable is disturbed; then all of them are.
    turns = itertools.cycle([2.0, 2.0, np.inf])
    logs = take_rounds(Pair((lambda: next(turns), lambda: 2.0), (lambda: 1.0, lambda: 1.0)), 5, turns=2)
    assert np.isfinite(logs).all()
    assert ratio_of([logs]).median == pytest.approx(2.0)
    logs = take_rounds(Pair((lambda: np.inf, lambda: 2.0), (lambda: 1.0, lambda: 1.0)), 5)
    ratio = ratio_of([logs])
    assert (ratio.rounds, ratio.dropped) == (0, 15)
    assert answer_to(ratio, 0.1) is Answer.UNSURE
    mixed = np.concatenate([logs, np.tile(np.log([2.0, 2.0, 1.0, 1.0]), (6, 1))])
    ratio = ratio_of([mixed])
    assert (ratio.median, ratio.rounds, ratio.dropped) == (pytest.approx(2.0), 6, 15)


@pytest.mark.parametrize("bad", [[], [np.empty((0, 4))]])
def test_nothing_measured_is_no_ratio(bad: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ratio_of(bad)


def test_times_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        take_rounds(Pair((lambda: 0.0, lambda: 1.0), (lambda: 1.0, lambda: 1.0)), 2)


@pytest.mark.parametrize(
    "low, high, floor, answer",
    [
        (2.1, 2.2, 0.01, Answer.HOLDS),
        (1.7, 1.9, 0.01, Answer.FAILS),
        (1.9, 2.1, 0.01, Answer.UNSURE),
        (1.7, 1.9, 0.10, Answer.UNSURE),  # within what the same code differs from itself
        (2.1, 2.2, 0.10, Answer.UNSURE),
    ],
)
def test_only_what_noise_cannot_explain_is_sure(
    low: float, high: float, floor: float, answer: Answer
) -> None:
    assert answer_to(Ratio((low * high) ** 0.5, low, high, floor, 9), 2.0) is answer


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_a_quarter_slower_is_found_and_no_alarm_without(noise: float) -> None:
    found = [decide([pair(3.0 / 1.25, noise, seed)], 0.9 * 3.0, 5.0).answer for seed in range(20)]
    quiet = [decide([pair(3.0, noise, seed)], 0.9 * 3.0, 5.0).answer for seed in range(20)]
    assert set(found) == {Answer.FAILS}
    assert set(quiet) == {Answer.HOLDS}


def test_too_noisy_is_an_answer() -> None:
    verdict = decide([pair(3.0, 30.0)], 2.9, 0.0)
    assert verdict.answer is Answer.UNSURE
    assert "noise floor" in verdict.text


def test_more_rounds_are_taken_until_it_is_sure() -> None:
    verdict = decide([pair(2.96, 0.1)], 2.9, 30.0)
    assert verdict.answer is Answer.HOLDS
    assert verdict.ratio.rounds > FIRST_ROUNDS


def test_every_group_is_expected_something() -> None:
    table = expected.expected()
    if not table.least:
        pytest.skip(f"nothing is recorded for {host().name}")
    assert table.least.keys() == {group.name for group in GROUPS}
    assert all(0.01 < least < 20 for least in table.least.values())


def test_another_cpu_is_asked_for_less(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    expected.record({"a": 2.0}, path)
    assert expected.expected(path).least == {"a": pytest.approx(2.0 * expected.SAME_CPU)}
    path.write_text(path.read_text().replace(versions()["cpu"], "another one"))
    limits = expected.expected(path)
    assert limits.least == {"a": pytest.approx(2.0 * expected.OTHER_CPU)}
    assert "cpu: another one ->" in limits.changed()
    expected.record({"b": 3.0}, path)
    assert set(expected.expected(path).least) == {"a", "b"}


def test_a_saved_run_is_a_baseline_here_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    expected.save(
        path, {"g": {"ratio": {"median": 2.0, "low": 1.9, "high": 2.1, "floor": 0.02, "rounds": 9}}}
    )
    limits = expected.baseline(path)
    assert limits.least["g"] == pytest.approx(1.9 / 1.02 * 0.95)
    assert limits.changed() == "nothing"
    record = json.loads(path.read_text())
    record["versions"]["numba"] = "0.0"
    path.write_text(json.dumps(record))
    assert expected.baseline(path).changed() == f"numba: 0.0 -> {versions()['numba']}"
    record["versions"]["cpu"] = "another one"
    path.write_text(json.dumps(record))
    with pytest.raises(SparsenetError, match="save a new run here"):
        expected.baseline(path)


RATIO = '{"median": 2, "low": %s, "high": 2, "floor": %s, "rounds": 9}'


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "{}",
            '{"groups": {"g": {}}, "versions": {}}',
            "[" * 100_000,
            '{"groups": {}, "groups": {}}',
        ),
        *(
            '{"groups": {"g": {"ratio": ' + RATIO % values + '}}, "versions": {}}'
            for values in (("NaN", 1), ("1e999", 1), ('"1"', 1), (1, -1), (1, "null"), (1, "9" * 400))
        ),
    ],
    ids=lambda text: text[30:90],
)
def test_what_is_no_run_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(SparsenetError, match="not a run saved"):
        expected.baseline(path)


class Gate:
    """The gate's own pytest run, in this process: importing PyTorch once is enough for all of them."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code and what was printed, of one group."""
        plugins = ("-p", "no:cacheprovider", "-p", "no:faulthandler", "-W", "ignore::pytest.PytestWarning")
        code = pytest.main([f"{ROOT}/bench/gate_speed.py::test_speed[{NAME}]", "-s", *plugins, *words])
        return int(code), self.capsys.readouterr().out


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    return Gate(capsys)


@pytest.mark.parametrize(
    "answer, failed, code",
    [("holds", False, 0), ("too noisy to tell", False, UNSURE_EXIT), ("fails", True, 1)],
)
def test_the_exit_code_tells_noise_from_success_and_failure(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, answer: str, failed: bool, code: int
) -> None:
    verdict = Verdict(Answer(answer), Ratio(1.0, 0.9, 1.1, 0.01, 9), 1.0)
    monkeypatch.setattr(plugin, "decide", lambda *_: verdict)
    found, printed = gate()
    assert found == code, printed
    assert failed == ("slower than expected" in printed)


def test_planting_work_in_a_family_that_nothing_holds_is_refused() -> None:
    assert plugin.family_and_factor(f"{GROUPS[0].family}=1.25") == (GROUPS[0].family, 1.25)
    with pytest.raises(
        argparse.ArgumentTypeError, match=f"no kernel family 'f32_.*did you mean '{GROUPS[0].family}'"
    ):
        plugin.family_and_factor(f"{GROUPS[0].family}x=1.25")


def test_planted_work_is_a_quarter_more() -> None:
    group = next(group for group in GROUPS if group.name == NAME)
    held = Held(group, group.layers[0])
    (alone, slow) = held.copies
    for copy in held.copies:
        copy.repeat(1e-4)
    slow.slow_down(1.25)
    assert len(slow._rows) / slow.runs == pytest.approx(1.25 * len(alone._rows) / alone.runs)


def test_a_failure_says_layer_kernel_format_and_what_changed(gate: Gate, tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    ratio = {"median": 99.0, "low": 99.0, "high": 99.0, "floor": 0.01, "rounds": 9}
    expected.save(saved, {NAME: {"ratio": ratio}})
    record = json.loads(saved.read_text())
    record["versions"]["numba"] = "0.0"
    saved.write_text(json.dumps(record))
    code, printed = gate("--speed-baseline", str(saved))
    assert code == 1, printed
    for words in (
        "slower than expected",
        "(in L2) linear 512-256: f32_linear_csr_flat__cpu_v",
        "sparse, 90% zeros",
        "numba: 0.0 ->",
    ):
        assert words in printed, printed


def test_a_wrong_result_fails_before_it_is_timed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(csr: CSR) -> CSR:
        return dataclasses.replace(csr, values=2 * csr.values)

    honest = linear.linear_groups
    monkeypatch.setattr(linear, "linear_groups", lambda csr, lanes: honest(doubled(csr), lanes))
    monkeypatch.setattr(plugin, "decide", lambda *_: pytest.exit("it was timed"))
    code, printed = gate()
    assert code == 1, printed
    assert "computes something else than PyTorch" in printed
    assert "is not timed" in printed
    assert "it was timed" not in printed


def test_the_trial_counts_alarms() -> None:
    quiet = trial.Run("", {"a": "holds", "b": "too noisy to tell"}, {"a": 1.1, "b": 1.0}, {}, 3.0, 1.0)
    loud = trial.Run("f32_x", {"a": "fails"}, {"a": 0.9}, {}, 3.0, 2.0)
    assert not quiet.alarm
    assert loud.alarm
    lines = trial.summary([quiet, loud, loud]).splitlines()
    assert lines[2].split()[:3] == ["nothing", "1", "0"]
    assert lines[3].split()[:3] == ["f32_x", "2", "2"]
