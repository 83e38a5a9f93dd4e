"""A bar of what is done, on standard error, where somebody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def bar(label: str, length: int, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A function that is told how many more of ``length`` are done; it shows nothing if ``quiet``."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as shown:
        yield shown.update
