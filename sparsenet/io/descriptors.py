"""Descriptors of files and folders that no exception can lose, whenever it comes: Ctrl-C, an alarm, another thread.

One can come behind ``os.open``, before anything knows of the descriptor that has been opened; but none comes between
two calls made by code in C. So it is C that hands a descriptor over to the object whose destructor, in C, too, closes
it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast


def opener(flags: int, mode: int = 0o666, folder: int | None = None) -> Callable[[str, int], int]:
    """The ``opener`` that makes ``open(path, …, opener=…)`` use these flags instead of those of its own mode.

    Args:
        flags, mode: as ``os.open`` takes them.
        folder: descriptor of the folder that the path starts from; None: the current one.
    """
    # ``open`` calls it with path and flags. Of the functions in C, this one passes on the first argument alone.
    first = property(partial(os.open, flags=flags, mode=mode, dir_fd=folder)).__get__
    return cast("Callable[[str, int], int]", first)


class Descriptors:
    """Open descriptors, those of folders too, which no file object takes; ``close``, or being freed, closes them."""

    __slots__ = ("__del__", "_opened")

    def __init__(self) -> None:
        self._opened: list[int] = []
        # Not a method, which would be Python code. The iterator goes over the list once, so none is closed twice.
        self.__del__: Callable[[], object] = partial(deque, map(os.close, self._opened), 0)

    def open(self, path: str | Path, flags: int, folder: int | None = None) -> int:
        """The descriptor of what ``os.open`` opens with these arguments.

        Raises:
            OSError: it cannot be opened.
        """
        self._opened.extend(map(partial(os.open, dir_fd=folder), [path], [flags]))
        return self._opened[-1]

    def close(self) -> None:
        """Close all; nothing may be opened behind that."""
        self.__del__()
