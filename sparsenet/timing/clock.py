"""How one call is timed, and how what disturbed it is noticed.

Where one thread works, its processor time counts: what other processes take of a shared core is not in it. Where
several work, or the work is done elsewhere, the wall clock counts, and what made threads wait for a CPU spoils the
sample. Only the standard library is used: an engine that lives in an environment of its own runs this file there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

resource: Any
try:
    import resource
except ImportError:  # no such thing outside Unix
    resource = None

#: Processor seconds that being taken off a CPU costs: caches and branch predictors have forgotten the thread. Beside a
#: loop in registers no more than half of it was measured; to fill a second-level cache again takes as long.
SWITCH_SECONDS = 5e-5
#: Largest share of a sample's processor time that this cost may be, if the sample is to count.
TOLERATED = 0.05
#: Largest share of a call's wall time that its threads, all together, may wait for a CPU.
WAITED = 0.02
#: Share of the wall time during which somebody must have worked, or waited for a CPU.
BUSY = 0.8


class Sample(NamedTuple):
    """One timed call and what came in its way; the latter also in the call before it, which warmed the caches.

    Attributes:
        seconds: what counts, ``cpu`` or ``wall``.
        wall: seconds that passed.
        cpu: seconds of processor time of the calling thread, or of all threads of the process.
        switches: how often a thread was taken off its CPU against its will; of the call before, once at most.
        waited: seconds that threads which could have run had no CPU, all added up; None where the system does not say.
        stolen: seconds that the CPUs of this virtual machine were given to others.
        clean: whether the clock found it undisturbed.
    """

    seconds: float
    wall: float
    cpu: float
    switches: int = 0
    waited: float | None = None
    stolen: float = 0.0
    clean: bool = True


class Clock:
    """A way of timing calls; everything that is compared is timed by the same one.

    Attributes:
        key: name in ``CLOCKS``.
        counts: "cpu" or "wall".
        process: whether all threads of the process are watched, or the calling one alone.
        idle: whether nobody need work here while time passes, as when a GPU does.
    """

    def __init__(self, key: str, counts: str, process: bool, idle: bool = False) -> None:
        self.key, self.counts, self.process, self.idle = key, counts, process, idle
        self._cpu = time.process_time if process else time.thread_time

    def turn(self, call: Callable[[], object], warm: int = 1) -> Sample:
        """``call`` timed once, after ``warm`` calls that bring back what others have driven out of the caches."""
        before, switches = _look(self), _switches(self.process)
        for _ in range(warm):
            call()
        warmed = _switches(self.process)
        wall, cpu = time.perf_counter(), self._cpu()
        call()
        cpu, wall = self._cpu() - cpu, time.perf_counter() - wall
        # However often the warming call was interrupted, it leaves the caches cold once.
        switches = _switches(self.process) - warmed + min(warmed - switches, 1)
        return self.judged(wall, cpu, Disturbance(switches, *_look(self).since(before)))

    def judged(self, wall: float, cpu: float, came: Disturbance) -> Sample:
        """A sample of what was measured, clean or not."""
        clean = (
            self._cpu_is_clean(wall, cpu, came) if self.counts == "cpu" else self._wall_is(wall, cpu, came)
        )
        return Sample(cpu if self.counts == "cpu" else wall, wall, cpu, *came, clean)

    def _cpu_is_clean(self, wall: float, cpu: float, came: Disturbance) -> bool:
        # Wall time without processor time tells of a switch where none is counted.
        unseen = not came.switches and wall - cpu > max(SWITCH_SECONDS, TOLERATED * wall)
        return (came.switches + unseen) * SWITCH_SECONDS <= TOLERATED * cpu and not came.stolen

    def _wall_is(self, wall: float, cpu: float, came: Disturbance) -> bool:
        if came.stolen or (came.switches > 0 if came.waited is None else came.waited > WAITED * wall):
            return False
        return self.idle or cpu + (came.waited or 0.0) >= BUSY * wall


class Disturbance(NamedTuple):
    """What disturbed a call: fields as in ``Sample``."""

    switches: int = 0
    waited: float | None = None
    stolen: float = 0.0


class _Task(NamedTuple):
    """A thread of this process: seconds that it waited and ran, and whether it could run now."""

    waited: float
    ran: float
    ready: bool


class _Look(NamedTuple):
    """Counters as they stand at a moment."""

    moment: float
    stolen: float
    tasks: dict[int, _Task] | None

    def since(self, before: _Look) -> tuple[float | None, float]:
        """Seconds that threads waited, and seconds that were stolen."""
        waited = None
        if self.tasks is not None and before.tasks is not None:
            waited = self._waited(before.tasks, self.moment - before.moment)
        return waited, self.stolen - before.stolen

    def _waited(self, before: dict[int, _Task], passed: float) -> float:
        total = 0.0
        for number, task in (self.tasks or {}).items():
            earlier = before.get(number, _Task(0.0, 0.0, False))
            waited, ran = task.waited - earlier.waited, task.ran - earlier.ran
            # A wait is entered when it ends: who could run, but has neither run nor waited, is still waiting.
            hungry = task.ready and number != threading.get_native_id() and waited + ran < passed / 2
            total += passed if hungry else waited
        return total


def _look(clock: Clock) -> _Look:
    tasks = _tasks() if clock.counts == "wall" else None
    return _Look(time.perf_counter(), _stolen(), tasks)


def _switches(process: bool) -> int:
    if resource is None:
        return 0
    whole = resource.RUSAGE_SELF
    usage = resource.getrusage(whole if process else getattr(resource, "RUSAGE_THREAD", whole))
    return int(usage.ru_nivcsw)


def _stolen() -> float:
    try:
        with open("/proc/stat", "rb") as file:  # noqa: PTH123 - this file stands alone and is called often
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _tasks() -> dict[int, _Task] | None:
    found = {}
    try:
        for name in os.listdir("/proc/self/task"):  # noqa: PTH208
            number = int(name)
            try:
                # How Linux names the clock of a thread's processor time.
                found[number] = _Task(_wait(number), time.clock_gettime(~number << 3 | 6), _ready(number))
            except OSError:  # it has ended
                continue
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    return found


def _wait(number: int) -> float:
    with open(f"/proc/self/task/{number}/schedstat", "rb") as file:  # noqa: PTH123
        _ran, waited, times = file.read().split()
    if times == b"0":
        raise ValueError("this system does not count how threads are scheduled")
    return int(waited) * 1e-9


def _ready(number: int) -> bool:
    with open(f"/proc/self/task/{number}/stat", "rb") as file:  # noqa: PTH123
        return file.read().rpartition(b") ")[2][:1] == b"R"


#: Processor time of the calling thread; of the process, where another of its threads may do the work; the wall clock
#: for several threads; and for a device, while the process waits.
THREAD, PROCESS = Clock("thread", "cpu", False), Clock("process", "cpu", True)
WALL, DEVICE = Clock("wall", "wall", True), Clock("device", "wall", True, idle=True)
CLOCKS = {clock.key: clock for clock in (THREAD, PROCESS, WALL, DEVICE)}


def stopwatch() -> Callable[[], float]:
    """A function that tells how many seconds have passed by now: for deadlines, and for what happens only once."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start


def clock_for(threads: int) -> Clock:
    """How this engine is timed on so many threads: one is the caller itself."""
    return THREAD if threads == 1 else WALL
