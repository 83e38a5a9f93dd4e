"""Threads that go through the tapes together, none of which needs the others.

Every thread's tape is cut at the same places into *sections*; the piece of one thread in a section is a *share*. A
section begins when all shares of the one before have ended. Each thread begins with its own share, whose data its cache
holds, then takes those that nobody has begun: a thread that comes late, or never, finds its work done. Whoever ends the
last share of a section opens the next, so the run goes on whichever thread the system lets run, and the caller alone
suffices. A share's rings and scratch belong to the share, so what comes out is the same whoever runs it.

The *team* is a block of int64 words that lives as long as any of its threads:

- ``EPOCH``: twice the serial number of the open section, plus 1 once the team is dissolved. It only grows. All waiting,
  between sections and between runs, is for this word: some microseconds of looking, then sleep in the kernel.
- one claim for each share: ``2 * serial`` while the share of section ``serial`` is free. Only exchanging exactly that
  for ``2 * serial + 1`` gives the share away, so one that comes late with an old serial number gets nothing.
- ``PENDING``: shares of the open section that have not ended.
- ``SLEEPERS``: two words, of the caller and of the workers: set by who is about to sleep.
- ``BUSY``: 1 during a run. Who finds it set runs everything alone, so a run waits for no other run.

Why this is right. A thread reads plans and working memory only between a successful claim and its count-down of
``PENDING``. Within that time the section cannot end, so the run cannot, and all its memory is there; a late thread
touches the team alone. Every access to a word shared before a claim is sequentially consistent, and whoever opens a
section writes its claims before ``EPOCH``; so one that reads the new number finds all that belongs to it. No wake-up is
lost: a sleeper sets its flag and then sleeps only if ``EPOCH`` is unchanged, which the kernel checks; who changes
``EPOCH`` looks for flags afterwards. One of the two sees the other.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.abi import WORD_BYTES

#: Word numbers in the team; what different threads write is on cache lines of its own. Claims begin at ``CLAIMS``.
EPOCH, PENDING, SLEEPERS, BUSY, SECTION, END, BASES, STAMPS, CLAIMS = 0, 16, 32, 48, 49, 50, 51, 52, 64
CLAIM_WORDS = 16
#: Bytes; two cache lines, which processors fetch together.
ALIGNMENT = WORD_BYTES * CLAIM_WORDS
#: ``EPOCH`` of a new team: claims are 0, and that must not mean free.
FIRST_EPOCH = 2
#: How long a thread looks before it sleeps. A wake-up takes about as long, and balanced shares differ by less.
LOOKING_NANOSECONDS = 100_000
LOOKS = 32
CALLER, WORKER = 0, 1


def team_words(threads: int) -> int:
    """int64 words of a team of so many threads."""
    return CLAIMS + CLAIM_WORDS * threads


def _parts(walk: Any, walk_timed: Any) -> tuple[Any, Any, Any, Any, Any]:
    """``section_bytes``, ``open_section``, ``run_share``, ``work`` and ``wait``."""
    from sparsenet.targets.cpu.device import device
    from sparsenet.targets.cpu.vector_ir import (
        atomic_add,
        atomic_load,
        atomic_replace,
        atomic_store,
        atomic_swap,
        breathe,
        cycle_counter,
        load_i64,
        nanoseconds,
        sleep_while,
        store_i64,
        wake_all,
    )

    @device
    def section_bytes(threads: int) -> int:
        """Bytes of a row of ``Plan.section_table``."""
        return 2 * WORD_BYTES * (2 + threads)

    @device
    def open_section(team: int, section: int, threads: int) -> None:
        """Let everybody have the shares of ``section``; who calls this has ended the one before."""
        if load_i64(team, STAMPS):
            store_i64(load_i64(team, STAMPS), load_i64(section, 1), cycle_counter())
        free = (atomic_load(team) & ~1) + 2
        store_i64(team, SECTION, section)
        store_i64(team, PENDING, load_i64(section, 0))
        for thread in range(threads):
            empty = load_i64(section, 3 + 2 * thread) == 0
            atomic_store(team + WORD_BYTES * (CLAIMS + CLAIM_WORDS * thread), free + (1 if empty else 0))
        atomic_add(team, 2)
        sleeping = atomic_swap(team + WORD_BYTES * SLEEPERS, 0) + atomic_swap(
            team + WORD_BYTES * (SLEEPERS + 1), 0
        )
        if sleeping:
            wake_all(team)

    @device
    def go_on(team: int, section: int, threads: int) -> None:
        """Open the section behind ``section``, or end the run. The caller may then return: no plan is read after it."""
        following = section + section_bytes(threads)
        if following != load_i64(team, END):
            open_section(team, following, threads)
            return
        atomic_add(team, 2)
        if atomic_swap(team + WORD_BYTES * SLEEPERS, 0):
            wake_all(team)

    @device
    def run_share(section: int, thread: int, bases: int, stamps: int) -> None:
        tape, rows = load_i64(section, 2 + 2 * thread), load_i64(section, 3 + 2 * thread)
        if stamps != 0 and thread == 0:
            walk_timed(tape, rows, bases, stamps + WORD_BYTES * load_i64(section, 1))
        else:
            walk(tape, rows, bases)

    @device
    def work(team: int, free: int, first: int, threads: int) -> int:
        """Run free shares of the section whose claims are then ``free``, ``first`` first; returns their number."""
        taken = 0
        for turn in range(threads):
            thread = (first + turn) % threads
            claim = team + WORD_BYTES * (CLAIMS + CLAIM_WORDS * thread)
            if atomic_load(claim) == free and atomic_replace(claim, free, free + 1):
                section = load_i64(team, SECTION)
                run_share(section, thread, load_i64(team, BASES), load_i64(team, STAMPS))
                taken += 1
                if atomic_add(team + WORD_BYTES * PENDING, -1) == 1:
                    go_on(team, section, threads)
                    break
        return taken

    @device
    def wait(team: int, free: int, who: int) -> None:
        """Wait until another section is open; a worker, also until the team is dissolved."""
        started = nanoseconds()
        while True:
            for _ in range(LOOKS):
                epoch = atomic_load(team)
                if epoch & ~1 != free or epoch & who:
                    return
                breathe()
            if nanoseconds() - started > LOOKING_NANOSECONDS:
                atomic_store(team + WORD_BYTES * (SLEEPERS + who), 1)
                epoch = atomic_load(team)
                if epoch & ~1 == free and not epoch & who:
                    sleep_while(team, epoch)

    return section_bytes, open_section, run_share, work, wait


def build_run(walk: Any, walk_timed: Any) -> object:
    """``run(team, sections, count, threads, bases, stamps, ask, spent)``: all sections, by this thread and who helps.

    ``sections`` are rows of ``Plan.section_table``. With ``ask`` 0, or while the team is busy, this thread does all
    alone, without what shares do twice, and touches no team. ``stamps``, unless 0, gets the cycles at the beginning of
    all in ``Plan.timeline``, and at the end. ``spent`` gets nanoseconds: those that passed, and, had others been asked,
    those that the caller would have taken alone, going by its own shares; else 0.
    """
    from numba import cfunc, types

    from sparsenet.targets.cpu.vector_ir import (
        atomic_load,
        atomic_replace,
        atomic_store,
        cycle_counter,
        load_i64,
        nanoseconds,
        store_i64,
    )

    section_bytes, open_section, run_share, work, wait = _parts(walk, walk_timed)

    def run(team, sections, count, threads, bases, stamps, ask, spent):  # type: ignore[no-untyped-def]
        size = section_bytes(threads)
        started = now = nanoseconds()
        alone = 0
        if ask != 0 and atomic_replace(team + WORD_BYTES * BUSY, 0, 1):
            store_i64(team, END, sections + count * size)
            store_i64(team, BASES, bases)
            store_i64(team, STAMPS, stamps)
            free = (atomic_load(team) & ~1) + 2
            open_section(team, sections, threads)
            for number in range(count):
                shares = load_i64(sections + number * size, 0)
                taken = work(team, free, 0, threads)
                ended = nanoseconds()
                if taken > 0:
                    alone += (ended - now) * shares // taken
                wait(team, free, CALLER)
                now = nanoseconds()
                free += 2
            atomic_store(team + WORD_BYTES * BUSY, 0)
        else:
            for number in range(count):
                section = sections + number * size
                if stamps != 0:
                    store_i64(stamps, load_i64(section, 1), cycle_counter())
                if stamps == 0 and load_i64(section, 3 + 2 * threads) > 0:
                    run_share(section, threads, bases, 0)
                    continue
                for thread in range(threads):
                    if load_i64(section, 3 + 2 * thread) > 0:
                        run_share(section, thread, bases, stamps)
            now = nanoseconds()
        if stamps != 0:
            last = sections + (count - 1) * size
            rows = load_i64(last, 1) + load_i64(last, 3)
            store_i64(stamps, rows + (1 if threads > 1 else 0), cycle_counter())
        store_i64(spent, 0, now - started)
        store_i64(spent, 1, alone)

    return cfunc(types.void(*[types.int64] * 8))(run)


def build_worker(walk: Any, walk_timed: Any) -> object:
    """``worker(team, thread, threads)``: help with all runs until the team is dissolved."""
    from numba import cfunc, types

    from sparsenet.targets.cpu.vector_ir import atomic_load

    *_, work, wait = _parts(walk, walk_timed)

    def worker(team, thread, threads):  # type: ignore[no-untyped-def]
        epoch = atomic_load(team)
        while epoch & 1 == 0:
            work(team, epoch, thread, threads)
            wait(team, epoch, WORKER)
            epoch = atomic_load(team)

    return cfunc(types.void(*[types.int64] * 3))(worker)


def build_stop() -> object:
    """``stop(team)``: dissolve the team; a run that is under way is not disturbed."""
    from numba import cfunc, types

    from sparsenet.targets.cpu.vector_ir import atomic_load, atomic_replace, wake_all

    def stop(team):  # type: ignore[no-untyped-def]
        epoch = atomic_load(team)
        while not atomic_replace(team, epoch, epoch | 1):
            epoch = atomic_load(team)
        wake_all(team)

    return cfunc(types.void(types.int64))(stop)
