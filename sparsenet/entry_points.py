"""What installed packages bring by entry points: listed without an import, loaded when it is asked for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TypeVar

from sparsenet.errors import SparsenetError

T = TypeVar("T")

#: Modules that enter ops, kernels or anything else in the tables: the command line imports them before each command.
EXTENSIONS = "sparsenet.extensions"


def names(group: str) -> list[str]:
    """Names of the entry points of a group."""
    return [point.name for point in importlib.metadata.entry_points(group=group)]


def load_extensions() -> None:
    """Import the modules of all ``EXTENSIONS``; SparsenetError if one cannot be imported."""
    for point in importlib.metadata.entry_points(group=EXTENSIONS):
        loaded(point)


class OpenTable(MutableMapping[str, T]):
    """Entries by name: those that are entered, and those that entry points of a group lead to.

    Args:
        group: of the entry points.
        entered: entries to begin with.

    Attributes:
        group: as given.
        entered: every entry that is there or was loaded so far.
    """

    def __init__(self, group: str, entered: Mapping[str, T] = MappingProxyType({})) -> None:
        self.group, self.entered = group, dict(entered)

    def made(self, name: str, found: Any) -> T:
        """The entry of that name, given what its entry point leads to; SparsenetError if that is none."""
        entry: T = found
        return entry

    def __getitem__(self, name: str) -> T:
        if name not in self.entered:
            for point in importlib.metadata.entry_points(group=self.group, name=name):
                self.entered[name] = self.made(name, loaded(point))
        return self.entered[name]

    def __setitem__(self, name: str, entry: T) -> None:
        self.entered[name] = entry

    def __delitem__(self, name: str) -> None:
        del self.entered[name]

    def __contains__(self, name: object) -> bool:
        return name in self.entered or name in names(self.group)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.entered, *names(self.group))))

    def __len__(self) -> int:
        return len(list(iter(self)))


def loaded(point: importlib.metadata.EntryPoint) -> Any:
    """What an entry point leads to; SparsenetError, which names both, if that does not load."""
    try:
        return point.load()
    except Exception as error:
        raise SparsenetError(
            f"'{point.value}', which the entry point '{point.name}' of {point.group} leads to, does not load: "
            f"{type(error).__name__}: {error}"
        ) from error
