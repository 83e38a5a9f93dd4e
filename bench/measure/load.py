"""Other work beside a measurement: processes that compute meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

#: What a program says when it is at work.
AT_WORK = 'print("at work", flush=True)'
SPIN = f"{AT_WORK}\nwhile True: pass"


@contextmanager
def processes(count: int, program: str, *arguments: object) -> Iterator[None]:
    """``count`` Python processes that are at work, and end with the block.

    Args:
        program: says ``AT_WORK`` when it is.
        arguments: its ``sys.argv[1:]``.
    """
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with ExitStack() as started:
        running = []
        for _ in range(count):
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE))  # noqa: S603 - this interpreter
            started.callback(running[-1].communicate)
            started.callback(running[-1].kill)
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        yield


@contextmanager
def spinning_on(cores: Sequence[int]) -> Iterator[None]:
    """A loop computes on each of these cores meanwhile."""
    with ExitStack() as loops:
        for core in cores:
            with pinned([core]):
                loops.enter_context(processes(1, SPIN))
        yield


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
