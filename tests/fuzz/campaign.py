"""Many cases, watched from outside: crashes, hangs, too much memory and wrong answers become findings."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

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
    """The process that runs cases; started when needed, replaced when it dies."""

    def __init__(self, timeout: float, command: list[str] | None = None) -> None:
        self.timeout = timeout
        self.command = command or [sys.executable, "-m", "tests.fuzz.worker"]
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, case: Case) -> str:
        """The worker's answer to a case, ``finding crash …`` or ``finding hang …``."""
        first = self.process is None
        if self.process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{case}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        line = b""
        # Seconds of this process, so that others beside it do not count; but a deadlock uses none.
        start, deadline = _cpu_seconds(self.process.pid), time.monotonic() + 10 * self.timeout + 60
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], 1.0)
            if not ready:
                busy = _cpu_seconds(self.process.pid) - start - (30 if first else 0)
                if busy > self.timeout or time.monotonic() > deadline:
                    self.stop()
                    return f"finding hang: no answer in {self.timeout:g} s"
                continue
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return self._died()
            line += piece
        return line.decode().strip()

    def _died(self) -> str:
        assert self.process is not None
        code = self.process.wait()
        self.stop()
        return f"finding crash: exit status {code}"

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process = None


def run(cases: Iterable[Case], timeout: float = 60, seconds: float = float("inf")) -> Result:
    """Try ``cases`` until they or the time run out."""
    result, worker, end = Result(), Worker(timeout), time.monotonic() + seconds
    try:
        for case in cases:
            answer = worker.ask(case)
            word, _, rest = answer.partition(" ")
            if word == "ok":
                result.outcomes[rest] += 1
            else:
                result.findings.append((case, rest))
            if time.monotonic() > end:
                break
    finally:
        worker.stop()
    return result


def _cpu_seconds(process: int) -> float:
    """Seconds a process has computed (Linux)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def minimise(case: Case, what: str, timeout: float = 60) -> Case:
    """The same kind of finding with as few changes as possible: each is left out in turn."""
    worker = Worker(timeout)
    try:
        smaller = True
        while smaller:
            smaller = False
            for shorter in _shorter(case):
                answer = worker.ask(shorter)
                if answer.startswith("finding") and signature(answer.partition(" ")[2]) == signature(what):
                    case, smaller = shorter, True
                    break
    finally:
        worker.stop()
    return case


def signature(what: str) -> str:
    """What makes two findings the same: the kind of error and its place, not its numbers."""
    return what.split(": ")[0]


def _shorter(case: Case) -> Iterator[Case]:
    for i in range(len(case.mutations)):
        yield replace(case, mutations=case.mutations[:i] + case.mutations[i + 1 :])
