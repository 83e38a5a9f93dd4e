"""Exceptions amid an engine's work: ``python -m tests.fuzz.interrupts --cases 10000 --threads 2 --cores 1``.

A case is one exception: by a timer's signal, by SIGINT, from another thread, or at one certain place of Python
code. After each the engine must give the right answer; at the end no worker, descriptor, taken lock or memory may be
left. One that waits for ever is ended with the stacks of its threads.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import dis
import faulthandler
import gc
import itertools
import os
import pickle
import queue
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click
import numpy as np
import scipy.linalg  # noqa: F401 - Numba does so when it compiles; that BLAS starts a thread, which is no worker

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, bundle, locks
from sparsenet.io import files, trusted

#: Seconds after which a case is one that waits for ever.
HANG = 120.0
#: How often the work is done after an exception set out until it counts as dropped by Python, as in a destructor.
DROPPED = 50
#: Bytes more than at the beginning that the end of a campaign may have; allocators keep some.
SLACK = 8 * 2**20


class InterruptError(Exception):
    """What falls into the work."""


def network() -> Graph:
    """Two small convolutions over images whose rows and columns are open."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
    nodes = [
        Node("conv2d", "a", ["x", "w"], ["a"], {"padding": [1, 1, 1, 1]}),
        Node("conv2d", "b", ["a", "w"], ["y"], {"padding": [1, 1, 1, 1], "epilogue": [["relu"]]}),
    ]
    return Graph(
        "interrupted", [TensorInfo("x", (None, 8, 16, 16), open=(2, 3))], ["y"], nodes, {"w": weight}
    )


class Subject:
    """An engine, what it must answer, and the kinds of work that exceptions fall into."""

    def __init__(self, threads: int, folder: Path) -> None:
        self.threads, self.folder = threads, folder
        #: Threads of the process that are neither Python's nor workers, such as those of a BLAS library.
        self.foreign = tasks() - threading.active_count()
        self.graph = network()
        self.engine = self._new()
        rng = np.random.default_rng(1)
        self.images = [rng.standard_normal((2, 8, side, 16)).astype(np.float32) for side in (16, 24, 17)]
        self.answers = [self.engine(x) for x in self.images]
        self.works: dict[str, Callable[[], object]] = {
            "run": lambda: self.engine(self.images[0]),
            "sizes": self._sizes,
            "profile": lambda: self.engine.profile(self.images[0], runs=2),
            "close": self._close,
            "construct": lambda: self._new()(self.images[0]),
            "copy": lambda: copy.deepcopy(self.engine)(self.images[0]),
            "pickle": lambda: pickle.loads(pickle.dumps(self.engine))(self.images[0]),
            "tune": lambda: Engine(self.graph, self.threads, tune=True),
            "bundle": lambda: sparsenet.load(folder / "bundle")(self.images[0]),
            "files": self._files,
        }
        bundle.save(self.engine.plan, folder / "bundle", sparse=True, metadata={})

    def _new(self) -> Engine:
        return Engine(self.graph, self.threads, sizes=1)

    def right(self) -> bool:
        """Whether the engine answers as it did before; of the sizes, mostly the first."""
        which = random.choice([0, 0, 0, *range(len(self.images))])
        return np.array_equal(self.engine(self.images[which]), self.answers[which])

    def _sizes(self) -> None:
        for x in self.images:
            self.engine(x)

    def _close(self) -> None:
        self.engine(self.images[0])
        self.engine.close()

    def _files(self) -> None:
        (self.folder / "kept").mkdir(exist_ok=True)
        for write in (files.write_atomically, files._overwrite):
            write(self.folder / "kept" / "file", b"what is kept")
        files.read_whole(self.folder / "kept" / "file", 100)
        trusted.open_trusted(self.folder, "kept", "file").close()


# --- how the exception comes --------------------------------------------------------------------------------------


class Sent:
    """Whether an exception has set out."""

    def __init__(self) -> None:
        self.yes = False


def _raise(*_: object) -> None:
    raise InterruptError


@contextmanager
def _by_alarm(delay: float) -> Iterator[Sent]:
    sent = Sent()

    def handle(*_: object) -> None:
        sent.yes = True
        raise InterruptError

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, delay)
    yield sent


class _Sender(threading.Thread):
    """Sends after a delay, from another thread."""

    def __init__(self, send: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.send, self.orders = send, queue.SimpleQueue[tuple[float, Sent]]()
        self.start()

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            delay, sent = self.orders.get()
            time.sleep(delay)
            self.send()
            sent.yes = True

    @contextmanager
    def __call__(self, delay: float) -> Iterator[Sent]:
        """What is sent falls into the body of the ``with``, which must wait for it."""
        sent = Sent()
        self.orders.put((delay, sent))
        yield sent


def _interrupt_process() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _interrupt_thread(identity: int = threading.get_ident()) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(InterruptError))


WAYS: dict[str, Callable[[], Callable[[float], AbstractContextManager[Sent]]]] = {
    "alarm": lambda: _by_alarm,
    "sigint": lambda: _Sender(_interrupt_process),
    "async": lambda: _Sender(_interrupt_thread),
}


class Places:
    """The places of Python code where an exception from outside can arise: CPython looks behind calls and at jumps."""

    _LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD")

    def __init__(self) -> None:
        self.passed, self.target = 0, 0
        self._before: dict[FrameType, int] = {}

    def count(self, work: Callable[[], object], target: int = 0) -> int:
        """Do the work and raise at place ``target``, counted from 1; how many were passed."""
        self.passed, self.target = 0, target
        self._before = {}
        sys.settrace(self._enter)
        try:
            work()
        finally:
            sys.settrace(None)
            self._before = {}
        return self.passed

    def _enter(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename == __file__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, _: object) -> Any:
        if event in ("return", "exception"):  # behind a call that raises, CPython does not look
            self._before.pop(frame, None)
        if event != "opcode":
            return self._step
        before = self._before.get(frame)
        self._before[frame] = frame.f_code.co_code[frame.f_lasti]
        if before is not None and dis.opname[before].startswith(self._LOOKS):
            self.passed += 1
            if self.passed == self.target:
                raise InterruptError
        return self._step


# --- campaigns ----------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What a campaign has met; ``left`` names what was left behind."""

    cases: int = 0
    interrupts: int = 0
    wrong: int = 0
    left: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong and not self.left

    def __str__(self) -> str:
        left = ", ".join(self.left) or "nothing"
        return f"{self.cases} cases, {self.interrupts} exceptions, {self.wrong} wrong, left: {left}"


def campaign(subject: Subject, work: str, way: str, cases: int, seed: int) -> Report:
    """Let ``cases`` exceptions fall into one kind of work; ``way`` is of ``WAYS``, or "place"."""
    report, rng = Report(), random.Random(seed)
    once = (
        _place_by_place(subject.works[work], rng)
        if way == "place"
        else _in_time(subject.works[work], way, rng)
    )
    before = _held()
    try:
        for case in range(cases):
            faulthandler.dump_traceback_later(HANG, exit=True)
            if case == cases // 5:  # by then memory is what it stays
                before = before[0], _held()[1]
            report.interrupts += once()
            report.cases += 1
            report.wrong += not subject.right()
    finally:
        faulthandler.cancel_dump_traceback_later()
    subject.engine.close()
    report.left = _left(before, subject.foreign)
    return report


def _in_time(work: Callable[[], object], way: str, rng: random.Random) -> Callable[[], bool]:
    """At random moments: of about one time that the work takes, and sooner."""
    signal.signal(signal.SIGINT, _raise)
    arm = WAYS[way]()
    work()
    start = time.perf_counter()
    work()
    takes = time.perf_counter() - start

    def once() -> bool:
        try:
            with arm(1e-6 + rng.random() * 1.2 * takes) as sent:
                after = 0
                while after < DROPPED:
                    work()
                    after += sent.yes
        except InterruptError:
            return True
        return False

    return once


def _place_by_place(work: Callable[[], object], rng: random.Random) -> Callable[[], bool]:
    """At every place in turn, or, of work that has very many, at random ones; from the front again behind the last."""
    places = Places()
    work()
    last = places.count(work)
    turn = iter(range(1, 2**60)) if last < 2000 else iter(lambda: rng.randrange(1, last + 1), 0)

    def once() -> bool:
        try:
            places.count(work, (next(turn) - 1) % last + 1)
        except InterruptError:
            return True
        return False

    return once


def tasks() -> int:
    """Threads of this process, of whatever kind."""
    return len(list(Path("/proc/self/task").iterdir()))


def _held() -> tuple[int, int]:
    """Descriptors, and bytes of memory, that the process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(list(Path("/proc/self/fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE")


def _left(before: tuple[int, int], foreign: int) -> list[str]:
    gc.collect()
    for _ in range(1000):
        if not (workers := tasks() - threading.active_count() - foreign):
            break
        time.sleep(0.01)
    files, memory = _held()
    left = []
    if workers:
        left.append(f"{workers} workers")
    if files > before[0]:
        left.append(f"{files - before[0]} descriptors")
    if memory > before[1] + SLACK:
        left.append(f"{(memory - before[1]) / 2**20:.1f} MiB")
    taken = sum(not _free(lock) for lock in locks.every_lock())
    if taken:
        left.append(f"{taken} locks")
    return left


def _free(lock: locks.Lock) -> bool:
    """Whether another thread can take it."""
    got: list[bool] = []

    def take() -> None:
        got.append(lock.acquire(timeout=5))
        if got[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return got[0]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.interrupts", description=__doc__)
    parser.add_argument("--work", default="run", help="what is interrupted, or 'all'")
    parser.add_argument("--way", choices=[*WAYS, "place", "all"], default="alarm", help="how it comes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cores", type=int, help="CPUs to keep to; all by default")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    random.seed(arguments.seed)
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(arguments.threads, Path(folder))
        works = list(subject.works) if arguments.work == "all" else [arguments.work]
        ways = [*WAYS, "place"] if arguments.way == "all" else [arguments.way]
        for work, way in itertools.product(works, ways):
            report = campaign(subject, work, way, arguments.cases, arguments.seed)
            fine &= report.fine
            click.echo(f"{work}, {way}, {arguments.threads} threads: {report}")
    raise SystemExit(not fine)


if __name__ == "__main__":
    main()
