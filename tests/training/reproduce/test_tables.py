"""Tables: exact in CSV, readable on the page."""

from __future__ import annotations

import csv
import io

import pytest

from training.reproduce.tables import (
    SPEED,
    Column,
    Table,
    count,
    deviation,
    fixed,
    mean,
    percent,
    speed_of,
    times,
)


def test_csv_is_exact_and_the_page_is_rounded() -> None:
    columns = [Column("name", "name"), Column("share", "share %", percent()), Column("absent", "absent")]
    table = Table("t", "T", columns, [{"name": 'a, "b"', "share": 1 / 3, "absent": None}])
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [
        ["name", "share", "absent"],
        ['a, "b"', str(1 / 3), ""],
    ]
    assert [column.text(table.rows[0]) for column in columns] == ['a, "b"', "33.3", "–"]


def test_numbers_as_readers_expect_them() -> None:
    assert fixed()(1.23456) == "1.235"
    assert count(1187762) == "1,187,762"
    assert times(2.3) == "2.30×"
    assert times(1003.4) == "1,003×"
    assert mean([0.5, 1.0]) == 0.75
    assert deviation([1.0, 3.0]) == pytest.approx(2**0.5)
    assert deviation([1.0]) is None


def test_speed_columns_take_the_medians() -> None:
    measured = {
        "dense_ms": 2.0,
        "sparse_ms": 1.0,
        "against_dense": [2.0, 1.9, 2.1],
        "against_whole": [3.0, 2, 4],
    }
    row = speed_of(measured) | {"bytes": 5}
    assert [column.text(row) for column in SPEED] == ["5", "2.000", "1.000", "2.00×", "3.00×"]
    assert speed_of(None) == {}
