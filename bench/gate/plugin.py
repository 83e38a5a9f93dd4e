"""The pytest plugin: tests hold groups of layers to their speed-ups.

A test asks for the fixture ``speed`` and says ``speed.hold(group)``. Outputs are compared with PyTorch's, in 8 bits
with the reference's, before anything is timed; then the group passes, fails with what is needed to find the cause, or
is skipped as too noisy to tell. Where nothing failed, but something was too noisy, pytest ends with exit code 8.

    pytest bench/gate_speed.py                           # against the minima in bench/gate/expected.toml
    pytest bench/gate_speed.py --speed-save before.json --speed-rounds 36   # ... and keep the run
    pytest bench/gate_speed.py --speed-baseline before.json  # now ÷ that run, on the same machine
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from bench.gate import expected
from bench.gate.expected import Limits
from bench.gate.groups import GROUPS, Group, Held
from bench.gate.paired import Ratio
from bench.gate.verdict import FIRST_ROUNDS, Answer, Verdict, decide
from bench.measure.agreement import KERNEL_TOLERANCE
from sparsenet.checks import real_number
from sparsenet.errors import SparsenetError
from sparsenet.text.nearest import did_you_mean
from sparsenet.text.table import render

#: How often a group is built and measured at most.
LOOKS = 3
#: What pytest exits with if nothing failed and the machine was too noisy to tell of some group.
UNSURE_EXIT = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    """The gate's options."""
    options = parser.getgroup("speed", "holding speed-ups")
    options.addoption(
        "--speed-seconds", type=float, default=20.0,
        help="how long a group may be measured until the answer is sure (default: 20)",
    )  # fmt: skip
    options.addoption(
        "--speed-baseline", type=Path, help="a run of this machine that speed-ups are held against"
    )
    options.addoption("--speed-save", type=Path, help="keep this run's speed-ups in a file")
    options.addoption(
        "--speed-rounds", type=int, default=FIRST_ROUNDS, help=f"rounds at least (default: {FIRST_ROUNDS})"
    )
    options.addoption(
        "--speed-record", action="store_true", help="write this run's into bench/gate/expected.toml"
    )
    options.addoption(
        "--speed-plant", type=family_and_factor, metavar="FAMILY=FACTOR",
        help="pretend that kernels of a family take so many times as long, to see the gate catch it",
    )  # fmt: skip


def family_and_factor(text: str) -> tuple[str, float]:
    """Both sides of the equals sign; an error if no group holds the family, or the factor is no number above 0."""
    family, _, factor = text.partition("=")
    families = dict.fromkeys(group.family for group in GROUPS)
    if family not in families:
        hint = did_you_mean(family, families) or f"; there are {', '.join(families)}"
        raise argparse.ArgumentTypeError(f"the gate holds no kernel family '{family}'{hint}")
    return family, real_number(float(factor or 1), "the factor", above=True)


class Speed:
    """What one session has measured."""

    def __init__(self, config: pytest.Config) -> None:
        self.seconds = config.getoption("--speed-seconds")
        self.baseline: Path | None = config.getoption("--speed-baseline")
        self.recording = config.getoption("--speed-record")
        self.least_rounds = config.getoption("--speed-rounds")
        self.planted = config.getoption("--speed-plant") or ("", 1.0)
        self.measured: dict[str, dict[str, Any]] = {}
        try:
            self.limits = expected.baseline(self.baseline) if self.baseline else expected.expected()
        except SparsenetError as error:
            if not self.recording:
                raise pytest.UsageError(str(error)) from error
            self.limits = Limits({}, "nothing", {})

    def hold(self, group: Group) -> Verdict:
        """Fail the test if the group is slower than expected, skip it if nobody can tell.

        What does not hold is looked at again with everything built anew, elsewhere in memory: two failures are one.
        """
        limit = 0.0 if self.recording else self.limits.least.get(group.name, 0.0)
        failures = 0
        for _ in range(LOOKS):
            layers = self._checked(group)
            verdict = decide(
                [layer.pair() for layer in layers], limit, self.seconds / LOOKS, self.least_rounds
            )
            failures += verdict.answer is Answer.FAILS
            if verdict.answer is Answer.HOLDS or failures == 2:
                break
        if verdict.answer is Answer.FAILS and failures < 2:
            verdict = replace(verdict, answer=Answer.UNSURE)
        self.measured[group.name] = {
            "answer": verdict.answer.value, "limit": limit, "against": group.against, "sparsity": group.sparsity,
            "layers": [layer.layer.name for layer in layers], "kernels": [layer.kernel for layer in layers],
            "ratio": asdict(verdict.ratio),
        }  # fmt: skip
        if verdict.answer is Answer.FAILS:
            pytest.fail(self._blame(group, layers, verdict), pytrace=False)
        if verdict.answer is Answer.UNSURE:
            pytest.skip(f"too noisy to tell: {group.name} {verdict.text}")
        return verdict

    def _checked(self, group: Group) -> list[Held]:
        factor = self.planted[1] if self.planted[0] == group.family else 1.0
        layers = [Held(group, layer, factor) for layer in group.layers]
        for layer in layers:
            error = layer.error()
            if not error <= KERNEL_TOLERANCE:
                pytest.fail(
                    f"{layer.kernel} computes something else than {layer.truth} on '{layer.layer.name}': off by "
                    f"{error:.2g} of the largest value, so it is not timed",
                    pytrace=False,
                )
        return layers

    def _blame(self, group: Group, layers: list[Held], verdict: Verdict) -> str:
        lines = [
            f"{group.name}: slower than expected against {group.against}: {verdict.text} ({self.limits.source}).",
            f"weights: {group.weights}; layers and kernels:",
            *(f"  {layer.layer.name}: {layer.kernel}" for layer in layers),
            f"changed since: {self.limits.changed()}",
        ]
        return "\n".join(lines)


_KEY = pytest.StashKey[Speed]()


@pytest.fixture(scope="session")
def speed(request: pytest.FixtureRequest) -> Iterator[Speed]:
    """Holds groups of layers to their speed-ups, one thread."""
    config = request.config
    if _KEY not in config.stash:
        config.stash[_KEY] = Speed(config)
    with threadpool_limits(1):
        yield config.stash[_KEY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A row for every group."""
    session = config.stash.get(_KEY, None)
    if session is None or not session.measured:
        return
    rows = []
    for name, entry in session.measured.items():
        ratio = Ratio(**entry["ratio"])
        interval = f"{ratio.low:.3g} to {ratio.high:.3g}"
        rows.append(
            (
                name,
                entry["against"],
                ratio.median,
                interval,
                f"{ratio.floor:.1%}",
                ratio.rounds,
                ratio.dropped,
                entry["limit"] or None,
                entry["answer"],
            )
        )
    terminalreporter.section(f"speed-ups, expected: {session.limits.source}; load {os.getloadavg()[0]:.1f}")
    header = [
        "group",
        "against",
        "speed-up",
        "99 % interval",
        "noise floor",
        "rounds",
        "dropped",
        "at least",
        "answer",
    ]
    terminalreporter.write_line(render(header, rows))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the run where that was asked for; an exit code tells that nobody can tell."""
    run = session.config.stash.get(_KEY, None)
    if run is None or not run.measured:
        return
    unsure = any(entry["answer"] == Answer.UNSURE.value for entry in run.measured.values())
    if unsure and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = UNSURE_EXIT
    path: Path | None = session.config.getoption("--speed-save")
    if path:
        expected.save(path, run.measured)
    if run.recording:
        known = {name: entry["ratio"] for name, entry in run.measured.items() if entry["ratio"]["rounds"]}
        expected.record({name: ratio["median"] for name, ratio in known.items()})
