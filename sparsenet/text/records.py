"""Lists that show themselves: one line as their repr, a table as their text and, in notebooks, as HTML."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from sparsenet.text.one_line import one_line
from sparsenet.text.table import render, render_html

T = TypeVar("T")


class Records(list[T]):
    """A list of one record for each row of a table, under ``columns``."""

    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def row(self, record: T) -> Sequence[Any]:
        """The cells of a record, one for each column."""

    @abstractmethod
    def line(self) -> str:
        """What there is to say in one line."""

    def __repr__(self) -> str:
        return one_line(f"<{type(self).__name__}: {self.line()}>")

    def __str__(self) -> str:
        return render(self.columns, map(self.row, self))

    def _repr_html_(self) -> str:
        return render_html(self.columns, map(self.row, self), self.line())
