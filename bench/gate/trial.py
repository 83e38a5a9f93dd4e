"""Does the gate cry wolf, does it sleep? Many runs of it as it stands, and many with one kernel made slower."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option
from bench.measure.output import bar, write_json
from sparsenet.commands.options import FiniteRange
from sparsenet.errors import InputError, SparsenetError
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render
from sparsenet.timing import stopwatch

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """One run of the gate.

    Attributes:
        planted: family that was made slower; empty if none.
        answers: group → answer.
        ratios: group → measured speed-up ÷ least expected.
        speedups: group → measured.
        seconds: it took.
        load: of the machine, one-minute average at its end.
    """

    planted: str
    answers: dict[str, str]
    ratios: dict[str, float]
    speedups: dict[str, float]
    seconds: float
    load: float

    @property
    def alarm(self) -> bool:
        """Whether any group failed."""
        return "fails" in self.answers.values()


def run(planted: str, factor: float) -> Run:
    """The gate in a process of its own; with ``planted``, only the groups of that family, ``factor`` times as slow."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "run.json"
        # An exit code tells of failures alone; what was measured is read from the file.
        words = ["bench/gate_speed.py", "-q", "--speed-save", str(saved)]
        if planted:
            from bench.gate.groups import GROUPS

            names = [group.name for group in GROUPS if group.family == planted]
            words = [f"bench/gate_speed.py::test_speed[{name}]" for name in names] + words[1:]
            words += ["--speed-plant", f"{planted}={factor}"]
        passed = stopwatch()
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        seconds = passed()
        if not saved.exists():
            raise SparsenetError(f"the gate did not run: {done.stdout[-2000:]}{done.stderr[-500:]}")
        groups = json.loads(saved.read_text())["groups"]
    answers = {name: str(group["answer"]) for name, group in groups.items()}
    speedups = {name: float(group["ratio"]["median"]) for name, group in groups.items()}
    ratios = {name: speedups[name] / group["limit"] for name, group in groups.items() if group["limit"]}
    return Run(planted, answers, ratios, speedups, seconds, os.getloadavg()[0])


def summary(runs: list[Run]) -> str:
    """Alarms and doubts, per planted family."""
    rows = []
    for planted in dict.fromkeys(run.planted for run in runs):
        own = [run for run in runs if run.planted == planted]
        groups = [answer for run in own for answer in run.answers.values()]
        rows.append(
            (
                planted or "nothing",
                len(own),
                sum(run.alarm for run in own),
                len(groups),
                *(groups.count(answer) for answer in ("holds", "fails", "too noisy to tell")),
                sum(run.seconds for run in own) / len(own),
                f"{min(run.load for run in own):.1f} to {max(run.load for run in own):.1f}",
            )
        )
    header = ["slowed", "runs", "alarms", "groups", "hold", "fail", "too noisy", "seconds a run", "load"]
    return render(header, rows)


@bench_command(
    "taskset -c 1 python -m bench.gate.trial --runs 20 --planted 21 --json trial.json",
    "python -m bench.gate.trial --runs 5 --planted 0 --record",
)
@click.option("--runs", type=click.IntRange(0), default=20, show_default=True, help="Runs as it stands.")
@click.option(
    "--planted", type=click.IntRange(0), default=20, show_default=True, help="Runs with a slower kernel."
)
@click.option(
    "--factor", type=FiniteRange(0, min_open=True), default=1.25, show_default=True, help="How much slower."
)
@click.option("--record", is_flag=True, help="Expect the medians of the runs as it stands from now on.")
@json_option
def main(runs: int, planted: int, factor: float, record: bool, json_file: Path | None) -> None:
    """Run the gate again and again, alone and with each family in turn made slower; tell the alarms."""
    if not (runs if record else runs + planted):
        raise InputError(
            "there is nothing to run" if not record else "only runs as it stands can be recorded: --runs"
        )
    require_outputs([json_file])

    from bench.gate import expected
    from bench.gate.groups import GROUPS
    from bench.measure.versions import versions

    families = list(dict.fromkeys(group.family for group in GROUPS))
    todo = ["" for _ in range(runs)] + [families[i % len(families)] for i in range(planted)]
    done: list[Run] = []
    with bar(len(todo), "run") as progress:
        for family in todo:
            done.append(run(family, factor))
            write_json(json_file, {"versions": versions(), "factor": factor, "runs": done})
            progress.update()
    click.echo(summary(done))
    if record:
        alone = [run.speedups for run in done if not run.planted]
        expected.record({name: median(run[name] for run in alone) for name in alone[0]})


if __name__ == "__main__":
    main()
