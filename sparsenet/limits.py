"""How large a network may be, and how much memory a model may claim, checked before any of it is taken.

A file of a hundred bytes can describe a tensor of a terabyte. So whoever is about to allocate what a model asks for
(decoded weights, packed weights, working memory, outputs) first holds the number against one limit: a quarter of what
this machine or its container has, or what ``SPARSENET_MAX_MEMORY`` says, in bytes or with a suffix: 512M, 8G. It bounds
each of these by itself; a process that loads and runs a model peaks at some three times as much.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sparsenet.errors import InputError, MemoryLimitError

VARIABLE = "SPARSENET_MAX_MEMORY"
#: Limits of a graph's parts: each takes time to read, check and plan. Operands are the inputs of all nodes together.
MAX_NODES, MAX_OPERANDS, MAX_CONSTANTS, MAX_PORTS = 2**14, 2**17, 2**16, 2**11
#: Lines of all its maps: planning takes time for each.
MAX_LINES = 2**20

_SUFFIXES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SHARE = 4
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> int:
    """Bytes that one allocation on a model's behalf may take.

    Raises:
        InputError: ``SPARSENET_MAX_MEMORY`` is no size.
    """
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        return _available_bytes() // _SHARE
    number, factor = chosen.strip().upper().removesuffix("B"), 1
    if number and number[-1] in _SUFFIXES:
        number, factor = number[:-1], _SUFFIXES[number[-1]]
    if not (number.isascii() and number.isdecimal() and len(number) < 16 and int(number)):
        raise InputError(f"{VARIABLE} must be a size such as 800000000, 512M or 8G, got {chosen[:40]!r}")
    return int(number) * factor


def require_memory(needed: int, what: str) -> None:
    """Raise MemoryLimitError if ``what`` would take more than ``memory_limit`` bytes."""
    limit = memory_limit()
    if needed > limit:
        raise MemoryLimitError(
            f"{what} would take {_size(needed)}, more than the limit of {_size(limit)}; "
            f"set {VARIABLE} to allow it"
        )


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn a MemoryError within, of a system that gives less than ``memory_limit``, into a MemoryLimitError."""
    try:
        yield
    except MemoryLimitError:
        raise
    except MemoryError as error:
        detail = " ".join(str(error).split())
        raise MemoryLimitError(
            f"the system does not give the memory for {what}" + f": {detail}" * bool(detail)
        ) from None


class Budget:
    """The sum of what one model takes of one kind of memory; nothing is ever given back."""

    def __init__(self, what: str) -> None:
        self.what, self.used = what, 0

    def take(self, count: int) -> None:
        """Raise MemoryLimitError if ``count`` more bytes are more than ``memory_limit`` in all."""
        self.used += count
        require_memory(self.used, self.what)


def require_countable(*, nodes: int, operands: int, constants: int, ports: int) -> None:
    """Raise MemoryLimitError if a graph of so many parts is larger than any may be; ``ports``: inputs and outputs."""
    for count, limit, what in (
        (nodes, MAX_NODES, "nodes"),
        (operands, MAX_OPERANDS, "inputs of nodes"),
        (constants, MAX_CONSTANTS, "constants"),
        (ports, MAX_PORTS, "inputs and outputs"),
    ):
        if count > limit:
            raise MemoryLimitError(f"the graph has {count} {what}, the limit is {limit}")


@cache
def _available_bytes() -> int:
    """Memory of the machine, or of the container if that has less."""
    found = []
    try:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        found.append(16 * 2**30)  # a system that does not tell
    for file in _CGROUP_FILES:
        try:
            found.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # no such version of cgroups, or "max"
            continue
    return min(found)


def _size(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 10_000:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} TiB"
