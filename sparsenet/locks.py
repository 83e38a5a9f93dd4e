"""Locks that a fork cannot leave locked, and an exception neither.

A child process gets a copy of every lock in the state it was in, but none of the threads that would open it again.
"""

from __future__ import annotations

import _thread
import os
import weakref

#: Every lock. One is removed by a callback in C, which no exception can interrupt; a WeakSet has one in Python.
_all: set[weakref.ref[Lock]] = set()


class Lock(_thread.RLock):  # type: ignore[misc]  # typeshed calls it final; CPython does not
    """A re-entrant lock that is open in every child process, unless the thread that forked holds it.

    Entering and leaving it are the C functions of its base: no signal handler can raise between taking the lock and the
    beginning of the ``with`` block, and one that runs inside the block may enter it again.
    """

    def __init__(self) -> None:
        super().__init__()
        _all.add(weakref.ref(self, _all.discard))


def every_lock() -> list[Lock]:
    """Every lock of this process."""
    return [lock for reference in list(_all) if (lock := reference()) is not None]


def _renew_all() -> None:
    for lock in every_lock():
        if not lock._is_owned():  # type: ignore[attr-defined]
            lock._at_fork_reinit()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
