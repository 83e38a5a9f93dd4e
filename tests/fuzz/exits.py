"""Ends of processes amid an engine's work: ``python -m tests.fuzz.exits --kind daemons --threads 2 --cases 1000``.

Every case is a process that ends in its way at a random moment: a fork of one that has everything loaded, which then
ends as any other, or, with ``--fresh``, a new interpreter. A crash, an end that does not come, a word on stderr or
another status than that way has is a finding.
"""

from __future__ import annotations

import argparse
import atexit
import builtins
import faulthandler
import gc
import multiprocessing
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np

from sparsenet import Engine
from sparsenet.errors import SparsenetError
from tests.fuzz.interrupts import network, tasks

#: Seconds after which a process is one that does not end.
HANG = 120.0
#: What a refused process may take beyond what it has, at most.
ROOM = 48 * 2**20


class Case:
    """What a process needs: an engine, what it must answer, and chance."""

    def __init__(self, threads: int) -> None:
        self.random, self.threads = random.Random(), threads
        self.x = np.random.default_rng(0).standard_normal((2, 8, 16, 16)).astype(np.float32)
        self.engine = Engine(network(), threads)
        self.answer = self.engine(self.x)

    def check(self, engine: Engine | None = None) -> None:
        """Run once; AssertionError if the answer is wrong."""
        assert np.array_equal((engine or self.engine)(self.x), self.answer)

    def keep_running(self) -> None:
        """Run for ever."""
        while True:
            self.check()

    def beside(self, work: Callable[[], object], count: int = 2) -> None:
        """Begin daemon threads that do this, and leave them a moment."""
        for _ in range(count):
            threading.Thread(target=work, daemon=True).start()
        self.pause()

    def pause(self) -> None:
        """Up to 20 ms."""
        time.sleep(self.random.random() * 0.02)


# --- ways to end --------------------------------------------------------------------------------------------------


def daemons(case: Case) -> None:
    """Daemon threads are running the engine."""
    case.beside(case.keep_running)


def building(case: Case) -> None:
    """Daemon threads are making engines, profiling and closing them."""

    def build() -> None:
        while True:
            engine = Engine(network(), case.threads)
            engine.profile(case.x, runs=1)
            engine.close()

    case.beside(build)


def pool(case: Case) -> None:
    """Threads that are waited for have runs before them."""
    executor = ThreadPoolExecutor(2)
    for _ in range(20):
        executor.submit(case.check)
    case.pause()


def at_exit(case: Case) -> None:
    """The engine is run, another made, and both closed, by what runs at the end."""

    def last() -> None:
        case.check()
        other = Engine(network(), case.threads)
        case.check(other)
        other.close()
        case.engine.close()
        case.check()

    atexit.register(last)
    case.beside(case.keep_running, case.random.randrange(3))


class _Last:
    """Runs an engine when it is freed."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __del__(self) -> None:
        try:
            self.case.check()
            self.case.check(Engine(network(), self.case.threads))
        except (ImportError, AttributeError, TypeError, NameError):
            pass  # modules are torn down by then: anything but a crash


def freed_late(case: Case) -> None:
    """The engine is run by objects that are freed with the modules, alone, in a cycle, or at the very last."""
    globals()["_last"] = _Last(case)
    cycle: Any = _Last(case)
    cycle.itself = cycle
    builtins._sparsenet_last = _Last(case)  # type: ignore[attr-defined]
    case.beside(case.keep_running, case.random.randrange(2))


def dropped(case: Case) -> None:
    """Other threads run engines that nobody else holds, and drop them; so does this one."""

    def drop() -> None:
        while True:
            engine = Engine(network(), case.threads)
            threading.Thread(target=case.check, args=(engine,), daemon=True).start()
            del engine
            gc.collect()

    threading.Thread(target=case.check, args=(case.engine,), daemon=True).start()
    del case.engine
    gc.collect()
    case.beside(drop, 1)


def closed(case: Case) -> None:
    """Threads run and close the engine all the time."""

    def close() -> None:
        while True:
            case.engine.close()

    case.beside(case.keep_running)
    case.beside(close, 1)


def forked(case: Case) -> None:
    """A fork amid runs of daemon threads runs the engine and ends, as its parent does."""
    case.beside(case.keep_running)
    child = os.fork()
    case.check()
    case.check(Engine(network(), case.threads))
    case.engine.close()
    case.check()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0, f"the fork ended with {status}"
    elif case.random.random() < 0.5:
        case.beside(case.keep_running)


def multiprocess(case: Case) -> None:
    """Forks by multiprocessing do the same; one of them is killed."""
    case.beside(case.keep_running, 1)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work) for work in (case.check, case.keep_running)]
    for child in children:
        child.start()
    children[1].kill()
    for child in children:
        child.join(HANG)
    assert [child.exitcode for child in children] == [0, -signal.SIGKILL]


def exit_in_thread(case: Case) -> None:
    """sys.exit in threads ends those threads, and then the main thread leaves by it."""

    def leave() -> None:
        case.check()
        sys.exit(1)

    case.beside(case.keep_running)
    threads = [threading.Thread(target=leave) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(0)


def no_cleaning(case: Case) -> None:
    """os._exit amid runs, from another thread."""
    case.beside(case.keep_running)
    case.beside(lambda: os._exit(0), 1)
    case.keep_running()


def terminated(case: Case) -> None:
    """SIGTERM amid runs, of this thread and of others."""
    case.beside(case.keep_running, 1)
    case.beside(lambda: os.kill(os.getpid(), signal.SIGTERM), 1)
    case.keep_running()


def killed(case: Case) -> None:
    """SIGKILL amid runs, of this thread and of others."""
    case.beside(case.keep_running, 1)
    case.beside(lambda: os.kill(os.getpid(), signal.SIGKILL), 1)
    case.keep_running()


def handled(case: Case) -> None:
    """A handler of SIGTERM that runs the engine once more and leaves, as a service's does."""

    def handle(*_: object) -> None:
        case.check()
        sys.exit(0)

    signal.signal(signal.SIGTERM, handle)
    case.beside(case.keep_running, 1)
    threading.Timer(case.random.random() * 0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
    case.keep_running()


def refused(case: Case) -> None:
    """The system gives no memory, or not enough for more threads: what cannot be done is a typed error."""
    case.engine.close()
    del case.engine
    gc.collect()
    before = tasks()
    limits = None
    if (
        os.geteuid() == 0 and case.random.random() < 0.5
    ):  # those of this user, who must not be root, whom the limit does not bind
        most = case.random.randrange(1, 4)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        os.setuid(case.random.randrange(60_000, 65_000))
    else:
        limits = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + int(case.random.random() ** 2 * ROOM)
        resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    try:
        case.check(Engine(network(), case.random.choice([2, 4])))  # nobody holds it, whatever it raises
    except SparsenetError:
        assert limits is not None, "fewer threads would have done"
    finally:
        if limits is not None:
            resource.setrlimit(resource.RLIMIT_AS, limits)
    gc.collect()
    for _ in range(1000):
        if tasks() == before:
            break
        time.sleep(0.01)
    assert tasks() == before, "a worker is left"
    case.check(Engine(network(), case.threads))


KINDS = {
    way.__name__: way
    for way in (
        daemons, building, pool, at_exit, freed_late, dropped, closed, forked, multiprocess, exit_in_thread,
        no_cleaning, terminated, killed, handled, refused,
    )
}  # fmt: skip
STATUS = {"terminated": -signal.SIGTERM, "killed": -signal.SIGKILL}


# --- campaigns ----------------------------------------------------------------------------------------------------


def campaign(kind: str, threads: int, numbers: range, *, fresh: bool = False) -> Counter[str]:
    """How often the cases of these numbers ended in which way: "fine", or what was wrong.

    Raises:
        SystemExit: in the processes that are the cases, out of which it must lead.
    """
    case = Case(threads)
    case.engine.close()
    outcomes: Counter[str] = Counter()
    for number in numbers:
        with tempfile.TemporaryFile() as words:
            process = _start(kind, threads, number, words.fileno()) if fresh else os.fork()
            if process == 0:
                _become(case, kind, number, words.fileno())
            status = _wait(process)
            words.seek(0)
            said = words.read().decode(errors="replace").strip()
        wanted = STATUS.get(kind, 0)
        outcome = "fine" if status == wanted and not said else f"status {status}: {said[-2000:]}"
        outcomes[outcome] += 1
    return outcomes


def _become(case: Case, kind: str, number: int, words: int) -> None:
    """Be the case of this number: its end is this process's."""
    os.dup2(words, 1)
    os.dup2(words, 2)
    faulthandler.enable()
    case.random.seed(number)
    KINDS[kind](case)
    sys.exit(0)


def _start(kind: str, threads: int, number: int, words: int) -> int:
    command = [sys.executable, "-m", "tests.fuzz.exits", "--kind", kind, "--threads", str(threads)]
    process = subprocess.Popen([*command, "--only", str(number)], stdout=words, stderr=words)
    process.returncode = 0  # it is waited for elsewhere
    return process.pid


def _wait(process: int) -> int | None:
    """The exit status, negative for a signal; None if it does not end."""
    descriptor = os.pidfd_open(process)
    ended, _, _ = select.select([descriptor], [], [], HANG)
    os.close(descriptor)
    if not ended:
        os.kill(process, signal.SIGABRT)  # faulthandler tells where it is
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.exits", description=__doc__)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    parser.add_argument("--fresh", action="store_true", help="every case is a new interpreter")
    parser.add_argument("--only", type=int, help="be the case of this number")
    arguments = parser.parse_args()
    if arguments.only is not None:
        _become(Case(arguments.threads), arguments.kind, arguments.only, 2)
    fine = True
    for kind in KINDS if arguments.kind == "all" else [arguments.kind]:
        numbers = range(arguments.seed, arguments.seed + arguments.cases)
        outcomes = campaign(kind, arguments.threads, numbers, fresh=arguments.fresh)
        fine &= set(outcomes) <= {"fine"}
        for outcome, count in outcomes.most_common():
            click.echo(f"{kind}, {arguments.threads} threads: {count} {outcome}")
        sys.stdout.flush()
    raise SystemExit(not fine)


if __name__ == "__main__":
    main()
