"""Tables that can be added to: entries by name, each name once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Table(dict[str, T]):
    """Entries by name.

    One that is to be added from elsewhere is entered with ``add``, or a function by a decorator::

        OPS.add("cube", OpSchema(...))

        @OPERATIONS.adds("cube")
        def cube(inputs, attrs): ...
    """

    @classmethod
    def joined(cls, *tables: Mapping[str, T]) -> Table[T]:
        """All entries of ``tables``, in order; ValueError if two have one of the same name."""
        whole: Table[T] = cls()
        for table in tables:
            for name, entry in table.items():
                whole.add(name, entry)
        return whole

    def add(self, name: str, entry: T) -> None:
        """Enter ``entry``; ValueError if the name is taken."""
        if name in self:
            raise ValueError(f"'{name}' is in the table already")
        self[name] = entry

    def adds(self, *names: str) -> Callable[[T], T]:
        """A decorator that enters what it decorates under ``names``; ValueError if one is taken."""

        def enter(entry: T) -> T:
            for name in names:
                self.add(name, entry)
            return entry

        return enter


def deferred(module: str, table: str, name: str) -> Callable[..., Any]:
    """A function that is ``name`` of ``table`` in ``module``, which is imported when the function is first called."""

    def call(*args: Any) -> Any:
        return getattr(importlib.import_module(module), table)[name](*args)

    return call
