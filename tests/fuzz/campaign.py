"""Many cases, watched from outside: crashes, hangs, too much memory and wrong answers become findings."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import click

from tests.fuzz.cases import Case

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Result:
    """How often each outcome occurred, and (case, what was wrong) for the rest."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[Case, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Files tried."""
        return sum(self.outcomes.values()) + len(self.findings)


class Worker:
    """The process that runs cases; started when needed, replaced when it dies, stopped at a ``with``'s end."""

    def __init__(self, timeout: float, run_every: int = 1, module: str = "tests.fuzz.worker") -> None:
        self.timeout = timeout
        self.command = [sys.executable, "-m", module, str(run_every)]
        self.process: subprocess.Popen[bytes] | None = None
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, cases: Sequence[Case]) -> Iterator[str]:
        """The worker's answer to each case, ``finding crash …`` and ``finding hang …`` among them."""
        done = 0
        while done < len(cases):
            new = self.process is None
            if self.process is None:
                self._start()
            self._send(cases[done:])
            alive = True
            while alive and done < len(cases):
                answer, alive = self._answer(30 if new else 0)
                new = False
                done += 1
                yield answer

    def _start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment
        )
        self._read = b""

    def _send(self, cases: Sequence[Case]) -> None:
        """All at once, as many as a pipe holds: a process woken for each would mostly wait for its turn."""
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # that it died shows when its answer is missing
            self.process.stdin.write("".join(f"{case}\n" for case in cases).encode())
            self.process.stdin.flush()

    def _answer(self, starting: float) -> tuple[str, bool]:
        """The next line, and whether the process is alive; ``starting``: seconds it may take to start."""
        assert self.process is not None
        assert self.process.stdout is not None
        # Seconds of this process, so that others beside it do not count; but a deadlock uses none.
        start, deadline = _cpu_seconds(self.process.pid), time.monotonic() + 10 * self.timeout + 60
        while b"\n" not in self._read:
            ready, _, _ = select.select([self.process.stdout], [], [], 1.0)
            if ready:
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    code = self.process.wait()
                    self.stop()
                    return f"finding crash: exit status {code}", False
                self._read += piece
                continue
            busy = _cpu_seconds(self.process.pid) - start - starting
            if busy > self.timeout or time.monotonic() > deadline:
                self.stop()
                return f"finding hang: no answer in {self.timeout:g} s", False
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(), True

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self.process = None


def run(
    cases: Iterable[Case], worker: Worker, seconds: float = float("inf"), progress: int | None = None
) -> Result:
    """Try ``cases`` until they or the time run out; after every ``progress`` of them say how it goes."""
    result, start = Result(), time.monotonic()
    for some in _batched(cases, 100):
        for case, answer in zip(some, worker.ask(some), strict=True):
            word, _, rest = answer.partition(" ")
            if word == "ok":
                result.outcomes[rest] += 1
                continue
            result.findings.append((case, rest))
            if progress:
                click.echo(f"finding: {rest}\n  {case}")
        took = time.monotonic() - start
        if progress and result.cases % progress < len(some):
            click.echo(f"{result.cases} files, {result.cases / took:.0f}/s, {len(result.findings)} findings")
        if took > seconds:
            break
    return result


def _batched(cases: Iterable[Case], size: int) -> Iterator[list[Case]]:
    rest = iter(cases)
    while some := list(itertools.islice(rest, size)):
        yield some


def _cpu_seconds(process: int) -> float:
    """Seconds a process has computed (Linux)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def minimise(case: Case, what: str, timeout: float = 60) -> Case:
    """The same kind of finding with as few changes as possible: each is left out in turn."""
    with Worker(timeout) as worker:
        smaller = True
        while smaller:
            smaller = False
            for shorter in _shorter(case):
                (answer,) = worker.ask([shorter])
                if answer.startswith("finding") and signature(answer.partition(" ")[2]) == signature(what):
                    case, smaller = shorter, True
                    break
    return case


def signature(what: str) -> str:
    """What makes two findings the same: the kind of error and its place, not its numbers."""
    return what.split(": ")[0]


def _shorter(case: Case) -> Iterator[Case]:
    for i in range(len(case.mutations)):
        yield replace(case, mutations=case.mutations[:i] + case.mutations[i + 1 :])
