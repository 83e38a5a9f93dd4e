"""A short campaign with fixed cases, and a trial of what one notices. ``python -m tests.fuzz`` runs long ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from sparsenet import Engine
from tests.full import FULL
from tests.fuzz import campaign, check, cost, mutate_model, seeds
from tests.fuzz.cases import KINDS, Case
from tests.fuzz.misbehaving_worker import CRASH, HANG

#: Files that a short campaign tries, where they are large or compiled.
FEW = {"large-model": 6, "large-onnx": 6, "c": 8}

#: What campaigns have found and was mended: the case must end well for ever.
REGRESSIONS = [
    "model 2 106810733418106",  # an output that is a constant
    "model 10 113441942457697",
    "model 13 148873069656458",  # a number beyond float32
    "model 16 36890847884981",  # weights that are computed
    "model 8 120288826507480",  # the batch broadcast into another dimension
    "model 5 248137223142882,133534748104632",  # a message of two thousand letters
    "model 0 131542797954961",  # the same in an epilogue
    "model 8 257261082467030",  # padding wider than two vectors beside a depthwise convolution of stride 2
    "onnx 15 56305943696877",  # an attribute of another kind
    "onnx 15 210789289772567,32437172134083,204898858586129",  # a transposed convolution without weights
    "onnx 17 131559283965449,28808174700275",  # onnx's shape inference aborted the process
    "onnx 18 261843896184509,172892501255597,197406937740632,264805958055144,157349851199862",  # an empty attribute
    "onnx 20 130617585942332,151199166656577,159450999582745",  # a branch that is not there
    "onnx 0 146188839654472,103609069106430,55994478546759",  # a name of two thousand letters
    "onnx 1 140577236230340",  # a name that is no UTF-8
    "onnx 18 42584472839164",  # a constant without elements
    "onnx 14 115872897731969",  # an axis that is no whole number
    "onnx 24 222967151140155,127168256116971",  # numbers that are equal in float32 only, sorted
    "onnx 9 157994423926873,41688164197550",  # a bias of infinity, taken zero times
    "quantized-onnx 8 210229534348498",  # a weight whose steps are beyond float32
    "c 15 16544410949692,50421951673461",  # more results than a byte counts
]


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if not kind.startswith("large")))
def test_seeds_run(kind: str) -> None:
    numbers = range(0, len(KINDS[kind].seeds()), 1 if FULL else 12)
    answers = [Case(kind, number, ()).check() for number in numbers]
    assert answers.count("ran") >= 0.8 * len(answers)


@pytest.fixture(scope="module")
def worker() -> Iterator[campaign.Worker]:
    """One for every kind of file: the process takes longer to start than a short campaign."""
    with campaign.Worker(timeout=60, run_every=20) as shared:
        yield shared


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_short_campaign(worker: campaign.Worker, kind: str) -> None:
    count = FEW.get(kind, 60 if FULL else 40)
    cases = (Case.numbered(kind, number) for number in range(count))
    result = campaign.run(cases, worker)
    assert result.findings == []
    assert result.cases == count
    assert sum(n for word, n in result.outcomes.items() if not word.startswith("refused")) > (
        0 if kind in FEW else 2
    )


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="hours; SPARSENET_FULL=1 asks for it")
@pytest.mark.parametrize(
    "kind, count",
    [
        ("model", 200_000),
        ("quantized", 50_000),
        ("onnx", 50_000),
        ("quantized-onnx", 20_000),
        ("large-model", 5_000),
        ("large-onnx", 2_000),
        ("media", 50_000),
        ("c", 5_000),
    ],
)
def test_long_campaign(worker: campaign.Worker, kind: str, count: int) -> None:
    cases = (Case.numbered(kind, number) for number in range(1000, 1000 + count))
    result = campaign.run(cases, worker, progress=2000)
    assert result.findings == []
    assert result.cases == count


def test_a_file_that_costs_too_much_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = seeds.graphs()[0]
    meter = cost.Meter(50_000)
    meter.check(None)
    now = time.thread_time()
    monkeypatch.setattr(time, "thread_time", lambda: now + 1.4)
    meter.check(None)
    monkeypatch.setattr(time, "thread_time", lambda: now + 1.506)
    meter.check(graph)  # its nodes are worth something
    with pytest.raises(
        cost.TooExpensiveError, match=r"1\.5\d s for 50000 bytes, refused; 1\.50 s are allowed"
    ):
        meter.check(None)


@pytest.mark.parametrize("kind", ["quantized", "quantized-onnx"])
def test_an_engine_that_is_a_step_off_is_a_finding(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    class Off(Engine):
        def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: value + np.float32(0.03) for name, value in super().run(feeds).items()}

    monkeypatch.setattr(check, "Engine", Off)
    with pytest.raises(check.MismatchError, match="is off by"):
        Case(kind, 0, ()).check()


@pytest.mark.parametrize("case", REGRESSIONS)
def test_findings_stay_mended(case: str) -> None:
    Case.parse(case).check()


def test_cases_are_repeatable_and_can_be_written_down() -> None:
    for kind in KINDS:
        cases = [Case.numbered(kind, number) for number in range(20)]
        assert len({case.data() for case in cases}) > 15
        for case in cases:
            assert Case.parse(str(case)) == case
            assert Case.parse(str(case)).data() == case.data()


def test_what_is_put_into_a_file_is_not_shared_with_other_files() -> None:
    made = [mutate_model._evil("old", Random(number)) for number in range(1000)]
    lists = [value for value in made if isinstance(value, list)]
    assert any(value in mutate_model.EPILOGUES for value in lists)
    assert not any(value is epilogue for value in lists for epilogue in mutate_model.EPILOGUES)


def trial(seeds: list[int], timeout: float = 1) -> campaign.Result:
    with campaign.Worker(timeout, module="tests.fuzz.misbehaving_worker") as worker:
        return campaign.run((Case("model", seed, (1, 2)) for seed in seeds), worker)


def test_a_campaign_notices_crashes_hangs_and_findings_and_goes_on() -> None:
    start = time.monotonic()
    result = trial([0, 1, CRASH, 0, HANG, 0])
    assert result.outcomes == {"fine": 3}
    assert [(case.seed, campaign.signature(what)) for case, what in result.findings] == [
        (1, "ValueError at x.py:1"), (CRASH, "crash"), (HANG, "hang"),
    ]  # fmt: skip
    assert "-6" in result.findings[1][1]
    assert time.monotonic() - start < 300


def test_findings_are_made_as_small_as_their_changes_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: campaign.Worker, cases: list[Case]) -> list[str]:
        return ["finding A at b.py:1: c" if 3 in case.mutations else "ok" for case in cases]

    monkeypatch.setattr(campaign.Worker, "ask", ask)
    smallest = campaign.minimise(Case("model", 0, (1, 2, 3, 4)), "A at b.py:1: another number")
    assert smallest == Case("model", 0, (3,))
