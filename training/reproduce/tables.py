"""Tables: plain rows for CSV, and how each column is to be shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.report.numbers import number

Value = Any
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Column:
    """One column: its name in the CSV file, its title on the page, how a value is shown, whose figures it holds."""

    key: str
    title: str
    show: Callable[[Value], str] = str
    theirs: bool = False

    def text(self, row: Row) -> str:
        """The value of this column as shown; a dash where there is none."""
        value = row.get(self.key)
        return "–" if value is None else self.show(value)

    def words(self, rows: Sequence[Row]) -> bool:
        """Whether it holds words, which begin at the left."""
        return any(isinstance(row.get(self.key), str) for row in rows)


@dataclass(frozen=True)
class Table:
    """A table of a run.

    Attributes:
        key: name of its CSV file.
        title: on the page.
        columns: in order.
        rows: values by column.
        caption: how the figures came about.
    """

    key: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""

    def to_csv(self) -> str:
        """Comma-separated values, exact, with a header line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows(
            ["" if (value := row.get(column.key)) is None else value for column in self.columns]
            for row in self.rows
        )
        return text.getvalue()


def percent(digits: int = 1) -> Callable[[Value], str]:
    """0.9731 → '97.3'."""
    return lambda value: f"{value * 100:.{digits}f}"


def fixed(digits: int = 3) -> Callable[[Value], str]:
    """1.23456 → '1.235'."""
    return lambda value: f"{value:.{digits}f}"


def times(value: Value) -> str:
    """1003 → '1,003×', 2.3 → '2.30×'."""
    return f"{number(value)}×" if value >= 100 else f"{value:.2f}×"


def count(value: Value) -> str:
    """1187762 → '1,187,762'."""
    return number(value)


def mean(values: Sequence[float]) -> float:
    """Plain mean."""
    return float(np.mean(values))


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample; None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def median_told(ratios: Sequence[float | None]) -> float | None:
    """Median of those that are known."""
    told = [ratio for ratio in ratios if ratio is not None]
    return float(np.median(told)) if told else None


#: Paired with ``speed_of``: what the papers lack.
SPEED = [
    Column("bytes", "file bytes", count),
    Column("dense_ms", "dense, ms", fixed()),
    Column("sparse_ms", "sparse, ms", fixed()),
    Column("speedup", "sparse vs dense", times),
    Column("speedup_whole", "vs unpruned", times),
]


def speed_of(measured: Mapping[str, Any] | None) -> dict[str, Value]:
    """The columns of ``SPEED`` but bytes, of one network's measurement."""
    if measured is None:
        return {}
    return {
        "dense_ms": measured["dense_ms"],
        "sparse_ms": measured["sparse_ms"],
        "speedup": measured["against_dense"][0],
        "speedup_whole": measured["against_whole"][0],
    }
