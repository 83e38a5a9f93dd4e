"""A network against what it was: three answers, and what is no baseline."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Ended

import sparsenet
from bench.gate.verdict import Answer
from bench.model.baseline import Baseline, Cell, cell_of
from bench.model.cli import bench
from bench.model.hold import LOOKS, Held, hold, verdict
from bench.model.results import Result
from sparsenet.cli import main
from sparsenet.errors import InputError
from sparsenet.timing import PROCESS, Sample
from tests.sparsenet.sample_graphs import tiny_graph

NOW = datetime.now(UTC)
QUICK = ["--rounds", "3", "-w", "0", "-q"]


def result(yardsticks: float | None, half: float = 0.01, threads: int = 1) -> Result:
    values: dict[str, Any] = dict.fromkeys((field.name for field in dataclasses.fields(Result)), 0)
    interval = (None, None) if yardsticks is None else (yardsticks * (1 - half), yardsticks * (1 + half))
    values |= {"engine": "ours", "sparsity": 0.9, "block": "1x1", "threads": threads, "batch": 1}
    return Result(
        **values | {"yardsticks": yardsticks, "yardsticks_low": interval[0], "yardsticks_high": interval[1]}
    )


def held(looks: list[float | None], least: float = 0.95) -> Held:
    """What becomes of a network of two yardsticks that these looks find so many times as fast."""
    found: Iterator[Result] = iter([result(None if speed is None else 2 / speed) for speed in looks])
    old = Baseline({cell_of(result(2.0)): result(2.0)}, ("ours",), {}, NOW)
    (one,) = hold(old, [next(found)], least, lambda _: next(found))
    assert next(found, None) is None
    return one


@pytest.mark.parametrize(
    "looks, answer",
    [
        ([1.0], "holds"),
        ([1.3], "holds"),
        ([0.9, 0.9], "fails"),
        ([0.9, 1.0], "holds"),  # an unlucky look is none
        ([0.9, None, 0.9], "fails"),
        ([0.95, 0.96, 0.955], "too noisy to tell"),
        ([None, 0.9, None], "too noisy to tell"),
        ([None, 0.955, 0.9], "too noisy to tell"),
    ],
)
def test_a_failure_needs_two_looks(looks: list[float | None], answer: str) -> None:
    one = held(looks)
    assert (one.answer, one.looks) == (answer, len(looks))
    assert len(looks) <= LOOKS


def test_intervals_of_both_runs_count() -> None:
    one = held([1.0])
    assert one.low == pytest.approx(1 / (1 + 0.01 * 2**0.5), rel=1e-3)
    assert one.high == pytest.approx(1 * (1 + 0.01 * 2**0.5), rel=1e-3)


def test_the_worst_row_decides_and_rows_of_one_run_alone_do_not() -> None:
    rows = [held([1.0]), held([0.95, 0.96, 0.955])]
    assert verdict(rows) is Answer.UNSURE
    assert verdict([*rows, held([0.5, 0.5])]) is Answer.FAILS

    def never(cell: Cell) -> Result:
        raise AssertionError(cell)

    old = Baseline({cell_of(result(2.0)): result(2.0)}, ("ours",), {}, NOW)
    assert len(hold(old, [result(2.0), result(9.0, threads=2)], 0.95, never)) == 1
    with pytest.raises(InputError, match="no row of the baseline"):
        hold(old, [result(2.0, threads=2)], 0.95, never)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    sparsenet.save(tiny_graph(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def old(model: Path) -> Path:
    """Its baseline at two sparsities, of which other times are made by ``scaled``."""
    path = model.with_name("old.json")
    words = [
        model,
        "--engines",
        "ours",
        "dense",
        "--threads",
        "1",
        "--sparsity",
        "0.5,0.9",
        *QUICK,
        "-x",
        path,
    ]
    ended = CliRunner().invoke(bench, [str(word) for word in words], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    scaled(path, 1.0)
    return path


def scaled(path: Path, factor: float, **versions: str) -> None:
    """Let the baseline have been ``factor`` yardsticks, whatever it was."""
    record = json.loads(path.read_text())
    for row in record["results"]:
        row |= {"yardsticks": factor, "yardsticks_low": 0.99 * factor, "yardsticks_high": 1.01 * factor}
    record["versions"] |= versions
    path.write_text(json.dumps(record))


def against(model: Path, old: Path, *words: str) -> Ended:
    return CliRunner().invoke(main, ["bench", str(model), "--baseline", str(old), *QUICK, *words])


@pytest.mark.parametrize("factor, code, answer", [(1e3, 0, "holds"), (1e-9, 1, "fails")])
def test_the_exit_code_tells(
    model: Path, old: Path, factor: float, code: int, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PROCESS, "judged", lambda wall, cpu, came: Sample(1e-3, wall, cpu, *came, clean=True))
    scaled(old, factor)
    ended = against(model, old, "--json")
    assert ended.exit_code == code, ended.stdout[-900:]
    record = json.loads(ended.stdout)
    assert record["held"]["answer"] == answer
    assert [(row["engine"], row["sparsity"]) for row in record["held"]["rows"]] == [
        ("ours", 0.5),
        ("ours", 0.9),
    ]
    assert {row["engine"] for row in record["results"]} == {"ours"}


def test_noise_has_a_code_of_its_own(model: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS, "judged", lambda wall, cpu, came: Sample(cpu, wall, cpu, *came, clean=False))
    ended = against(model, old, "--sparsity", "0.9")
    assert ended.exit_code == 8
    assert ended.stdout.splitlines()[-1] == "against the baseline, at least 0.95 × as fast: too noisy to tell"


def test_a_limit_without_a_baseline_holds_nothing_and_is_refused(model: Path) -> None:
    ended = CliRunner().invoke(main, ["bench", str(model), "--fail-below", "0.95"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    assert "add --baseline FILE" in ended.stderr


def test_what_is_no_baseline_is_one_line(model: Path, old: Path) -> None:
    scaled(old, 1.0, cpu="another")
    assert "another processor, another instead of" in against(model, old).stderr
    for text in (
        "{}",
        "no JSON",
        '{"results": [], "versions": {}}',
        '{"results": [{"engine": 3}], "versions": {}}',
    ):
        old.write_text(text)
        ended = against(model, old)
        assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
        assert "is not what `sparsenet bench --export-path` writes" in ended.stderr
    assert "No such file" in against(model, old.with_name("none")).stderr


def test_pytest_benchmark_compares_two_records(old: Path) -> None:
    new = old.with_name("new.json")
    new.write_text(old.read_text())
    command = [
        sys.executable,
        "-m",
        "pytest_benchmark",
        "compare",
        old,
        new,
        "--columns",
        "min,median,max,iqr,rounds",
    ]
    done = subprocess.run(command, cwd=old.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ours-0.9-1x1-threads1-batch1") == 2
