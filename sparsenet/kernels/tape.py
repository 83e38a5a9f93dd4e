"""The interpreter: one compiled call runs a whole inference.

A tape is a table of int64 rows: the kernel's address, then its arguments (see ``abi``). Every thread has a tape of its
own; where one needs what another wrote, both tapes hold a barrier.
"""

from __future__ import annotations

from typing import Any

from sparsenet.kernels import jit
from sparsenet.kernels.abi import ROW_WORDS


def address(name: str) -> int:
    """Address of one of ``FUNCTIONS``."""
    return jit.function_address(name, FUNCTIONS[name])


def _run_tape() -> Any:
    from sparsenet.kernels.device import device
    from sparsenet.kernels.vector_ir import call_kernel, load_i64

    @device
    def run_tape(tape: int, rows: int, bases: int) -> None:
        for row in range(rows):
            start = tape + row * ROW_WORDS * 8
            call_kernel(load_i64(start, 0), start + 8, bases)

    return run_tape


def _build_run() -> object:
    from numba import cfunc, types

    run_tape = _run_tape()

    def entry(tape, rows, bases):  # type: ignore[no-untyped-def]
        run_tape(tape, rows, bases)

    return cfunc(types.void(*[types.int64] * 3))(entry)


def _build_run_timed() -> object:
    from numba import cfunc, types

    from sparsenet.kernels.vector_ir import call_kernel, cycle_counter, load_i64, store_i64

    def entry(tape, rows, bases, stamps):  # type: ignore[no-untyped-def]
        for row in range(rows):
            start = tape + row * ROW_WORDS * 8
            store_i64(stamps, row, cycle_counter())
            call_kernel(load_i64(start, 0), start + 8, bases)
        store_i64(stamps, rows, cycle_counter())

    return cfunc(types.void(*[types.int64] * 4))(entry)


def _build_worker() -> object:
    from numba import cfunc, types

    from sparsenet.kernels.vector_ir import atomic_load, atomic_store, load_i64, yield_processor

    run_tape = _run_tape()

    def worker(control, job, thread, spins_before_parking):  # type: ignore[no-untyped-def]
        # control: [generation asked for, generation done, parked]; job: [bases, then tape and rows of every thread]
        done = load_i64(control, 1)
        spins = 0
        while True:
            if atomic_load(control) != done:
                atomic_store(control + 16, 0)
                run_tape(load_i64(job, 1 + 2 * thread), load_i64(job, 2 + 2 * thread), load_i64(job, 0))
                done += 1
                atomic_store(control + 8, done)
                spins = 0
            elif atomic_load(control + 16) == 1:
                return
            else:
                spins += 1
                if spins % 64 == 0:
                    yield_processor()
                if spins > spins_before_parking:
                    # Announce, then look once more: whoever starts a job looks for the announcement after asking.
                    atomic_store(control + 16, 1)

    return cfunc(types.void(*[types.int64] * 4))(worker)


def _build_ask() -> object:
    from numba import cfunc, types

    from sparsenet.kernels.vector_ir import atomic_add, atomic_load

    def ask(control):  # type: ignore[no-untyped-def]
        atomic_add(control, 1)
        return atomic_load(control + 16)

    return cfunc(types.int64(types.int64))(ask)


#: All arguments are int64. ``run_tape(tape, rows, bases)``; ``run_tape_timed(tape, rows, bases, stamps)`` notes in
#: ``stamps[i]`` the cycles before row i; ``worker(control, job, thread, spins_before_parking)``, whose protocol
#: ``threads.WorkerPool`` tells; ``ask(control)`` raises ``asked`` and returns whether the worker had parked.
FUNCTIONS: dict[str, jit.Build] = {
    "run_tape": _build_run,
    "run_tape_timed": _build_run_timed,
    "worker": _build_worker,
    "ask": _build_ask,
}
